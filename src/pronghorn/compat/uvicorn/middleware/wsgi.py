"""uvicorn.middleware.wsgi."""

from pronghorn.interfaces.wsgi import wsgi_middleware as WSGIMiddleware

__all__ = ["WSGIMiddleware"]
