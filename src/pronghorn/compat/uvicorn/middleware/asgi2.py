"""uvicorn.middleware.asgi2."""

from pronghorn.interfaces.asgi2 import ASGI2Middleware

__all__ = ["ASGI2Middleware"]
