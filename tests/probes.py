"""What the wire tests share: an application that keeps what it saw, and the rule for a refused request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from peer import Closed, Malformed, Peer, Response
from serving import Server

__all__ = ["FIRST", "Recorder", "Seen", "answer", "head", "refused", "refused_byte_by_byte", "reply"]

FIRST = b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass
class Seen:
    """One request as the application saw it, body included."""

    method: str
    target: bytes
    body: bytes
    headers: list[tuple[bytes, bytes]] = field(compare=False, default_factory=list)
    version: str = field(compare=False, default="1.1")


@dataclass
class Recorder:
    """Reads each request to its end, keeps it, and answers with its body; a cut one is kept apart."""

    whole: list[Seen] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.cut.append(scope["path"])
                return
            body += message["body"]
            more = message["more_body"]
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        self.whole.append(
            Seen(scope["method"], scope["raw_path"] + query, bytes(body), scope["headers"], scope["http_version"])
        )
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": bytes(body)})


async def reply(send: Any, body: object) -> None:
    """The shortest whole response."""
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(body).encode()})


def head(*lines: str, method: str = "POST", target: str = "/bad", version: str = "HTTP/1.1", host: str | None = "a") -> bytes:
    """A request head; the lines are latin-1, so that \\x80 and above are the bytes of the same value."""
    first = [f"{method} {target} {version}"]
    if host is not None:
        first.append(f"Host: {host}")
    return "\r\n".join([*first, *lines, "", ""]).encode("latin-1")


def _refusal(peer: Peer, statuses: Sequence[int]) -> None:
    """The response is one of these errors, says that it closes, and the close follows within a second and a half."""
    response = peer.response()
    assert response.status in statuses, f"{response.status} {response.body!r}, expected {statuses}"
    assert response.closes, f"without connection: close: {response.raw!r}"
    assert response.framing == "length"
    peer.ended(1.5)


def _quiet_log(server: Server) -> None:
    log = server.take_log()
    assert len(log) <= 1, f"more than one line: {[record.getMessage() for record in log]}"
    assert not any(record.exc_info for record in log), f"a traceback: {log[0].getMessage()}"


def refused(server: Server, data: bytes, *statuses: int, after_head: bool = False) -> None:
    """Refused alone and behind a good request, whose answer comes first; never a call with a whole request.

    `after_head`: the fault lies in the body, so that a call may have begun; it must be told http.disconnect.
    """
    recorder = Recorder()
    server.use(recorder)
    with server.raw() as peer:
        peer.offer(data)
        _refusal(peer, statuses)
    _quiet_log(server)
    assert recorder.whole == [], f"the application was given {recorder.whole}"
    if not after_head:
        assert server.calls == [], f"the application was called for {[call['raw_path'] for call in server.calls]}"

    server.use(recorder)
    with server.raw() as peer:
        peer.offer(FIRST + data)
        response = peer.response()
        assert (response.status, response.closes) == (200, False), f"the first answer is {response.raw!r}"
        _refusal(peer, statuses)
    _quiet_log(server)
    assert recorder.whole == [Seen("GET", b"/first", b"")], f"the application was given {recorder.whole}"
    if not after_head:
        assert len(server.calls) == 1, f"the application was called for {[call['raw_path'] for call in server.calls]}"


def refused_byte_by_byte(server: Server, rows: Sequence[Any]) -> None:
    """The same verdict for every row when each of its bytes arrives alone. All rows at once, for speed."""
    recorder = Recorder()
    server.use(recorder)
    cases = [(param.id, param.values[0], param.values[1], server.raw()) for param in rows]
    try:
        for index in range(max(len(data) for _, data, _, _ in cases)):
            for _, data, _, peer in cases:
                if index < len(data):
                    peer.offer(data[index : index + 1])
            server.settle()
        wrong = []
        for name, _, statuses, peer in cases:
            try:
                _refusal(peer, statuses)
            except (AssertionError, Closed, Malformed, TimeoutError) as error:
                wrong.append(f"{name}: {error}")
    finally:
        for _, _, _, peer in cases:
            peer.close()
    log = server.take_log()
    assert not wrong, "\n".join(wrong)
    assert recorder.whole == [], f"the application was given {recorder.whole}"
    assert not any(record.exc_info for record in log)


def answer(server: Server, data: bytes, count: int = 1) -> list[Response]:
    """Send to a recorder on a new connection; the responses."""
    with server.raw() as peer:
        peer.send(data)
        return [peer.response() for _ in range(count)]
