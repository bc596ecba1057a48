"""Callables and awaitables that an application keeps and uses when their request is long over.

A server that uses its objects again must not let them speak for another request.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import ExitStack
from typing import Any

import pytest
from serving import Server, modes

from pronghorn._core.exchange import Exchange
from pronghorn.errors import MessageError

MODES = modes("lazy", "eager", "task")
START = {"type": "http.response.start", "status": 200}
DISCONNECT = {"type": "http.disconnect"}


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


async def reply(send: Any, body: bytes = b"ok") -> None:
    await send(START)
    await send({"type": "http.response.body", "body": body})


class Keeper:
    """Keeps what the first call was given, and uses it in the second, before its own response and after."""

    def __init__(self, use: Any) -> None:
        self.kept: tuple[Any, Any] | None = None
        self.use = use
        self.found: list[Any] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if self.kept is None:
            self.kept = (receive, send)
            await reply(send, b"first")
            return
        await self.use(*self.kept, self.found)
        assert (await receive())["type"] == "http.request"
        await send(START)
        await self.use(*self.kept, self.found)
        await send({"type": "http.response.body", "body": b"second"})
        await self.use(*self.kept, self.found)


async def send_late(receive: Any, send: Any, found: list[Any]) -> None:
    for message in (START, {"type": "http.response.body", "body": b"WRONG"}):
        try:
            await send(message)
        except MessageError as error:
            found.append(str(error))


async def receive_late(receive: Any, send: Any, found: list[Any]) -> None:
    found.append(await receive())


@pytest.mark.parametrize("pipelined", [False, True])
def test_send_of_another_request(server: Server, pipelined: bool) -> None:
    keeper = Keeper(send_late)
    server.use(keeper)
    with server.raw() as peer:
        if pipelined:
            peer.send(get("/1") + get("/2"))
            assert peer.response().body == b"first"
        else:
            peer.send(get("/1"))
            assert peer.response().body == b"first"
            peer.send(get("/2"))
        assert peer.response().body == b"second"
        server.idle()
        assert peer.pending() == b""
    assert len(keeper.found) == 6
    assert set(keeper.found) == {
        f"Unexpected ASGI message '{kind}' sent, after response already completed."
        for kind in ("http.response.start", "http.response.body")
    }


def test_receive_of_another_request(server: Server) -> None:
    keeper = Keeper(receive_late)
    server.use(keeper)
    with server.raw() as peer:
        peer.send(get("/1") + get("/2"))
        assert (peer.response().body, peer.response().body) == (b"first", b"second")
        server.idle()
    assert keeper.found == [DISCONNECT] * 3


def test_of_another_connection(server: Server) -> None:
    """The first client has left; its send() does not reach the second."""
    keeper = Keeper(send_late)
    server.use(keeper)
    assert server.ask(get("/1")).body == b"first"
    server.until(lambda: server.open == 0, "the connection is closed")
    assert server.ask(get("/2")).body == b"second"
    server.idle()
    assert len(keeper.found) == 6


@pytest.mark.parametrize("size", [3, 20_000, 200_000])
@pytest.mark.parametrize("pause", [False, True])
def test_send_of_a_running_request(server: Server, size: int, pause: bool) -> None:
    """One call writes for another, as a chat does, in the middle of its own response: neither gets the other's bytes."""
    waiting: list[Any] = []
    done = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/waiting":
            waiting.append(send)
            await done.passed()
            await send({"type": "http.response.body", "body": b"end"})
            return
        (other,) = waiting
        await send(START)
        await other(START)
        for number in range(10):
            body = bytes([number]) * size
            await send({"type": "http.response.body", "body": b"own" + body, "more_body": True})
            await other({"type": "http.response.body", "body": b"other" + body, "more_body": True})
            if pause:
                await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"end"})
        done.open()

    server.use(app)
    with server.raw() as one, server.raw() as two:
        one.send(get("/waiting"))
        server.until(lambda: len(waiting) == 1, "the first call begins")
        two.send(get("/writing"))
        assert two.response().body == b"".join(b"own" + bytes([number]) * size for number in range(10)) + b"end"
        assert one.response().body == b"".join(b"other" + bytes([number]) * size for number in range(10)) + b"end"


