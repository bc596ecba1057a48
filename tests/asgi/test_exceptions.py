"""What the client and the log see when the application raises, returns early, or is not callable (I01-I03)."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from peer import Closed
from serving import Server, modes

MODES = modes("lazy", "eager", "task")
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
START = {"type": "http.response.start", "status": 200}


class Private(BaseException):
    """Not an Exception, as CancelledError is not."""


KINDS = [
    ValueError,
    Private,
    asyncio.CancelledError,
    SystemExit,
    KeyboardInterrupt,
    GeneratorExit,
    StopAsyncIteration,
    TimeoutError,
    OSError,
]
pytestmark = pytest.mark.filterwarnings("error")


def failing(error: type[BaseException], *, pause: bool, before: Callable[[Any], Any] | None = None) -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if before:
            await before(send)
        if pause:
            await asyncio.sleep(0)
        raise error("on purpose")

    return app


async def begin(send: Any) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


async def head_only(send: Any) -> None:
    await send(START)


async def whole(send: Any) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"whole"})


async def ok(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await whole(send)


def lives(server: Server) -> None:
    server.use(ok)
    assert server.get().body == b"whole"


@pytest.mark.parametrize("pause", [False, True], ids=["at-once", "after-a-pause"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
class TestRaising:
    def test_before_the_start(self, server: Server, kind: type[BaseException], pause: bool) -> None:
        """500 in fixed words, and one traceback."""
        server.use(failing(kind, pause=pause))
        with server.raw() as peer:
            peer.send(GET)
            response = peer.response()
            assert response.status == 500
            assert response.body == b"Internal Server Error"
            assert response.header("content-type") == "text/plain; charset=utf-8"
            assert response.header("connection") == "close"
            peer.ended(1.5)
        error = server.traceback(Exception if kind is StopAsyncIteration else kind)
        assert str(error) == "on purpose" or kind is StopAsyncIteration
        lives(server)

    def test_between_start_and_end(self, server: Server, kind: type[BaseException], pause: bool) -> None:
        """The chunked body has no end, so nobody takes it for whole; one traceback."""
        server.use(failing(kind, pause=pause, before=begin))
        with server.raw() as peer:
            peer.send(GET * 2)
            data, _ = peer.drain()
            assert not data.endswith(b"0\r\n\r\n")
            assert data.count(b"HTTP/1.1 ") <= 1, "nothing may follow a broken response"
            assert data == b"" or data.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 500 "))
        server.traceback(Exception if kind is StopAsyncIteration else kind)
        assert len(server.calls) == 1
        lives(server)

    def test_after_the_end(self, server: Server, kind: type[BaseException], pause: bool) -> None:
        """The response is the client's already; the fault is only logged, and the connection goes on."""
        server.use(failing(kind, pause=pause, before=whole))
        with server.raw() as peer:
            peer.send(GET)
            response = peer.response()
            assert (response.status, response.body, response.closes) == (200, b"whole", False)
            server.traceback(Exception if kind is StopAsyncIteration else kind)
            server.use(ok)
            peer.send(GET)
            assert peer.response().body == b"whole"


@pytest.mark.parametrize("pause", [False, True], ids=["at-once", "after-a-pause"])
def test_head_alone_then_raising(server: Server, pause: bool) -> None:
    """The specification lets the server hold the head until the body: an error without a pause can still become 500."""
    server.use(failing(ValueError, pause=pause, before=head_only))
    with server.raw() as peer:
        peer.send(GET)
        data, _ = peer.drain()
        assert data == b"" or data.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 500 "))
        assert b"0\r\n\r\n" not in data.removeprefix(b"HTTP/1.1 500 ") or data.startswith(b"HTTP/1.1 500 ")
    server.traceback(ValueError)
    lives(server)


