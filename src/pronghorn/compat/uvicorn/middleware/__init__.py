"""uvicorn.middleware."""