@pytest.mark.parametrize("kept", ["receive", "send", "both"])
def test_kept_for_many_requests(server: Server, kept: str) -> None:
    """Each call has callables of its own while the others' are held."""
    keep: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if kept != "send":
            assert all(receive is not other for other in keep)
            keep.append(receive)
        if kept != "receive":
            assert all(send is not other for other in keep)
            keep.append(send)
        await reply(send, scope["raw_path"])

    server.use(app)
    with server.raw() as peer:
        peer.send(b"".join(get(f"/{number}") for number in range(30)))
        for number in range(30):
            assert peer.response().body == f"/{number}".encode()
        server.idle()


def test_awaitable_of_receive_awaited_late(server: Server) -> None:
    """receive() was called while the request ran, and is awaited when another one does."""
    pending: list[Any] = []
    found: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/1":
            pending.append(receive())
            await reply(send)
        else:
            found.append(await pending.pop())
            assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
            await reply(send)

    server.use(app)
    with server.raw() as peer:
        peer.send(get("/1") + get("/2"))
        assert (peer.response().body, peer.response().body) == (b"ok", b"ok")
    assert found == [DISCONNECT]


def test_two_awaitables_at_once(server: Server) -> None:
    """Two receive() are called before either is awaited: they are two."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        first, second = receive(), receive()
        assert first is not second
        message = await second
        assert message == {"type": "http.request", "body": b"abc", "more_body": False}
        waiting = asyncio.ensure_future(first)
        await asyncio.sleep(0)
        assert not waiting.done()
        await reply(send)
        assert await waiting == DISCONNECT

    server.use(app)
    assert server.get("/", method="POST", body=b"abc").body == b"ok"


def test_finished_awaitable_awaited_again(server: Server) -> None:
    """A second await of the same object is a fault of the application's; it must not take another message."""
    raised: list[BaseException] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        awaitable = receive()
        message = await awaitable
        assert message["body"] == b"abc"
        try:
            async with asyncio.timeout(0.02):
                again = await awaitable
                assert again in (message, DISCONNECT)
        except (RuntimeError, TimeoutError) as error:
            raised.append(error)
        await reply(send)

    server.use(app)
    assert server.get("/", method="POST", body=b"abc").body == b"ok"
    assert len(raised) <= 1


def test_background_task_of_the_application(server: Server) -> None:
    """A task that outlives its call still holds receive(): it hears of the end, once its response is complete."""
    found: list[Any] = []
    tasks: list[asyncio.Task[None]] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def listen() -> None:
            while True:
                message = await receive()
                found.append((scope["path"], message["type"]))
                if message["type"] == "http.disconnect":
                    return

        tasks.append(asyncio.create_task(listen()))
        await asyncio.sleep(0)
        await reply(send, scope["raw_path"])

    server.use(app)
    with server.raw() as peer:
        peer.send(b"".join(get(f"/{number}") for number in range(10)))
        for number in range(10):
            assert peer.response().body == f"/{number}".encode()
        server.until(lambda: len(found) == 20, "every listener is told")
    for number in range(10):
        assert [kind for path, kind in found if path == f"/{number}"] == ["http.request", "http.disconnect"]


def test_after_a_crowd(server: Server) -> None:
    """What served three hundred at once is not kept when they have gone."""
    gate: list[asyncio.Event] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/wait":
            gate.extend([asyncio.Event()] if not gate else [])
            await gate[0].wait()
        elif scope["path"] == "/open":
            gate[0].set()
        await reply(send)

    def kept() -> int:
        gc.collect()
        return sum(type(one) is Exchange for one in gc.get_objects())

    server.use(app)
    before = kept()
    with ExitStack() as stack:
        peers = [stack.enter_context(server.raw()) for _ in range(300)]
        for peer in peers:
            peer.send(get("/wait"))
        server.until(lambda: server.active == 300, "all are waiting")
        assert kept() - before >= 290
        assert server.get("/open").status == 200
        for peer in peers:
            assert peer.response().status == 200
    server.idle()
    assert kept() <= max(before, 130)
