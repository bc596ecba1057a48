"""ASGI 2: the application is called with the scope, and what it returns with receive and send."""

from __future__ import annotations

from typing import Any

from pronghorn.types import Receive, Scope, Send

__all__ = ["ASGI2Middleware"]


class ASGI2Middleware:
    """An ASGI 2 application as ASGI 3."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope)(receive, send)
