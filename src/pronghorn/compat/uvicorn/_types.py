"""uvicorn._types: there the messages and scopes have a type each; here they are what they are made of."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from types import TracebackType
from typing import Any, Protocol

from pronghorn.types import ASGIApplication as ASGIApplication
from pronghorn.types import Message, Receive, Scope, Send

Environ = MutableMapping[str, Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
StartResponse = Callable[[str, Iterable[tuple[str, str]], ExcInfo | None], None]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes] | BaseException]

HTTPScope = WebSocketScope = LifespanScope = WWWScope = Scope
ASGIReceiveEvent = ASGISendEvent = Message
HTTPRequestEvent = HTTPDisconnectEvent = HTTPResponseStartEvent = HTTPResponseBodyEvent = Message
WebSocketConnectEvent = WebSocketAcceptEvent = WebSocketReceiveEvent = WebSocketSendEvent = Message
WebSocketDisconnectEvent = WebSocketCloseEvent = Message
WebSocketResponseStartEvent = WebSocketResponseBodyEvent = Message
LifespanStartupEvent = LifespanShutdownEvent = Message
LifespanStartupCompleteEvent = LifespanStartupFailedEvent = Message
LifespanShutdownCompleteEvent = LifespanShutdownFailedEvent = Message

ASGIReceiveCallable = Receive
ASGISendCallable = Send


class ASGI2Protocol(Protocol):
    """A class that is called with the scope, and its instance with receive and send."""

    def __init__(self, scope: Scope) -> None: ...
    async def __call__(self, receive: Receive, send: Send) -> None: ...


ASGI2Application = type[ASGI2Protocol]
ASGI3Application = Callable[[Scope, Receive, Send], Awaitable[None]]