@pytest.mark.parametrize(
    ("request_", "headers"),
    [
        (GET, []),
        (GET, [(b"content-length", b"100")]),
        (b"GET / HTTP/1.0\r\n\r\n", []),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", []),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", []),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", [(b"content-length", b"100")]),
    ],
    ids=["chunked", "length", "1.0", "1.0-keep-alive", "close", "close-length"],
)
def test_cut_body_never_looks_whole(server: Server, request_: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Half the body has left when the application fails. In every framing the client can tell: no last chunk, too few
    bytes, or, where the end of the connection would be the end of the body, a reset instead of a FIN."""
    flushed = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({**START, "headers": headers})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await flushed.passed()
        raise ValueError("on purpose")

    server.use(app)
    with server.raw() as peer:
        peer.send(request_)
        response = peer.head()
        assert response.status == 200
        flushed.open()
        with pytest.raises(Closed) as caught:
            peer._body(response, "GET")
        if not headers and b"HTTP/1.0" in request_:
            assert caught.value.how == "reset"
    server.traceback(ValueError)


class TestReturning:
    def test_without_a_response(self, server: Server) -> None:
        """500 and one line that says what was not done."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            return None

        server.use(app)
        response = server.get()
        assert (response.status, response.body, response.closes) == (500, b"Internal Server Error", True)
        assert server.line() == "ASGI callable returned without starting response."

    def test_without_a_response_after_a_pause(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await receive()
            await asyncio.sleep(0)

        server.use(app)
        response = server.get()
        assert (response.status, response.closes) == (500, True)
        assert server.line()

    @pytest.mark.parametrize("pause", [False, True], ids=["at-once", "after-a-pause"])
    def test_without_the_end(self, server: Server, pause: bool) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await begin(send)
            if pause:
                await asyncio.sleep(0)

        server.use(app)
        with server.raw() as peer:
            peer.send(GET)
            data, _ = peer.drain()
            assert not data.endswith(b"0\r\n\r\n")
            assert data.count(b"HTTP/1.1 ") <= 1
        assert server.line() == "ASGI callable returned without completing response."
        lives(server)

    @pytest.mark.parametrize("pause", [False, True], ids=["at-once", "after-a-pause"])
    def test_with_the_head_alone(self, server: Server, pause: bool) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await head_only(send)
            if pause:
                await asyncio.sleep(0)

        server.use(app)
        with server.raw() as peer:
            peer.send(GET)
            data, _ = peer.drain()
            assert data == b"" or data.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 500 "))
            assert data.startswith(b"HTTP/1.1 500 ") or b"\r\n0\r\n" not in data
        assert server.line()
        lives(server)

    def test_after_the_client_has_gone(self, server: Server) -> None:
        """No response, but nobody waits for one: nothing to say."""
        told = server.gate()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await receive()
            assert (await receive())["type"] == "http.disconnect"
            told.open()

        server.use(app)
        peer = server.raw()
        peer.send(GET)
        server.until(lambda: len(server.calls) == 1, "the call begins")
        peer.reset()
        told.wait()
        assert server.take_log() == []


class TestShape:
    """Applications that are not `async def app(scope, receive, send)`."""

    def test_plain_function_that_returns_a_coroutine(self, server: Server) -> None:
        server.use(lambda scope, receive, send: ok(scope, receive, send))
        assert server.get().body == b"whole"

    def test_object(self, server: Server) -> None:
        class App:
            async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
                await ok(scope, receive, send)

        server.use(App())
        assert server.get().body == b"whole"

    def test_awaitable_that_is_no_coroutine(self, server: Server) -> None:
        """Anything that can be awaited will do: here a class whose instances have __await__."""

        class Call:
            def __init__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
                self.work = ok(scope, receive, send)

            def __await__(self) -> Any:
                return self.work.__await__()

        server.use(Call)
        assert server.get().body == b"whole"

    def test_future(self, server: Server) -> None:
        server.use(lambda scope, receive, send: asyncio.ensure_future(ok(scope, receive, send)))
        assert server.get().body == b"whole"

    @pytest.mark.parametrize("result", [None, 1, "x", [1]], ids=repr)
    def test_not_awaitable(self, server: Server, result: Any) -> None:
        server.use(lambda scope, receive, send: result)
        response = server.get()
        assert (response.status, response.closes) == (500, True)
        server.traceback(TypeError)

    def test_wrong_arguments(self, server: Server) -> None:
        async def app(scope: dict[str, Any]) -> None:
            raise AssertionError

        server.use(app)
        response = server.get()
        assert (response.status, response.closes) == (500, True)
        server.traceback(TypeError)

    @pytest.mark.parametrize("kind", [ValueError, StopIteration, SystemExit, KeyboardInterrupt], ids=lambda kind: kind.__name__)
    def test_raises_before_there_is_a_coroutine(self, server: Server, kind: type[BaseException]) -> None:
        def app(scope: dict[str, Any], receive: Any, send: Any) -> Any:
            raise kind("on purpose")

        server.use(app)
        response = server.get()
        assert (response.status, response.body) == (500, b"Internal Server Error")
        log = server.take_log()
        assert len(log) == 1 and log[0].exc_info
        lives(server)


def test_traceback_shows_the_application(server: Server) -> None:
    """The last frame is the line that raised; what stands above is short."""

    async def inner() -> None:
        raise ValueError("on purpose")

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await inner()

    server.use(app)
    assert server.get().status == 500
    error = server.traceback(ValueError)
    frames = []
    trace = error.__traceback__
    while trace:
        frames.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert frames[-2:] == ["app", "inner"]
    assert len(frames) < 12


def test_exception_is_freed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed call keeps nothing alive: neither its scope nor its locals."""
    monkeypatch.setattr(logging.getLogger("pronghorn.error"), "propagate", False)  # pytest keeps the records it sees

    class Local:
        pass

    alive: list[weakref.ref[Local]] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        local = Local()
        alive.append(weakref.ref(local))
        await asyncio.sleep(0)
        raise ValueError("on purpose")

    server.use(app)
    for _ in range(20):
        assert server.get().status == 500
        server.traceback(ValueError)
    server.calls.clear()
    server.until(lambda: server.open == 0, "every connection is closed")
    gc.collect()
    assert [one() for one in alive if one() is not None] == []


def test_deep_recursion(server: Server) -> None:
    """A real RecursionError, not a raised one: the interpreter's stack is sound afterwards."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    server.use(app)
    limit = sys.getrecursionlimit()
    response = server.get()
    assert response.status == 500
    server.traceback(RecursionError)
    assert sys.getrecursionlimit() == limit
    lives(server)
