"""How connections end: half-close, reset, and the lingering close that lets the client read its answer."""

from __future__ import annotations

import asyncio
import contextlib
import select
import time
from typing import Any

import pytest
from frames import upgrade
from probes import FIRST, Recorder, head
from serving import Server

SETTINGS = {"timeout_linger": 1.0}


async def path(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": scope["raw_path"]})


async def pausing(scope: dict[str, Any], receive: Any, send: Any) -> None:
    for _ in range(5):
        await asyncio.sleep(0)
    await path(scope, receive, send)


@pytest.mark.parametrize("app", [path, pausing], ids=lambda app: app.__name__)
def test_half_close_still_gets_the_answer(server: Server, app: Any) -> None:
    server.use(app)
    with server.raw() as peer:
        peer.send(FIRST).finish()
        assert peer.response().body == b"/first"
        assert peer.ended(1.5) == "fin"


def test_half_close_after_a_pipeline(server: Server) -> None:
    server.use(pausing)
    with server.raw() as peer:
        peer.send(b"".join(head(method="GET", target=f"/{number}") for number in range(20))).finish()
        for number in range(20):
            assert peer.response().body == f"/{number}".encode()
        assert peer.ended(1.5) == "fin"


def test_half_close_in_the_middle_of_a_pipeline(server: Server) -> None:
    """FIN arrives while some are answered and others still wait: at whatever moment, every request gets its answer."""
    server.use(pausing)
    count = 100
    data = b"".join(head(method="GET", target=f"/{number}") for number in range(count))
    for moment in range(0, count, 3):
        with server.raw() as peer:
            peer.send(data)
            for number in range(count):
                if number == moment:
                    peer.finish()
                assert peer.response().body == f"/{number}".encode()
            assert peer.ended(1.5) == "fin"


def test_half_close_with_a_body(server: Server) -> None:
    server.use(Recorder())
    with server.raw() as peer:
        peer.send(head("Content-Length: 5") + b"hello").finish()
        assert peer.response().body == b"hello"
        assert peer.ended(1.5) == "fin"


def test_half_close_with_a_slow_answer(server: Server) -> None:
    """The call is told that the client may have gone, but what it sends still arrives."""
    told = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        told.open()
        await path(scope, receive, send)

    server.use(app)
    with server.raw() as peer:
        peer.send(FIRST).finish()
        told.wait(2.0)
        assert peer.response().body == b"/first"


def test_half_close_before_anything(server: Server) -> None:
    server.use(path)
    with server.raw() as peer:
        peer.finish()
        assert peer.ended(1.5) == "fin"
    assert server.calls == []


def test_half_close_when_idle(server: Server) -> None:
    server.use(path)
    with server.raw() as peer:
        peer.send(FIRST)
        assert peer.response().status == 200
        peer.finish()
        assert peer.ended(1.5) == "fin"


def test_half_close_in_the_head(server: Server) -> None:
    """Half a head and FIN: at most one 400, then the end, and no call."""
    server.use(path)
    with server.raw() as peer:
        peer.send(b"GET /half HTTP/1.1\r\nHost: a").finish()
        data, how = peer.drain(1.5)
        assert how == "fin"
        assert data == b"" or data.startswith(b"HTTP/1.1 400 ")
    assert server.calls == []
    assert len(server.take_log()) <= 1


@pytest.mark.parametrize("body", ["length", "chunked"])
def test_half_close_in_the_body(server: Server, body: str) -> None:
    """The request can never become whole: the application is told at once."""
    recorder = Recorder()
    server.use(recorder)
    with server.raw() as peer:
        if body == "length":
            peer.send(head("Content-Length: 5", target="/cut") + b"he")
        else:
            peer.send(head("Transfer-Encoding: chunked", target="/cut") + b"5\r\nhe")
        server.until(lambda: len(server.calls) == 1, "the call begins")
        peer.finish()
        data, how = peer.drain(1.5)
        assert how == "fin"
        assert b"200 OK" not in data
    server.until(lambda: recorder.cut == ["/cut"], "the call is told")
    server.take_log()


@pytest.mark.parametrize(
    ("behind", "answers", "cut"),
    [
        (b"", 1, []),
        (FIRST, 2, []),
        (FIRST[:20], 1, []),
        (head("Content-Length: 5", target="/cut") + b"he", 1, ["/cut"]),
        (head("Transfer-Encoding: chunked", target="/cut") + b"5\r\nhe", 1, ["/cut"]),
    ],
    ids=["nothing", "whole", "half-head", "half-body", "half-chunk"],
)
def test_half_close_behind_a_slow_answer(server: Server, behind: bytes, answers: int, cut: list[str]) -> None:
    """FIN is read while the first call is under way; what stands before it, whole or not, is dealt with in its turn."""
    gate = server.gate()
    recorder = Recorder()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await gate.passed()
        await recorder(scope, receive, send)

    server.use(app)
    with server.raw() as peer:
        peer.send(head(method="GET", target="/slow") + behind).finish()
        server.until(lambda: len(server.calls) == 1, "the call begins")
        server.settle()
        gate.open()
        for _ in range(answers):
            assert peer.response().status == 200
        data, how = peer.drain(1.5)
        assert how == "fin" and not data.startswith(b"HTTP/1.1 200")
    server.until(lambda: recorder.cut == cut, "the call is told")
    assert len(server.take_log()) <= 1


@pytest.mark.parametrize("state", ["silent", "half-head", "in-call", "half-body", "after-the-answer"])
def test_reset_in_every_state(server: Server, state: str) -> None:
    """Nothing is left behind and nothing is logged, many times over."""
    gate = server.gate()
    called = 0

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal called
        called += 1
        if state == "in-call":
            await receive()
            assert (await receive())["type"] == "http.disconnect"
        elif state == "half-body":
            assert (await receive())["type"] == "http.request"
            assert (await receive())["type"] == "http.disconnect"
        else:
            await path(scope, receive, send)

    server.use(app)
    rounds = 100
    for number in range(rounds):
        peer = server.raw()
        if state == "half-head":
            peer.send(b"GET / HTTP/1.1\r\nHo")
        elif state == "in-call":
            peer.send(FIRST)
            server.until(lambda number=number: called == number + 1, "the call begins")
        elif state == "half-body":
            peer.send(head("Content-Length: 5") + b"h")
            server.until(lambda number=number: called == number + 1, "the call begins")
        elif state == "after-the-answer":
            peer.send(FIRST)
            peer.response()
        peer.reset()
    gate.open()
    server.until(lambda: server.open == 0, "every connection is closed")
    assert called == (0 if state in ("silent", "half-head") else rounds)


def test_error_is_readable_while_the_client_keeps_sending(server: Server) -> None:
    """A lingering close: the write side is shut, the input thrown away, so that no reset eats the 400."""
    server.use(path)
    with server.raw() as peer:
        peer.pour(b"GET / HTTP/1.1\r\nX : y\r\n\r\n" + bytes(4_000_000), patience=0.05)
        response = peer.response()
        assert response.status == 400 and response.closes
        assert peer.ended(1.5) == "fin"
    assert server.line()


def test_linger_has_a_limit(server: Server) -> None:
    """A client that never stops sending is cut off after timeout_linger."""
    server.use(path)
    with server.raw() as peer:
        began = time.monotonic()
        peer.send(b"GET / HTTP/1.1\r\nX : y\r\n\r\n")
        assert peer.response().status == 400
        assert peer.ended(1.5) == "fin"
        assert server.open == 1, "the connection lingers for the rest of the input"
        server.until(lambda: server.open == 0, "the connection is gone", within=3.0)
        assert 0.5 < time.monotonic() - began < 2.5
    assert server.line()


@pytest.mark.parametrize("kind", ["request", "websocket"])
def test_linger_has_a_limit_in_bytes(server: Server, kind: str) -> None:
    """What a refused client goes on to send is thrown away, but not without end: then it is not read any more."""
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await path(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    server.use(app)
    most = 200_000_000  # 64 MiB, and what the system keeps
    with server.raw() as peer:
        if kind == "request":
            peer.send(b"GET / HTTP/1.1\r\nX : y\r\n\r\n")
            assert peer.response().status == 400
        else:
            peer.send(upgrade())
            assert peer.head().status == 101
            peer.send(b"\xff\xff")
        assert peer.drain(1.5)[1] == "fin"
        piece, sent = bytes(1_000_000), 0
        with contextlib.suppress(ConnectionError, TimeoutError):
            while sent < most and select.select([], [peer.socket], [], 0.2)[1]:
                sent += len(piece) if peer.socket.sendall(piece) is None else 0
        assert 0 < sent < most
    server.until(lambda: server.open == 0, "the connection is gone", within=5.0)
    assert server.line()


def test_linger_ends_with_the_client(server: Server) -> None:
    server.use(path)
    began = time.monotonic()
    with server.raw() as peer:
        peer.send(b"GET / HTTP/1.1\r\nX : y\r\n\r\n")
        assert peer.response().status == 400
        assert peer.ended(1.5) == "fin"
    server.until(lambda: server.open == 0, "the connection is gone", within=0.9)
    assert time.monotonic() - began < 0.9
    assert server.line()
