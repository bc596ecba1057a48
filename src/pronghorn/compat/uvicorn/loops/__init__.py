"""uvicorn.loops."""
