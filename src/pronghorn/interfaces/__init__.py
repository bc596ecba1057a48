"""The interfaces that an application may have: which one it is, and what makes it look like ASGI 3.

An ASGI 3 application is left as it is: nothing stands between it and the compiled layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pronghorn.interfaces.asgi2 import ASGI2Middleware
from pronghorn.interfaces.detection import detect
from pronghorn.interfaces.wsgi import wsgi_middleware

__all__ = ["INTERFACES", "adapt", "detect"]

INTERFACES: dict[str, Callable[[Any], Any]] = {
    "asgi3": lambda app: app,
    "asgi2": ASGI2Middleware,
    "wsgi": wsgi_middleware,
}


def adapt(app: Any, interface: str) -> Any:
    """The application as ASGI 3."""
    return INTERFACES[interface](app)
