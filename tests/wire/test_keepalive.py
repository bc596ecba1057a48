"""Which connections stay open, and what the response says about it."""

from __future__ import annotations

from typing import Any

import pytest
from probes import FIRST, Recorder, head
from serving import Server


async def fixed(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def streamed(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"o", "more_body": True})
    await send({"type": "http.response.body", "body": b"k"})


@pytest.mark.parametrize(
    ("version", "connection", "reply"),
    [
        ("HTTP/1.1", None, None),
        ("HTTP/1.1", "keep-alive", None),
        ("HTTP/1.1", "Keep-Alive", None),
        ("HTTP/1.1", "x", None),
        ("HTTP/1.1", "close", "close"),
        ("HTTP/1.1", "Close", "close"),
        ("HTTP/1.1", "keep-alive, close", "close"),
        ("HTTP/1.1", "x,close ,y", "close"),
        ("HTTP/1.1", "closed", None),
        ("HTTP/1.0", None, "close"),
        ("HTTP/1.0", "close", "close"),
        ("HTTP/1.0", "x", "close"),
        ("HTTP/1.0", "keep-alive", "keep-alive"),
        ("HTTP/1.0", "Keep-Alive", "keep-alive"),
        ("HTTP/1.0", "x, keep-alive", "keep-alive"),
        ("HTTP/1.0", "keep-alive, close", "close"),
    ],
)
def test_connection_field(server: Server, version: str, connection: str | None, reply: str | None) -> None:
    """A response with a length: the connection goes on exactly when both sides can and want to."""
    server.use(fixed)
    lines = [f"Connection: {connection}"] if connection else []
    with server.raw() as peer:
        peer.send(head(*lines, method="GET", version=version))
        response = peer.response()
        assert (response.status, response.body, response.framing) == (200, b"ok", "length")
        assert response.header("connection") == reply or (version == "HTTP/1.0" and reply == "close" and response.closes)
        if reply == "close":
            assert peer.ended(1.5) == "fin"
        else:
            peer.send(FIRST)
            assert peer.response().status == 200


def test_two_connection_lines_are_one_list(server: Server) -> None:
    server.use(fixed)
    with server.raw() as peer:
        peer.send(head("Connection: keep-alive", "Connection: close", method="GET"))
        assert peer.response().closes
        assert peer.ended(1.5) == "fin"


def test_http_1_0_is_never_chunked(server: Server) -> None:
    """Without a length the end of an HTTP/1.0 body is the end of the connection."""
    server.use(streamed)
    with server.raw() as peer:
        peer.send(head(method="GET", version="HTTP/1.0"))
        response = peer.response()
        assert (response.framing, response.body) == ("close", b"ok")
        assert response.header("transfer-encoding") is None


def test_http_1_0_keep_alive_ends_with_a_body_of_unknown_length(server: Server) -> None:
    server.use(streamed)
    with server.raw() as peer:
        peer.send(head("Connection: keep-alive", method="GET", version="HTTP/1.0"))
        response = peer.response()
        assert (response.framing, response.body) == ("close", b"ok")
        assert response.header("connection") in (None, "close")


def test_http_1_0_keep_alive_pipelined(server: Server) -> None:
    server.use(Recorder())
    keep = head("Connection: keep-alive", method="GET", version="HTTP/1.0")
    with server.raw() as peer:
        peer.send(keep * 3 + head(method="GET", version="HTTP/1.0"))
        for _ in range(3):
            assert peer.response().header("connection") == "keep-alive"
        assert peer.response().closes
        assert peer.ended(1.5) == "fin"


def test_status_line_of_a_1_0_request(server: Server) -> None:
    """RFC 9112 section 2.3: the server names its own version, 1.1."""
    server.use(fixed)
    assert server.ask(head(method="GET", version="HTTP/1.0")).version == "1.1"


@pytest.mark.parametrize("value", [b"close", b"Close", b"close, x"])
def test_application_can_close(server: Server, value: bytes) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Connection", value)]})
        await send({"type": "http.response.body", "body": b"ok"})

    server.use(app)
    with server.raw() as peer:
        peer.send(FIRST)
        response = peer.response()
        assert "close" in (response.header("connection") or "").lower()
        assert peer.ended(1.5) == "fin"


def test_application_keep_alive_does_not_override_the_client(server: Server) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"keep-alive")]})
        await send({"type": "http.response.body", "body": b"ok"})

    server.use(app)
    with server.raw() as peer:
        peer.send(head("Connection: close", method="GET"))
        response = peer.response()
        assert response.body == b"ok"
        assert "keep-alive" not in (response.header("connection") or "")
        assert peer.ended(1.5) == "fin"


def test_many_requests_on_one_connection(server: Server) -> None:
    server.use(Recorder())
    with server.raw() as peer:
        for number in range(300):
            body = b"x" * (number % 7)
            peer.send(head(f"Content-Length: {len(body)}", target=f"/{number}") + body)
            response = peer.response()
            assert (response.body, response.closes) == (body, False)
    assert [call["path"] for call in server.calls] == [f"/{number}" for number in range(300)]
