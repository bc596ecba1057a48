"""Methods that the parser does not know, versions it does not take, protocols that are none, and whose host is meant."""

from __future__ import annotations

from typing import Any

import pytest
from serving import BYTES, Server, serve

MODES = BYTES
OTHERS = ["BAN", "_DO_DELETE", "PURGE2", "get", "Post", "X", "M-SEARCHES", "GETS", "GE", "PRI2", "CONNECTED", "!#$%&'*+-.^_`|~09"]
STREAMING = ["DESCRIBE", "PLAY", "GET_PARAMETER", "FLUSH"]  # which llhttp takes for RTSP alone
FIELDS = "Host: a\r\nContent-Length: 3\r\n\r\nabc"


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    host = [value.decode() for name, value in scope["headers"] if name == b"host"]
    text = f"{scope['method']} {scope['path']} {scope['http_version']} {','.join(host)} {body.decode()}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})


def answers(server: Server, data: bytes) -> tuple[int, str]:
    """The answer, which must be the same for one piece, single bytes, and in two pieces cut in the request line."""
    server.use(app)
    found: set[tuple[int, str]] = set()
    line = data.index(b"\r\n", 2)
    for cuts in [[], [*range(1, len(data))], *([cut] for cut in range(1, min(line + 2, 40)))]:
        with server.raw() as peer:
            for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
                if not peer.offer(data[start:end]):
                    break
            response = peer.response()
            found.add((response.status, response.body.decode()))
    server.take_log()
    assert len(found) == 1, found
    return found.pop()


@pytest.mark.parametrize("method", OTHERS + STREAMING)
@pytest.mark.parametrize("before", ["", "\r\n"], ids=["", "empty-line"])
def test_any_token_is_a_method(server: Server, method: str, before: str) -> None:
    data = f"{before}{method} /path HTTP/1.1\r\n{FIELDS}".encode()
    assert answers(server, data) == (200, f"{method} /path 1.1 a abc")


@pytest.mark.parametrize("method", ["B@N", "BAN(", "B\xe4N", "BAN\t", "", ":", "BAN\0"])
def test_no_token(server: Server, method: str) -> None:
    assert answers(server, f"{method} / HTTP/1.1\r\n{FIELDS}".encode("latin-1"))[0] == 400


@pytest.mark.parametrize("rest", [" / HTTP/1.1", "  / HTTP/1.1", "\t/ HTTP/1.1", "/ HTTP/1.1", " HTTP/1.1", " / HTTP/1.1 "])
def test_line_of_an_unknown_method_is_read_as_strictly(server: Server, rest: str) -> None:
    assert answers(server, f"BAN{rest}\r\n{FIELDS}".encode())[0] == (200 if rest == " / HTTP/1.1" else 400)


def test_longest_method(server: Server) -> None:
    """64 octets; more are 501, as RFC 9110 section 15.6.2 has it."""
    for length in (63, 64, 65, 66, 1000):
        status, text = answers(server, f"{'X' * length} / HTTP/1.1\r\n{FIELDS}".encode())
        assert status == (200 if length <= 64 else 501)
        assert status == 501 or text.startswith("X" * length + " ")


def test_connect(server: Server) -> None:
    assert answers(server, f"CONNECT a:1 HTTP/1.1\r\n{FIELDS}".encode())[0] == 501
    assert answers(server, f"PRI / HTTP/1.1\r\n{FIELDS}".encode())[0] == 400


def test_smuggling_behind_an_unknown_method(server: Server) -> None:
    for fields in (
        "Host: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Host: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "Host: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Host: a\r\nContent-Length : 3\r\n\r\nabc",
        "Host: a\r\nX: y\r\n z\r\n\r\n",
        "Host: a\nContent-Length: 3\r\n\r\nabc",
        "Host: a\r\nHost: b\r\n\r\n",
        "\r\n",
    ):
        assert answers(server, f"BAN / HTTP/1.1\r\n{fields}".encode())[0] == 400
        assert answers(server, f"BAN / HTTP/1.7\r\n{fields}".encode())[0] == 400


