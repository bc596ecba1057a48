"""Bodies nobody reads, upgrades, and early answers: no byte of a body ever becomes a request (A16, A17)."""

from __future__ import annotations

from typing import Any

import pytest
from peer import Closed
from probes import FIRST, Recorder, Seen, answer, head, refused
from serving import BYTES, Server

MODES = BYTES

STOLEN = b"GET /stolen HTTP/1.1\r\nHost: a\r\n\r\n"


async def early(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers without a look at the body."""
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": scope["raw_path"]})


def stolen(server: Server) -> list[bytes]:
    return [call["raw_path"] for call in server.calls if call["raw_path"] == b"/stolen"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_unread_body_is_no_request(server: Server, method: str, framing: str) -> None:
    """The body is a request in itself and arrives with its head; the next request on the connection is the real one."""
    server.use(early)
    if framing == "length":
        data = head(f"Content-Length: {len(STOLEN)}", method=method, target="/early") + STOLEN
    else:
        data = head("Transfer-Encoding: chunked", method=method, target="/early")
        data += b"%x\r\n%b\r\n0\r\n\r\n" % (len(STOLEN), STOLEN)
    with server.raw() as peer:
        peer.send(data + FIRST)
        response = peer.response(method)
        assert response.status == 200 and not response.closes
        assert peer.response().body == b"/first"
        assert peer.pending() == b""
    assert stolen(server) == []


@pytest.mark.parametrize("late", [1, len(STOLEN) // 2, len(STOLEN) - 1])
def test_rest_of_the_body_arrives_after_the_answer(server: Server, late: int) -> None:
    """Up to 64 KiB of unread body is read and dropped, and the connection goes on."""
    server.use(early)
    with server.raw() as peer:
        peer.send(head(f"Content-Length: {len(STOLEN)}", target="/early") + STOLEN[:-late])
        response = peer.response()
        assert response.status == 200 and not response.closes
        peer.send(STOLEN[-late:] + FIRST)
        assert peer.response().body == b"/first"
    assert stolen(server) == []


def test_sixty_four_kilobytes_are_drained(server: Server) -> None:
    server.use(early)
    with server.raw() as peer:
        peer.send(head("Content-Length: 65536", target="/early"))
        response = peer.response()
        assert response.status == 200 and not response.closes
        peer.send(bytes(65536) + FIRST)
        assert peer.response().body == b"/first"


def test_more_than_that_closes(server: Server) -> None:
    """The answer says that it closes; the client can read it although it is still sending."""
    server.use(early)
    body = STOLEN * 50_000
    with server.raw() as peer:
        peer.send(head(f"Content-Length: {len(body)}", target="/early"))
        response = peer.response()
        assert response.status == 200 and response.closes
        assert response.body == b"/early"
        assert peer.ended(1.5) == "fin"
        peer.pour(body)
    assert stolen(server) == []


def test_answer_is_readable_while_the_body_pours_in(server: Server) -> None:
    """A client that sends everything before it reads still finds the answer: no reset overtakes it."""
    server.use(early)
    body = STOLEN * 50_000
    with server.raw() as peer:
        peer.pour(head(f"Content-Length: {len(body)}", target="/early") + body)
        response = peer.response()
        assert response.status == 200 and response.body == b"/early"
        assert response.closes
    assert stolen(server) == []


def test_endless_chunks_after_the_answer(server: Server) -> None:
    """A chunked body has no announced size: when it goes past 64 KiB the connection ends."""
    server.use(early)
    chunk = b"2000\r\n" + (STOLEN * 300)[:8192] + b"\r\n"
    with server.raw() as peer:
        peer.send(head("Transfer-Encoding: chunked", target="/early"))
        assert peer.response().status == 200
        peer.pour(chunk * 64)
        data, _ = peer.drain(3.5)
        assert data == b""
    assert stolen(server) == []


UPGRADES = [
    ("websocket-with-length", head("Upgrade: websocket", "Connection: upgrade", "Content-Length: 38") + STOLEN),
    ("websocket-chunked", head("Upgrade: websocket", "Connection: upgrade", "Transfer-Encoding: chunked") + b"0\r\n\r\n"),
    ("websocket-get-with-length", head("Upgrade: websocket", "Connection: upgrade", "Content-Length: 1", method="GET") + b"x"),
    ("websocket-in-capitals", head("Upgrade: WebSocket", "Connection: Upgrade", "Content-Length: 1") + b"x"),
    ("websocket-in-a-list", head("Upgrade: x, websocket", "Connection: keep-alive, Upgrade", "Content-Length: 1") + b"x"),
]


@pytest.mark.parametrize("data", [one[1] for one in UPGRADES], ids=[one[0] for one in UPGRADES])
def test_websocket_with_a_body_is_refused(server: Server, data: bytes) -> None:
    refused(server, data, 400)


@pytest.mark.parametrize("protocol", ["h2c", "x", "TLS/1.0", "h2c, x", "foo/2"])
def test_other_upgrades_are_ignored(server: Server, protocol: str) -> None:
    """The request is served as if the field were not there; the bytes behind it are the next request."""
    recorder = Recorder()
    server.use(recorder)
    data = head(f"Upgrade: {protocol}", "Connection: upgrade, HTTP2-Settings", "HTTP2-Settings: AAM", method="GET", target="/u")
    first, second = answer(server, data + FIRST, 2)
    assert (first.status, second.status) == (200, 200)
    assert recorder.whole == [Seen("GET", b"/u", b""), Seen("GET", b"/first", b"")]
    server.take_log()


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_other_upgrades_with_a_body_keep_their_framing(server: Server, framing: str) -> None:
    """llhttp pauses at an upgrade and forgets the body's length; the body is still a body. 400 is as good."""
    recorder = Recorder()
    server.use(recorder)
    lines = ["Upgrade: x", "Connection: upgrade"]
    if framing == "length":
        data = head(*lines, f"Content-Length: {len(STOLEN)}", target="/u") + STOLEN
    else:
        data = head(*lines, "Transfer-Encoding: chunked", target="/u") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(STOLEN), STOLEN)
    with server.raw() as peer:
        peer.send(data + FIRST)
        response = peer.response()
        if response.status == 200:
            assert peer.response().status == 200
            assert recorder.whole == [Seen("POST", b"/u", STOLEN), Seen("GET", b"/first", b"")]
        else:
            assert response.status == 400 and response.closes
            peer.ended(1.5)
            assert recorder.whole == []
    server.take_log()


