"""uvicorn.workers."""

raise ImportError("uvicorn.workers: Pronghorn has no worker class for gunicorn; use the pronghorn command instead")
