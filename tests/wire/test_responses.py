"""Response framing as a strict client sees it: HEAD, 204, 304, lengths, chunks, the server's own headers."""

from __future__ import annotations

import re
import select
import socket
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from probes import FIRST, head
from serving import LOOPS, Server, serve


def responding(status: int, headers: list[tuple[bytes, bytes]], *bodies: bytes) -> Any:
    """An application that sends these bodies, the last one as the final one."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for body in bodies[:-1]:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": bodies[-1]})

    return app


LENGTH_5 = [(b"content-length", b"5")]


@pytest.mark.parametrize(
    ("method", "status", "headers", "bodies", "length", "coding", "body"),
    [
        # One final body and no length: the server knows it.
        ("GET", 200, [], [b"hello"], "5", None, b"hello"),
        ("GET", 200, [], [b""], "0", None, b""),
        ("POST", 201, [], [b""], "0", None, b""),
        # A stream: chunks, one for each body that holds something.
        ("GET", 200, [], [b"he", b"llo"], None, "chunked", b"hello"),
        ("GET", 200, [], [b"hello", b""], None, "chunked", b"hello"),
        ("GET", 200, [], [b"he", b"", b"llo"], None, "chunked", b"hello"),
        # The application's own length.
        ("GET", 200, LENGTH_5, [b"hello"], "5", None, b"hello"),
        ("GET", 200, LENGTH_5, [b"he", b"llo"], "5", None, b"hello"),
        ("GET", 200, LENGTH_5, [b"hello", b""], "5", None, b"hello"),
        ("GET", 200, [(b"Content-Length", b"5")], [b"hello"], "5", None, b"hello"),
        ("GET", 404, LENGTH_5, [b"hello"], "5", None, b"hello"),
        ("GET", 599, LENGTH_5, [b"hello"], "5", None, b"hello"),
        ("GET", 299, LENGTH_5, [b"hello"], "5", None, b"hello"),
        # HEAD: the head of the GET, without its body.
        ("HEAD", 200, LENGTH_5, [b"hello"], "5", None, b""),
        ("HEAD", 200, LENGTH_5, [b""], "5", None, b""),
        ("HEAD", 200, LENGTH_5, [b"he", b"llo"], "5", None, b""),
        ("HEAD", 404, LENGTH_5, [b"hello"], "5", None, b""),
        # 304: the length is that of the representation. 204: there is none to speak of.
        ("GET", 304, LENGTH_5, [b""], "5", None, b""),
        ("GET", 304, LENGTH_5, [b"hello"], "5", None, b""),
        ("GET", 304, [], [b""], None, None, b""),
        ("GET", 304, [], [b"he", b"llo"], None, None, b""),
        ("GET", 204, [], [b""], None, None, b""),
        ("GET", 204, [], [b"hello"], None, None, b""),
        ("GET", 204, [], [b"he", b"llo"], None, None, b""),
        ("GET", 204, LENGTH_5, [b"hello"], None, None, b""),
        ("GET", 204, [(b"content-length", b"0")], [b""], None, None, b""),
        ("HEAD", 204, [], [b""], None, None, b""),
        ("HEAD", 304, LENGTH_5, [b""], "5", None, b""),
    ],
)
def test_framing(
    server: Server,
    method: str,
    status: int,
    headers: list[tuple[bytes, bytes]],
    bodies: list[bytes],
    length: str | None,
    coding: str | None,
    body: bytes,
) -> None:
    """Exactly this framing, and the connection is in step afterwards: the next answer is the next one."""
    server.use(responding(status, headers, *bodies))
    with server.raw() as peer:
        peer.send(head(method=method) * 2)
        for _ in range(2):
            response = peer.response(method)
            assert response.status == status
            assert response.header("content-length") == length
            assert response.header("transfer-encoding") == coding
            assert response.body == body
            assert not response.closes
        assert peer.pending() == b""


def test_head_of_a_stream(server: Server) -> None:
    """HEAD may leave out what only the body would tell; there is no chunk and no end of one."""
    server.use(responding(200, [], b"he", b"llo"))
    with server.raw() as peer:
        peer.send(head(method="HEAD") + FIRST)
        response = peer.response("HEAD")
        assert response.header("transfer-encoding") in (None, "chunked")
        assert response.header("content-length") is None
        assert peer.response().body == b"hello"


def test_head_with_one_body(server: Server) -> None:
    """The length of the only body, as GET would have it, or none; never a wrong one."""
    server.use(responding(200, [], b"hello"))
    with server.raw() as peer:
        peer.send(head(method="HEAD") + FIRST)
        assert peer.response("HEAD").header("content-length") in (None, "5")
        assert peer.response().body == b"hello"


@pytest.mark.parametrize("bodies", [[b"", b"hello"], [b"", b""], [b"", b"", b"hello"]], ids=repr)
def test_empty_bodies_first(server: Server, bodies: list[bytes]) -> None:
    """As long as no byte has left, the server may find out the length or not: both framings are right."""
    server.use(responding(200, [], *bodies))
    with server.raw() as peer:
        peer.send(FIRST * 2)
        for _ in range(2):
            response = peer.response()
            assert response.body == b"".join(bodies)
            assert response.framing in ("length", "chunked")


@pytest.mark.parametrize(
    ("lines", "status"),
    [(["Expect: magic"], 417), (["Content-Length: x"], 400), (["Transfer-Encoding: gzip, chunked"], 501)],
)
def test_refused_head_has_no_body(server: Server, lines: list[str], status: int) -> None:
    """Whatever is wrong with a HEAD request, its answer has no body: a client would take it for the next response."""
    server.use(responding(200, [], b""))
    with server.raw() as peer:
        peer.send(head(*lines, method="HEAD"))
        response = peer.response("HEAD")
        assert response.status == status and response.closes
        assert peer.ended(1.5) == "fin"
    assert len(server.take_log()) <= 1


@pytest.mark.parametrize("pause", [False, True])
def test_failed_head_has_no_body(server: Server, pause: bool) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if pause:
            await receive()
        raise ValueError("on purpose")

    server.use(app)
    with server.raw() as peer:
        peer.send(head(method="HEAD"))
        response = peer.response("HEAD")
        assert response.status == 500 and response.closes
        assert peer.ended(1.5) == "fin"
    server.traceback(ValueError)


def test_chunks_are_the_bodies(server: Server) -> None:
    server.use(responding(200, [], b"a", b"", b"bc", b"d" * 300))
    response = server.get()
    assert b"".join(response.chunks) == b"abc" + b"d" * 300
    assert response.framing == "chunked"


@pytest.mark.parametrize("size", [0, 1, 9, 10, 255, 256, 4095, 4096, 65535, 65536, 65537, 262144, 1048577])
@pytest.mark.parametrize("streaming", [False, True], ids=["one", "two"])
def test_sizes(server: Server, size: int, streaming: bool) -> None:
    body = bytes(number % 251 for number in range(min(size, 5000))) * (size // 5000 + 1)
    body = body[:size]
    server.use(responding(200, [], body, b"end") if streaming else responding(200, [], body))
    with server.raw() as peer:
        peer.send(FIRST * 2)
        for _ in range(2):
            assert peer.response().body == body + (b"end" if streaming else b"")


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 226, 300, 301, 302, 303, 307, 308, 400, 401, 404, 405, 418, 429, 500, 503])
def test_reason_phrase(server: Server, status: int) -> None:
    from http import HTTPStatus

    server.use(responding(status, [], b""))
    reason = server.get().reason
    assert reason == HTTPStatus(status).phrase or status == 418


@pytest.mark.parametrize("status", [299, 419, 499, 599])
def test_status_without_a_name(server: Server, status: int) -> None:
    """RFC 9112 section 4: the space behind the code stays even when there is no phrase."""
    server.use(responding(status, [], b""))
    response = server.get()
    assert response.raw.startswith(f"HTTP/1.1 {status} ".encode())


def test_application_headers_arrive_in_order(server: Server) -> None:
    """Names in lower case, values byte for byte, duplicates kept."""
    headers = [
        (b"X-One", b"1"),
        (b"set-cookie", b"a=b"),
        (b"x-two", b"  "),
        (b"Set-Cookie", b"c=d"),
        (b"x-high", b"\xe9\xff"),
        (b"x-tab", b"a\tb"),
        (b"x-empty", b""),
    ]
    server.use(responding(200, headers, b""))
    got = [(name, value) for name, value in server.get().headers if name.startswith(("x-", "set-"))]
    assert got == [
        ("x-one", "1"),
        ("set-cookie", "a=b"),
        ("x-two", ""),
        ("set-cookie", "c=d"),
        ("x-high", "\xe9\xff"),
        ("x-tab", "a\tb"),
        ("x-empty", ""),
    ]


def test_server_and_date(server: Server) -> None:
    """One Date within two seconds of now, and a Server without a version."""
    server.use(responding(200, [(b"x-a", b"b")], b""))
    response = server.get()
    assert response.header("server") == "pronghorn"
    date = response.header("date")
    assert date is not None and re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", date)
    assert abs(parsedate_to_datetime(date).timestamp() - time.time()) < 2.5
    assert [name for name, _ in response.headers].count("x-a") == 1


def test_date_moves_on(server: Server) -> None:
    """The prepared block is renewed: within some seconds the date is another one, and never behind by two."""
    server.use(responding(200, [], b""))
    dates = set()
    deadline = time.monotonic() + 4.0
    while len(dates) < 2 and time.monotonic() < deadline:
        date = server.get().header("date")
        assert date is not None
        dates.add(date)
        assert abs(parsedate_to_datetime(date).timestamp() - time.time()) < 2.5
    assert len(dates) == 2


def test_date_after_a_quiet_time(server: Server) -> None:
    """Nobody was connected for a while: the first answer after it has the date of now."""
    server.use(responding(200, [], b""))
    server.get()
    server.until(lambda: server.open == 0, "nobody is connected")
    reader, writer = socket.socketpair()
    with reader, writer:
        select.select([reader], [], [], 2.2)  # let time pass
    date = server.get().header("date")
    assert date is not None
    assert abs(parsedate_to_datetime(date).timestamp() - time.time()) < 1.6


@pytest.mark.parametrize("name", ["date", "server"])
def test_application_sets_its_own(server: Server, name: str) -> None:
    """The application's value takes the place of the server's; a client never sees two dates."""
    value = "Sun, 06 Nov 1994 08:49:37 GMT" if name == "date" else "mine"
    server.use(responding(200, [(name.title().encode(), value.encode())], b""))
    assert server.get().every(name) == [value]


@pytest.mark.parametrize("loop", LOOPS)
def test_server_and_date_can_be_left_out(loop: str) -> None:
    with serve(responding(200, [], b""), loop=loop, server_header=False, date_header=False) as server:
        assert [name for name, _ in server.get().headers] == ["content-length"]


@pytest.mark.parametrize("loop", LOOPS)
def test_configured_headers(loop: str) -> None:
    """Every response carries them, errors of the server included or not, and the application adds to them."""
    with serve(responding(200, [(b"x-a", b"b")], b""), loop=loop, headers=[("X-Frame", "deny"), ("x-two", "1")]) as server:
        response = server.get()
        assert response.header("x-frame") == "deny"
        assert response.header("x-two") == "1"
        assert response.header("x-a") == "b"
