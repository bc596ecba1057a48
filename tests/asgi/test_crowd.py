"""The current task, while many requests are served one right after the other.

The task of one may then stay the current task until the next one's takes its place: nobody must be able to tell.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from frames import connect, frame
from peer import Peer
from probes import head
from serving import Server, modes
from sessions import begin

MODES = modes("lazy", "eager", "task")
COUNT = 12


def get(path: str) -> bytes:
    return head(method="GET", target=path)


async def reply(send: Any, body: bytes = b"ok") -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body})


class Crowd:
    """A request to /block stops the loop until what all others send is there, so that it is one batch."""

    def __init__(self, server: Server, app: Any) -> None:
        self.server, self.app = server, app
        self.blocked, self.go = threading.Event(), threading.Event()
        server.use(self)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/block":
            self.blocked.set()
            assert self.go.wait(5)
            await reply(send)
        elif scope["path"] == "/first":
            await reply(send)
        else:
            await self.app(scope, receive, send)

    def send(self, *pairs: tuple[Peer, bytes]) -> None:
        self.blocked.clear()
        self.go.clear()
        with self.server.raw() as blocker:
            blocker.send(get("/block"))
            assert self.blocked.wait(5)
            for peer, data in pairs:
                peer.send(data)
            self.go.set()
            assert blocker.response().body == b"ok"

    def peers(self, count: int = COUNT) -> list[Peer]:
        peers = [self.server.raw() for _ in range(count)]
        for peer in peers:  # they are accepted
            assert peer.send(get("/first")).response().body == b"ok"
        return peers


def current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    assert not task.done()
    return task


@pytest.mark.parametrize("keep", ["all", "some"])
def test_each_has_its_own(server: Server, keep: str) -> None:
    """Kept, named, weakly or not at all: the next one is another, as long as somebody could tell."""
    kept: list[asyncio.Task[Any]] = []
    names: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        task = current()
        assert all(task is not other for other in kept)
        if keep == "all" or scope["path"] == "/1":
            kept.append(task)
        if scope["path"] == "/2":
            names.append(task.get_name())
        if scope["path"] == "/3":
            await asyncio.sleep(0)
            assert current() is task
        await reply(send)

    crowd = Crowd(server, app)
    peers = crowd.peers()
    for _ in range(2):
        crowd.send(*((peer, get(f"/{number % 4}")) for number, peer in enumerate(peers)))
        for peer in peers:
            assert peer.response().body == b"ok"
    server.idle()
    server.settle()
    assert all(task.done() for task in kept)
    assert len({*names}) == len(names) == COUNT // 2
    for peer in peers:
        peer.close()


def test_nobody_afterwards(server: Server) -> None:
    """What the loop runs next is no task of ours."""
    seen: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        server.loop.call_soon(lambda: seen.append(asyncio.current_task()))
        await reply(send)

    crowd = Crowd(server, app)
    peers = crowd.peers()
    crowd.send(*((peer, get("/")) for peer in peers))
    for peer in peers:
        assert peer.response().body == b"ok"
        peer.close()
    server.settle()
    assert seen == [None] * COUNT


def test_nobody_behind_one_that_goes_on_alone(server: Server) -> None:
    """After a batch, a request that has waited for the rest of its body."""
    seen: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        task = current()
        while (await receive())["more_body"]:
            pass
        assert current() is task
        server.loop.call_soon(lambda: seen.append(asyncio.current_task()))
        await reply(send)

    crowd = Crowd(server, app)
    peers = crowd.peers()
    request = head("Content-Length: 4", target="/")
    crowd.send(*((peer, request + b"ab") for peer in peers))
    for peer in peers:
        assert peer.send(b"cd").response().body == b"ok"
        server.settle()
        peer.close()
    assert seen == [None] * COUNT


def test_tasks_of_others(server: Server) -> None:
    """They run between two batches, and in what they do they are the current task."""
    found: list[bool] = []

    async def other() -> None:
        task = current()
        await asyncio.sleep(0)
        found.append(current() is task)

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        task = current()
        if scope["path"] == "/task":
            made = asyncio.create_task(other())
            assert current() is task
            await made
        elif scope["path"] == "/timeout":
            async with asyncio.timeout(5):
                await other()
        assert current() is task
        await reply(send)

    crowd = Crowd(server, app)
    peers = crowd.peers()
    paths = ["/task", "/", "/timeout"]
    crowd.send(*((peer, get(paths[number % 3])) for number, peer in enumerate(peers)))
    for peer in peers:
        assert peer.response().body == b"ok"
        peer.close()
    assert found == [True] * (COUNT // 3 * 2)


class Looking(logging.Handler):
    """Asks who is running, as a formatter with the task's name does."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[Any, str | None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        task = asyncio.current_task()
        self.found.append((task, None if task is None else task.get_name()))


