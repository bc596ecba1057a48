"""One line for each request, in uvicorn's words and with uvicorn's arguments.

The target stands in it as it was sent: percent-encoded, so that no request can forge a line.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest
from serving import Server

SETTINGS = {"access_log": True}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["path"] == "/raise":
        raise ValueError("on purpose")
    status = int(scope["path"].rpartition("/")[2]) if scope["path"].startswith("/status/") else 200
    await send({"type": "http.response.start", "status": status})
    await send({"type": "http.response.body", "body": b"ok"})


def lines(server: Server) -> list[logging.LogRecord]:
    server.idle()
    server.settle()
    found = [record for record in server.records.seen if record.name.endswith("access")]
    server.records.seen = [record for record in server.records.seen if record not in found]
    return found


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", ("GET", "/", "1.1", 200)),
        (b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n", ("GET", "/a?b=c", "1.1", 200)),
        (b"POST /status/404 HTTP/1.0\r\n\r\n", ("POST", "/status/404", "1.0", 404)),
        (b"GET /a%20b HTTP/1.1\r\nHost: h\r\n\r\n", ("GET", "/a%20b", "1.1", 200)),
        (b"GET /%c3%a9 HTTP/1.1\r\nHost: h\r\n\r\n", ("GET", "/%c3%a9", "1.1", 200)),
        (b"GET /%0aforged HTTP/1.1\r\nHost: h\r\n\r\n", ("GET", "/%0aforged", "1.1", 200)),
        (b"GET /status/500 HTTP/1.1\r\nHost: h\r\n\r\n", ("GET", "/status/500", "1.1", 500)),
    ],
)
def test_line(server: Server, request_: bytes, expected: tuple[str, str, str, int]) -> None:
    server.use(app)
    with server.raw() as peer:
        client = "{}:{}".format(*peer.socket.getsockname())
        peer.send(request_)
        peer.response()
    (record,) = lines(server)
    assert record.levelno == logging.INFO
    assert record.args == (client, *expected)
    method, path, version, status = expected
    assert record.getMessage() == f'{client} - "{method} {path} HTTP/{version}" {status}'


def test_one_line_each(server: Server) -> None:
    server.use(app)
    with server.raw() as peer:
        peer.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(50)))
        for _ in range(50):
            peer.response()
    assert [record.args[2] for record in lines(server) if record.args] == [f"/{number}" for number in range(50)]


def test_application_that_raises(server: Server) -> None:
    server.use(app)
    assert server.get("/raise").status == 500
    server.traceback(ValueError)
    assert [record.args[4] for record in lines(server) if record.args] == [500]
