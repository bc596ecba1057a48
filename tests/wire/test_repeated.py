"""Requests with the fields of the one before, whose section is not parsed again: nobody can tell."""

from __future__ import annotations

import re
from typing import Any

import pytest
from probes import Recorder, Seen, head, reply
from serving import BYTES, Server, serve

MODES = BYTES
LINES = ["Accept: */*", "Cookie: a=b", "X-Empty:", "X-Spaced:  c  ", "Accept: text/html"]
GOOD = head(*LINES, method="GET", target="/good")
OTHERS = [b"\0", b"\n", b"\r", b" ", b":", b"x", b"\xff"]


def outcome(server: Server, request: bytes, before: int) -> tuple[bytes, str, list[tuple[Seen, list[tuple[bytes, bytes]]]]]:
    """What a request comes to behind so many good ones: the bytes of the answer, the end, and what the application saw."""
    app = Recorder()
    server.use(app)
    with server.raw() as peer:
        for _ in range(before):
            peer.send(GOOD)
            assert peer.response().status == 200
        del app.whole[:]
        peer.send(request).finish()
        answer, end = peer.drain(3.0)
    server.take_log()
    return re.sub(rb"date: [^\r]+", b"date:", answer), end, [(seen, seen.headers) for seen in app.whole]


def same(server: Server, request: bytes) -> None:
    alone, behind = outcome(server, request, 0), outcome(server, request, 4)
    assert behind == alone, f"{request!r}: {behind} behind four others, {alone} alone"


@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_an_octet_that_is_another_one(server: Server, other: bytes) -> None:
    for at in range(len(GOOD)):
        if GOOD[at : at + 1] != other:
            same(server, GOOD[:at] + other + GOOD[at + 1 :])


def test_an_octet_that_is_missing_or_there_twice(server: Server) -> None:
    for at in range(len(GOOD)):
        same(server, GOOD[:at] + GOOD[at + 1 :])
        same(server, GOOD[:at] + GOOD[at : at + 1] + GOOD[at:])


@pytest.mark.parametrize(
    "line",
    [
        "GET /good HTTP/1.0", "GET /good HTTP/1.2", "GET /good HTTP/2.0", "GET  /good HTTP/1.1", "GET /good  HTTP/1.1",
        "GET http://a/good HTTP/1.1", "GET http://b/good HTTP/1.1", "GET good HTTP/1.1", "GET * HTTP/1.1", "GET / good HTTP/1.1",
        "OPTIONS * HTTP/1.1", "OPTIONS /good HTTP/1.1", "CONNECT a:80 HTTP/1.1", "CONNECT /good HTTP/1.1", "TRACE /good HTTP/1.1",
        "POST /good HTTP/1.1", "HEAD /good HTTP/1.1", "QUERY /good HTTP/1.1", "NONSENSE /good HTTP/1.1", "get /good HTTP/1.1",
        "GET /good", "GET", "", "\r\nGET /good HTTP/1.1", "GET /good HTTP/1.1\r\n", "GET /a#b HTTP/1.1", "GET /%41?b=%zz HTTP/1.1",
        "GET /\x80 HTTP/1.1", "PRI * HTTP/2.0", "GET /good HTTP/1.1\r\nGET /good HTTP/1.1",
    ],
)  # fmt: skip
def test_another_request_line(server: Server, line: str) -> None:
    same(server, line.encode("latin-1") + GOOD[GOOD.index(b"\r\n") :])


@pytest.mark.parametrize(
    "line",
    [
        "Connection: close", "Connection: keep-alive", "Content-Length: 0", "Content-Length: 3", "Transfer-Encoding: chunked",
        "Expect: 100-continue", "Upgrade: h2c", "Host: b", "Upgrade: websocket\r\nConnection: upgrade", " folded", "X_Y: z",
    ],
)  # fmt: skip
def test_one_field_more(server: Server, line: str) -> None:
    same(server, GOOD[:-2] + line.encode() + b"\r\n\r\nabc")


def test_at_every_split(server: Server) -> None:
    app = Recorder()
    server.use(app)
    with server.raw() as peer:
        for at in range(1, len(GOOD)):
            peer.send(GOOD[:at])
            peer.send(GOOD[at:])
            assert peer.response().status == 200
            peer.send(GOOD)
            assert peer.response().status == 200
    assert len(app.whole) == 2 * (len(GOOD) - 1)
    assert len({str(seen.headers) for seen in app.whole}) == 1


