"""Which interface an application has, from how it can be called.

The first line that fits:

    it says that it is a coroutine function    asgi3
    a class that can be awaited                asgi3: called with scope, receive and send, the instance is awaited
    any other class                            asgi2: called with the scope, its instance with receive and send
    anything else that takes three arguments   asgi3, such as a function that returns another one's coroutine
    or takes one                               asgi2
    or two, and neither one nor three          a WSGI application, which has to be asked for: refused
    or does not tell                           asgi3
"""

from __future__ import annotations

import inspect
from typing import Any

from pronghorn.errors import ConfigError

__all__ = ["accepts", "detect"]


def detect(app: Any) -> str:
    """The interface of an application: asgi3 or asgi2; ConfigError when it can be neither."""
    if inspect.isclass(app):
        return "asgi3" if hasattr(app, "__await__") else "asgi2"
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__):
        return "asgi3"
    if accepts(app, 3):
        return "asgi3"
    if accepts(app, 1):
        return "asgi2"
    if accepts(app, 2):
        raise ConfigError(
            "interface: the application takes two arguments, as WSGI applications (Flask) do: use --interface wsgi"
        )
    return "asgi3"


def accepts(function: Any, arguments: int) -> bool:
    """Whether a call with so many positional arguments fits; no for what cannot tell."""
    try:
        inspect.signature(function).bind(*[None] * arguments)
    except (TypeError, ValueError):
        return False
    return True
