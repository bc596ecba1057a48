"""The client leaves: http.disconnect, ClientDisconnected, and nothing in the log (I04)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from serving import Gate, Server, modes

from pronghorn.errors import ClientDisconnected

MODES = modes("lazy", "eager", "task")
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
START = {"type": "http.response.start", "status": 200}
DISCONNECT = {"type": "http.disconnect"}


def waiting(begun: Gate, seen: list[tuple[Any, float]]) -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        begun.open()
        seen.append((await receive(), time.monotonic()))
        seen.append((await receive(), time.monotonic()))

    return app


def test_reset_is_told_at_once(server: Server) -> None:
    begun, seen = server.gate(), []
    server.use(waiting(begun, seen))
    peer = server.raw()
    peer.send(GET)
    begun.wait()
    left = time.monotonic()
    peer.reset()
    server.until(lambda: len(seen) == 2, "the call is told")
    assert [message for message, _ in seen] == [DISCONNECT] * 2
    assert seen[0][1] - left < 0.5


def test_close_is_told_soon(server: Server) -> None:
    """FIN may be a half-close, so the answer is still possible; but the call hears of it in about a second and a half."""
    begun, seen = server.gate(), []
    server.use(waiting(begun, seen))
    peer = server.raw()
    peer.send(GET)
    begun.wait()
    left = time.monotonic()
    peer.close()
    server.until(lambda: len(seen) == 2, "the call is told")
    assert [message for message, _ in seen] == [DISCONNECT] * 2
    assert seen[0][1] - left < 2.0


def test_told_before_it_asks(server: Server) -> None:
    """The client has long gone when the application asks: at once, every time."""
    go = server.gate()
    seen: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await go.passed()
        seen.extend([await receive() for _ in range(3)])

    server.use(app)
    peer = server.raw()
    peer.send(GET)
    server.until(lambda: len(server.calls) == 1, "the call begins")
    peer.reset()
    server.until(lambda: server.open == 0, "the connection is gone")
    go.open()
    server.until(lambda: seen == [DISCONNECT] * 3, "the call is told")


def test_body_that_arrived_is_not_lost(server: Server) -> None:
    """The whole request came before the reset: the body may be had, or the disconnect, never half of it as the whole."""
    go = server.gate()
    seen: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.passed()
        seen.append(await receive())
        seen.append(await receive())

    server.use(app)
    peer = server.raw()
    peer.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
    server.until(lambda: len(server.calls) == 1, "the call begins")
    server.settle()
    peer.reset()
    server.until(lambda: server.open == 0, "the connection is gone")
    go.open()
    server.until(lambda: len(seen) == 2, "the call is told")
    assert seen[0] in (DISCONNECT, {"type": "http.request", "body": b"abc", "more_body": False})
    assert seen[1] == DISCONNECT


@pytest.mark.parametrize("part", ["start", "body", "more"])
def test_send_after_the_client_has_gone(server: Server, part: str) -> None:
    """ClientDisconnected, an OSError, from every send(); an application that lets it through is not at fault."""
    go = server.gate()
    raised: list[BaseException] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if part != "start":
            await send(START)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await go.passed()
        message = START if part == "start" else {"type": "http.response.body", "body": b"y", "more_body": part == "more"}
        for _ in range(2):
            try:
                await send(message)
            except OSError as error:
                raised.append(error)
        await send(message)
        raise AssertionError("not reached")

    server.use(app)
    peer = server.raw()
    peer.send(GET)
    if part != "start":
        peer.head()
    server.until(lambda: len(server.calls) == 1, "the call begins")
    peer.reset()
    server.until(lambda: server.open == 0, "the connection is gone")
    go.open()
    server.idle()
    assert [type(error) for error in raised] == [ClientDisconnected] * 2
    assert server.take_log() == []


@pytest.mark.parametrize("listens", [False, True])
def test_body_that_is_refused(server: Server, listens: bool) -> None:
    """The body turns out to be broken: the client has its 400, and the call is as if the client had gone."""
    go = server.gate()
    seen: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if listens:
            seen.append((await receive())["type"])
        else:
            await go.passed()
        try:
            await send(START)
        except OSError as error:
            seen.append(type(error))
            raise

    server.use(app)
    with server.raw() as peer:
        peer.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        server.until(lambda: len(server.calls) == 1, "the call begins")
        server.settle()
        peer.send(b"nonsense\r\n")
        response = peer.response()
        assert response.status == 400 and response.closes
        go.open()
        server.idle()
        assert peer.ended(1.5) == "fin"
    assert seen == (["http.disconnect"] if listens else []) + [ClientDisconnected]
    assert server.line()


def test_body_that_is_broken_after_the_answer(server: Server) -> None:
    """The answer is complete when the rest of the body turns out to be broken: no other request is read from it."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"early"})

    server.use(app)
    with server.raw() as peer:
        peer.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert peer.response().body == b"early"
        peer.offer(b"nonsense\r\n" + GET)
        data, how = peer.drain(1.5)
        assert how == "fin"
        assert data == b"" or data.startswith(b"HTTP/1.1 400 ")
    assert len(server.calls) == 1
    assert len(server.take_log()) <= 1


