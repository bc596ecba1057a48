"""uvicorn.protocols."""