def test_pipelined(server: Server) -> None:
    app = Recorder()
    server.use(app)
    with server.raw() as peer:
        peer.send(b"".join(head(*LINES, method="GET", target=f"/{number}") for number in range(50)))
        for _ in range(50):
            assert peer.response().status == 200
    assert [seen.target for seen in app.whole] == [b"/%d" % number for number in range(50)]
    assert len({str(seen.headers) for seen in app.whole}) == 1


def test_an_application_that_changes_its_headers_changes_those_of_nobody_else(server: Server) -> None:
    async def changing(scope: dict[str, Any], receive: Any, send: Any) -> None:
        answer = len(scope["headers"])
        scope["headers"].append((b"x-more", b"1"))
        del scope["headers"][0]
        scope["headers"] += [(b"x-yet-more", b"2")] * 2
        await reply(send, answer)

    server.use(changing)
    with server.raw() as peer:
        for _ in range(6):
            peer.send(GOOD)
            assert peer.response().body == b"6"


def test_one_connection_is_told_nothing_of_another(server: Server) -> None:
    app = Recorder()
    server.use(app)
    with server.raw() as one, server.raw() as two:
        for number in range(6):
            for name, peer in (("one", one), ("two", two)):
                peer.send(head(f"Cookie: {name}", method="GET", target=f"/{number}"))
                assert peer.response().status == 200
    assert [seen.headers[1] for seen in app.whole] == [(b"cookie", b"one"), (b"cookie", b"two")] * 6


def test_fields_that_come_and_go(server: Server) -> None:
    app = Recorder()
    server.use(app)
    sections = [["A: 1"], ["A: 1"], ["A: 1"], ["A: 2"], ["A: 1"], ["A: 2"], ["A: 2"], ["A: 2"], ["A: 2", "B: 1"], [], [], [], ["A: 1"]]
    with server.raw() as peer:
        for lines in sections:
            peer.send(head(*lines, method="GET"))
            assert peer.response().status == 200
    assert [[f"{name.decode().upper()}: {value.decode()}" for name, value in seen.headers[1:]] for seen in app.whole] == sections


@pytest.mark.parametrize("size", [2000, 2040, 2048, 2060, 9000])
def test_a_long_section(server: Server, size: int) -> None:
    app = Recorder()
    server.use(app)
    request = head("X-Long: " + "a" * size, method="GET")
    with server.raw() as peer:
        for _ in range(5):
            peer.send(request)
            assert peer.response().status == 200
    assert [len(seen.headers[1][1]) for seen in app.whole] == [size] * 5


@pytest.mark.parametrize("length", [80, 99, 100, 101, 102, 200])
def test_the_limit_of_the_line(length: int) -> None:
    target = b"/" + b"t" * (length - len(b"GET / HTTP/1.1"))
    with serve(limit_request_line=100) as server:
        same(server, GOOD.replace(b"/good", target))
        assert outcome(server, GOOD.replace(b"/good", target), 4)[0].startswith(b"HTTP/1.1 200" if length <= 100 else b"HTTP/1.1 414")


@pytest.mark.parametrize("more", [0, 59, 60, 61, 200])
def test_the_limit_of_the_whole_head(more: int) -> None:
    target = b"/good" + b"t" * more
    with serve(limit_request_head=len(GOOD) + 60) as server:
        same(server, GOOD.replace(b"/good", target))
        assert outcome(server, GOOD.replace(b"/good", target), 4)[0].startswith(b"HTTP/1.1 200" if more <= 60 else b"HTTP/1.1 431")


def test_a_connection_between_that_ends(server: Server) -> None:
    """Heads are parsed in one place: nothing of another connection's is left there."""
    server.use(Recorder())
    with server.raw() as peer:
        for line in ["Connection: close", "Upgrade: h2c", "Content-Length: 1", "Transfer-Encoding: chunked"] * 2:
            for _ in range(4):
                peer.send(GOOD)
                assert peer.response().status == 200
            with server.raw() as other:
                other.send(head(line, method="POST")).finish()
                other.drain(3.0)
            peer.send(GOOD)
            answer = peer.response()
            assert (answer.status, answer.header("connection")) == (200, None)
    server.take_log()


def test_a_proxy_that_tells_of_its_clients() -> None:
    with serve(forwarded_allow_ips="*") as server:

        async def client(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await reply(send, scope["client"][0])

        server.use(client)
        with server.raw() as peer:
            for address in ["192.0.2.1"] * 4 + ["192.0.2.2"] * 4:
                peer.send(head(f"X-Forwarded-For: {address}", method="GET"))
                assert peer.response().body == address.encode()