def test_wrapped_in_another_exception(server: Server) -> None:
    """A framework may raise its own error from it; the cause is still the client, but the error is the framework's."""
    go = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.passed()
        try:
            await send(START)
        except OSError as error:
            raise ValueError("wrapped") from error

    server.use(app)
    peer = server.raw()
    peer.send(GET)
    server.until(lambda: len(server.calls) == 1, "the call begins")
    peer.reset()
    server.until(lambda: server.open == 0, "the connection is gone")
    go.open()
    server.idle()
    log = server.take_log()
    assert len(log) <= 1
    if log:
        assert log[0].exc_info and isinstance(log[0].exc_info[1], ValueError)


def test_streaming_ends_when_the_client_leaves(server: Server) -> None:
    """An endless stream that only sends: the call is over within a second of the client's reset."""
    ended: list[float] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(START)
        try:
            for _ in range(100_000):
                await send({"type": "http.response.body", "body": b"tick\n" * 100, "more_body": True})
                await asyncio.sleep(0)
        finally:
            ended.append(time.monotonic())

    server.use(app)
    peer = server.raw()
    peer.send(GET)
    peer.head()
    peer.chunk()
    left = time.monotonic()
    peer.reset()
    server.until(lambda: bool(ended), "the call ends")
    assert ended[0] - left < 1.0
    assert server.take_log() == []


def test_stream_waiting_for_a_slow_reader_ends_with_it(server: Server) -> None:
    """send() waits for the client to read; when the client goes instead, it raises."""
    raised: list[BaseException] = []
    sends = 0

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal sends
        await send(START)
        try:
            for _ in range(10_000):
                await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
                sends += 1
        except OSError as error:
            raised.append(error)
            raise

    server.use(app)
    peer = server.raw()
    peer.send(GET)
    peer.head()
    stuck(server, lambda: sends)
    peer.reset()
    server.until(lambda: bool(raised), "send() raises")
    assert isinstance(raised[0], ClientDisconnected)
    server.idle()
    assert server.take_log() == []


def stuck(server: Server, count: Any) -> None:
    """Wait until the counter stands still."""
    last = -1
    same = 0
    deadline = time.monotonic() + 5
    while same < 50:
        assert time.monotonic() < deadline
        server.settle()
        same = same + 1 if count() == last else 0
        last = count()


def test_disconnect_while_a_child_task_receives(server: Server) -> None:
    """Starlette's pattern: a task listens for the disconnect and cancels the stream."""
    begun, ended = server.gate(), server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send(START)

        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        async def stream() -> None:
            begun.open()
            await asyncio.Event().wait()

        tasks = [asyncio.create_task(listen()), asyncio.create_task(stream())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        ended.open()

    server.use(app)
    peer = server.raw()
    peer.send(GET)
    begun.wait()
    peer.close()
    ended.wait(2.0)
    server.idle()
    assert len(server.take_log()) <= 1


def test_pipelined_requests_of_a_client_that_left(server: Server) -> None:
    """The client resets while the first of many is under way: the others need not be served, and nothing is logged."""
    go = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.passed()
        await send(START)
        await send({"type": "http.response.body", "body": b"x"})

    server.use(app)
    peer = server.raw()
    peer.send(GET * 20)
    server.until(lambda: len(server.calls) == 1, "the call begins")
    peer.reset()
    server.until(lambda: server.open == 0, "the connection is gone")
    go.open()
    server.idle()
    assert len(server.calls) == 1
    assert server.take_log() == []


def test_calls_are_not_cancelled(server: Server) -> None:
    """A client that leaves does not cancel the call: what it began it may finish, as under uvicorn."""
    go = server.gate()
    finished: list[bool] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.passed()
        finished.append(True)

    server.use(app)
    peer = server.raw()
    peer.send(GET)
    server.until(lambda: len(server.calls) == 1, "the call begins")
    peer.reset()
    server.until(lambda: server.open == 0, "the connection is gone")
    server.settle()
    assert finished == []
    go.open()
    server.until(lambda: finished == [True], "the call finishes")
