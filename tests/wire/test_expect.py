"""Expect: 100-continue at the first receive(), and nowhere else (A18)."""

from __future__ import annotations

from typing import Any

import pytest
from probes import FIRST, Recorder, Seen, head, refused
from serving import Server

EXPECTING = head("Expect: 100-continue", "Content-Length: 3")


def test_continue_is_sent_when_the_body_is_wanted(server: Server) -> None:
    wanted = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/bad":
            await wanted.passed()
            message = await receive()
            assert message == {"type": "http.request", "body": b"abc", "more_body": False}
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    server.use(app)
    with server.raw() as peer:
        peer.send(EXPECTING)
        server.until(lambda: len(server.calls) == 1, "the call begins")
        server.settle()
        assert peer.pending() == b"", "before the application asked for the body"
        wanted.open()
        interim = peer.head()
        assert (interim.status, interim.headers) == (100, [])
        peer.send(b"abc")
        response = peer.response()
        assert (response.status, response.interim, response.closes) == (200, [], False)
        peer.send(FIRST)
        assert peer.response().status == 200


def test_continue_is_sent_once(server: Server) -> None:
    """Many receive() calls, one interim response."""
    server.use(Recorder())
    with server.raw() as peer:
        peer.send(EXPECTING)
        assert peer.head().status == 100
        for byte in b"abc":
            peer.send(bytes([byte]))
            server.settle()
        response = peer.response()
        assert (response.interim, response.body) == ([], b"abc")


def test_chunked_body_after_continue(server: Server) -> None:
    server.use(Recorder())
    with server.raw() as peer:
        peer.send(head("Expect: 100-continue", "Transfer-Encoding: chunked"))
        assert peer.head().status == 100
        peer.send(b"3\r\nabc\r\n0\r\n\r\n" + FIRST)
        assert peer.response().body == b"abc"
        assert peer.response().status == 200


@pytest.mark.parametrize("value", ["100-continue", "100-Continue", "100-CONTINUE", " 100-continue\t"])
def test_value_in_any_case(server: Server, value: str) -> None:
    server.use(Recorder())
    with server.raw() as peer:
        peer.send(head(f"Expect:{value}", "Content-Length: 3"))
        assert peer.head().status == 100
        peer.send(b"abc")
        assert peer.response().body == b"abc"


def test_no_continue_when_the_answer_comes_first(server: Server) -> None:
    """The application answers without reading: no 100, and the connection ends, since the body may or may not follow."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 403})
        await send({"type": "http.response.body", "body": b"no"})
        assert (await receive())["type"] == "http.disconnect"

    server.use(app)
    with server.raw() as peer:
        peer.send(EXPECTING)
        response = peer.response()
        assert (response.status, response.interim, response.body) == (403, [], b"no")
        assert response.closes
        assert peer.ended(1.5) == "fin"


def test_no_continue_when_the_response_has_begun(server: Server) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        body = (await receive())["body"]
        await send({"type": "http.response.body", "body": body})

    server.use(app)
    with server.raw() as peer:
        peer.send(EXPECTING)
        assert peer.head().status == 200
        peer.send(b"abc")
        assert peer.chunk() == b"a"
        assert peer.chunk() == b"abc"


def test_no_continue_when_the_body_is_there(server: Server) -> None:
    """A client that did not wait has sent the body with its head; 100 is then optional, the answer is not."""
    recorder = Recorder()
    server.use(recorder)
    with server.raw() as peer:
        peer.send(EXPECTING + b"abc")
        response = peer.response()
        assert response.body == b"abc"
        assert response.interim in ([], [100])
    assert recorder.whole == [Seen("POST", b"/bad", b"abc")]


def test_no_continue_without_a_body(server: Server) -> None:
    server.use(Recorder())
    with server.raw() as peer:
        peer.send(head("Expect: 100-continue", method="GET"))
        response = peer.response()
        assert (response.status, response.interim) == (200, [])


def test_no_continue_to_http_1_0(server: Server) -> None:
    """RFC 9110 section 10.1.1: the expectation of an HTTP/1.0 client is ignored."""
    server.use(Recorder())
    with server.raw() as peer:
        peer.send(head("Expect: 100-continue", "Content-Length: 3", version="HTTP/1.0"))
        server.until(lambda: len(server.calls) == 1, "the call begins")
        server.settle()
        assert peer.pending() == b""
        peer.send(b"abc")
        response = peer.response()
        assert (response.interim, response.body) == ([], b"abc")


@pytest.mark.parametrize("value", ["magic", "200-ok", "100", "continue", "100-continue, magic", "100-continue;a=b", '"100-continue"'])
def test_other_expectations_are_refused(server: Server, value: str) -> None:
    refused(server, head(f"Expect: {value}", "Content-Length: 3"), 417)


def test_two_continue_lines(server: Server) -> None:
    """The same expectation twice is one list with two equal members: served, with one 100, or refused."""
    server.use(Recorder())
    with server.raw() as peer:
        peer.send(head("Expect: 100-continue", "Expect: 100-continue", "Content-Length: 3"))
        first = peer.head()
        assert first.status in (100, 417)
        if first.status == 100:
            peer.send(b"abc")
            assert peer.response().interim == []
    server.take_log()