def test_upgrade_without_connection_is_no_upgrade(server: Server) -> None:
    recorder = Recorder()
    server.use(recorder)
    first, second = answer(server, head("Upgrade: x", "Content-Length: 1", target="/u") + b"x" + FIRST, 2)
    assert (first.status, second.status) == (200, 200)
    assert recorder.whole == [Seen("POST", b"/u", b"x"), Seen("GET", b"/first", b"")]
    server.take_log()


def test_nothing_is_read_after_a_response_that_closes(server: Server) -> None:
    """What the client pipelines behind a request with `Connection: close` is never a request."""
    recorder = Recorder()
    server.use(recorder)
    with server.raw() as peer:
        peer.send(head("Connection: close", method="GET", target="/last") + STOLEN)
        response = peer.response()
        assert response.status == 200 and response.closes
        assert peer.ended(1.5) == "fin"
    assert recorder.whole == [Seen("GET", b"/last", b"")]


def test_nothing_is_read_after_the_application_closes(server: Server) -> None:
    async def closing(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": scope["raw_path"]})

    server.use(closing)
    with server.raw() as peer:
        peer.send(FIRST + STOLEN)
        response = peer.response()
        assert response.body == b"/first" and response.closes
        assert peer.ended(1.5) == "fin"
    assert [call["raw_path"] for call in server.calls] == [b"/first"]


def test_desync_never_happens(server: Server) -> None:
    """Two hundred early answers with mixed bodies on one connection: each answer is the one to its own request."""
    server.use(early)
    with server.raw() as peer:
        try:
            for number in range(200):
                body = (STOLEN * 3)[: number % 100]
                if number % 3:
                    data = head(f"Content-Length: {len(body)}", target=f"/{number}") + body
                else:
                    data = head("Transfer-Encoding: chunked", target=f"/{number}")
                    data += (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
                peer.send(data)
                assert peer.response().body == f"/{number}".encode()
        except Closed as closed:
            pytest.fail(f"closed at {number}: {closed}")
    assert stolen(server) == []
