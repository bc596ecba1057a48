"""What a review found, each as it was shown: none of it may come back."""

from __future__ import annotations

import asyncio
import gc
import resource
from typing import Any

from probes import FIRST, Recorder, head
from serving import Server, modes

MODES = modes("lazy", "task")


async def reply(send: Any, body: bytes = b"ok") -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body})


def test_head_written_by_another_request(server: Server) -> None:
    """A head that another request's step wrote is dropped when its own application raises: nothing else is sent."""
    sends: dict[str, Any] = {}
    waiting = asyncio.Event()
    go = asyncio.Event()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/victim":
            sends["victim"] = send
            waiting.set()
            await go.wait()
            raise ValueError("on purpose")
        await waiting.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-secret", b"of the first client")]})
        go.set()
        await sends["victim"]({"type": "http.response.start", "status": 200})
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"ok"})

    server.use(app)
    with server.raw() as victim, server.raw() as other:
        victim.send(head(method="GET", target="/victim"))
        server.until(lambda: len(server.calls) == 1, "the victim waits")
        other.send(head(method="GET", target="/other"))
        assert other.response().body == b"ok"
        data, _ = victim.drain(1.5)
        assert b"x-secret" not in data
    server.take_log()


def test_input_behind_a_head_refused_in_pieces(server: Server) -> None:
    """Thrown away, not gathered."""
    server.use(Recorder())
    with server.raw() as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: h\r\nA")
        server.settle()
        peer.send(b" : x\r\n\r\n")
        assert peer.response().status == 400
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(200):
            if not peer.offer(b"x" * 1_000_000):
                break
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, "KiB"
    server.take_log()


def test_early_answer_to_a_body_that_never_comes(server: Server) -> None:
    """Behind a slow answer, too, the rest of the body is waited for a second, not for ever."""
    gate = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await gate.passed()
        await reply(send)

    server.use(app)
    with server.raw() as peer:
        peer.send(head(method="GET", target="/slow") + head("Content-Length: 1000") + b"x")
        server.until(lambda: len(server.calls) == 1, "the first call begins")
        gate.open()
        assert (peer.response().status, peer.response().status) == (200, 200)
        assert peer.ended(4.0) == "fin"


def test_bad_chunk_behind_an_early_answer(server: Server) -> None:
    """The request has had its answer: no second one."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await reply(send)

    server.use(app)
    with server.raw() as peer:
        peer.send(head("Transfer-Encoding: chunked") + b"5\r\nhe")
        assert peer.response().status == 200
        peer.send(b"llo??")
        data, how = peer.drain(1.5)
        assert (data, how) == (b"", "fin")
    server.take_log()


def test_name_of_a_task_does_not_reach_the_next_request(server: Server) -> None:
    names: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        if scope["path"] == "/name":
            task.set_name("alice")
        else:
            names.append(task.get_name())
        await reply(send)

    server.use(app)
    for path in ("/name", "/a", "/b"):
        with server.raw() as peer:
            peer.send(head(method="GET", target=path))
            assert peer.response().status == 200
    assert "alice" not in names and len(set(names)) == 2


def test_freed_without_the_collector(server: Server) -> None:
    """Connections that are closed and requests that waited leave no cycles."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        await reply(send)

    def count() -> int:
        server.until(lambda: server.open == 0 and server.active == 0, "nothing is under way")
        kinds = ("Http1", "SocketConnection", "StreamConnection", "BufferedConnection", "Exchange")
        return sum(type(one).__name__ in kinds for one in gc.get_objects())

    def clients() -> None:
        for _ in range(30):
            with server.raw() as peer:
                peer.send(FIRST)
                assert peer.response().status == 200

    server.use(app)
    clients()
    server.calls.clear()
    gc.collect()
    before = count()
    gc.disable()
    try:
        clients()
        server.calls.clear()
        assert count() - before < 10
    finally:
        gc.enable()


def test_empty_lines_behind_a_request(server: Server) -> None:
    """They do not begin a request: no 408 for them, and the next request is served."""
    server.use(Recorder())
    with server.raw() as peer:
        for _ in range(3):
            peer.send(FIRST + b"\r\n")
            assert peer.response().status == 200
            server.settle()
        peer.send(b"\n" + FIRST)
        assert peer.response().status == 200


def test_scope_that_the_application_has_changed(server: Server) -> None:
    """The access line is about the request as it came."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        scope.clear()
        await reply(send)

    server.use(app)
    assert server.get("/a?b").status == 200
