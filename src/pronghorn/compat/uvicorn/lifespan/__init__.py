"""uvicorn.lifespan."""