@contextmanager
def looking() -> Iterator[Looking]:
    handler = Looking()
    logger = logging.getLogger("pronghorn.error")
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)


def test_log_of_one_that_fails(server: Server) -> None:
    """Its own step is over; a handler of the log that names the task does not name anybody else's."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/raise":
            raise RuntimeError("on purpose")
        if scope["path"] == "/name":
            names.append(current().get_name())
        if scope["path"] != "/nothing":
            await reply(send)

    names: list[str] = []
    crowd = Crowd(server, app)
    peers = crowd.peers()
    paths = ["/raise", "/", "/nothing", "/name"]
    with looking() as handler:
        crowd.send(*((peer, get(paths[number % 4])) for number, peer in enumerate(peers)))
        statuses = [peer.response().status for peer in peers]
    assert statuses == [500, 200, 500, 200] * (COUNT // 4)
    assert len(server.take_log()) == COUNT // 2
    assert len(handler.found) == COUNT // 2
    if server.task == "lazy":
        assert handler.found == [(None, None)] * (COUNT // 2)
    told = [name for _, name in handler.found if name is not None]
    assert len({*names, *told}) == len(names) + len(told)
    for peer in peers:
        peer.close()


def test_log_of_one_that_is_refused(server: Server) -> None:
    """Behind one whose application waits."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await reply(send)

    crowd = Crowd(server, app)
    peers = crowd.peers()
    waiting = head("Content-Length: 2", target="/")
    with looking() as handler:
        crowd.send(*((peer, b"wrong\r\n\r\n" if number % 2 else waiting) for number, peer in enumerate(peers)))
        for number, peer in enumerate(peers):
            if number % 2 == 0:
                peer.send(b"ab")
            assert peer.response().status == (400 if number % 2 else 200)
            peer.close()
    assert handler.found == [(None, None)] * (COUNT // 2)
    assert len(server.take_log()) == COUNT // 2


def test_what_is_left_behind(server: Server) -> None:
    """A finalizer that runs when the step is over, and keeps whom it finds: that one serves nobody else."""
    found: list[Any] = []
    seen: list[bool] = []

    class Left:
        def __del__(self) -> None:
            found.append(asyncio.current_task())

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        task = current()
        seen.append(any(task is other for other in found))
        scope["left"] = Left()
        await reply(send)

    crowd = Crowd(server, app)
    peers = crowd.peers()
    crowd.send(*((peer, get("/")) for peer in peers))
    for peer in peers:
        assert peer.response().body == b"ok"
        peer.close()
    server.idle()
    assert seen == [False] * COUNT


@pytest.mark.parametrize("wait", ["parked", "task"])
def test_sessions(server: Server, wait: str) -> None:
    """Messages that arrive between requests: each session goes on as its own task, and at once."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            current()
            return await reply(send)
        await begin(receive, send)
        task = current()
        while True:
            message = await (receive() if wait == "parked" else asyncio.wait_for(receive(), 5))
            assert current() is task
            if message["type"] == "websocket.disconnect":
                return
            await send({**message, "type": "websocket.send"})

    crowd = Crowd(server, app)
    peers = crowd.peers()
    clients = [connect(server, target="/ws") for _ in peers]
    for client in clients:
        assert client.send(frame(1, b"first")) and client.message() == "first"
    pairs: list[tuple[Peer, bytes]] = []
    for peer, client in zip(peers, clients, strict=True):
        pairs += [(peer, get("/")), (client, frame(1, b"second"))]
    for _ in range(2):
        crowd.send(*pairs)
        for peer, client in zip(peers, clients, strict=True):
            assert peer.response().body == b"ok"
            assert client.message() == "second"
    for peer, client in zip(peers, clients, strict=True):
        peer.close()
        client.leave()
        client.close()