def test_pipelined(server: Server) -> None:
    """Nothing of one is left for the next."""
    server.use(app)
    methods = ["BAN", "GET", "PURGE2", "get", "GET", "DESCRIBE", "HEADS", "GET"] * 5
    with server.raw() as peer:
        fields = "Host: a\r\nUser-Agent: the same\r\n\r\n"
        peer.send("".join(f"{method} /{at} HTTP/1.{at % 9 + 1}\r\n{fields}" for at, method in enumerate(methods)).encode())
        for at, method in enumerate(methods):
            assert peer.response().body == f"{method} /{at} 1.1 a ".encode()


@pytest.mark.parametrize("minor", range(1, 10))
@pytest.mark.parametrize("method", ["GET", "BAN", "DESCRIBE"])
def test_minor_versions(server: Server, method: str, minor: int) -> None:
    assert answers(server, f"{method} / HTTP/1.{minor}\r\n{FIELDS}".encode()) == (200, f"{method} / 1.1 a abc")


@pytest.mark.parametrize(
    ("version", "status"),
    [("HTTP/1.12", 400), ("HTTP/1.", 400), ("HTTP/1.x", 400), ("HTTP/2.0", 505), ("HTTP/2.1", 505), ("HTTP/0.9", 505),
     ("HTTQ/1.2", 400), ("http/1.2", 400), ("RTSP/1.0", 400), ("RTSP/1.1", 400), ("RTSP/1.2", 400), ("ICE/1.0", 400), ("ICE/1.1", 400)],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "BAN", "OPTIONS", "DESCRIBE", "SOURCE"])
def test_other_versions(server: Server, method: str, version: str, status: int) -> None:
    assert answers(server, f"{method} / {version}\r\n{FIELDS}".encode())[0] == status


@pytest.mark.parametrize("authority", ["b", "b:8080", "[::1]:1", "b:99999"])
@pytest.mark.parametrize("method", ["GET", "BAN"])
def test_absolute_form_overrides_host(server: Server, method: str, authority: str) -> None:
    """RFC 9112 section 3.2.2."""
    line = f"{method} http://{authority}/path HTTP/1.1\r\n"
    assert answers(server, f"{line}{FIELDS}".encode()) == (200, f"{method} /path 1.1 {authority} abc")
    assert answers(server, f"{line}X: y\r\n\r\n".encode())[0] == 400  # there still has to be one
    assert answers(server, f"{line}Host: b@d/\r\n\r\n".encode())[0] == 400
    old = f"{method} http://{authority}/path HTTP/1.0\r\nX: y\r\n\r\n"
    assert answers(server, old.encode()) == (200, f"{method} /path 1.0 {authority} ")


def test_absolute_forms_and_others_on_one_connection(server: Server) -> None:
    """A repeated header section is remembered as it was sent."""
    server.use(app)
    with server.raw() as peer:
        for target, host in [("/", "a"), ("http://b/", "b"), ("http://b/", "b"), ("http://c/", "c"), ("/", "a"), ("/", "a"), ("http://d/", "d"), ("/", "a")]:
            assert peer.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()).response().body == f"GET / 1.1 {host} ".encode()


@pytest.mark.parametrize("port", ["", "0", "65535", "65536", "99999", "00080", "9" * 50])
def test_port_of_any_number(server: Server, port: str) -> None:
    assert answers(server, f"GET / HTTP/1.1\r\nHost: a:{port}\r\n\r\n".encode()) == (200, f"GET / 1.1 a:{port} ")


def test_websocket_needs_get(server: Server) -> None:
    server.use(app)
    fields = "Host: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    assert answers(server, f"BAN / HTTP/1.1\r\n{fields}".encode())[0] == 405


def test_access_log_shows_the_method() -> None:
    with serve(app, loop=MODES[0][0], access_log=True) as server:
        assert server.ask(f"BAN /path HTTP/1.1\r\n{FIELDS}".encode()).status == 200
        server.idle()
        server.settle()
        server.until(lambda: any('"BAN /path HTTP/1.1"' in one.getMessage() for one in server.records.seen), "a line")
