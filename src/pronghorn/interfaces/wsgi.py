"""WSGI (PEP 3333), through a2wsgi: each request runs in a thread of a pool."""

from __future__ import annotations

from typing import Any

from pronghorn.errors import ConfigError

__all__ = ["wsgi_middleware"]


def wsgi_middleware(app: Any, **options: Any) -> Any:
    """A WSGI application as ASGI 3. Options are those of a2wsgi's WSGIMiddleware: workers, send_queue_size."""
    try:
        from a2wsgi import WSGIMiddleware
    except ImportError:
        raise ConfigError("interface: wsgi needs the package a2wsgi: pip install 'pronghorn[wsgi]'") from None
    return WSGIMiddleware(app, **options)
