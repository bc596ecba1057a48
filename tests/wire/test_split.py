"""Every request whole, byte by byte, and cut in two at every byte: the outcome never depends on the segments."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from peer import Peer
from probes import Recorder, Seen, head
from serving import BYTES, Server

MODES = BYTES


@dataclass
class Case:
    """Bytes, the statuses they bring in order, and the requests the application sees."""

    name: str
    data: bytes
    statuses: list[int]
    seen: list[Seen]
    closes: bool = False


GET = Seen("GET", b"/a?b=c", b"")
BROWSER = (
    b"GET /search?q=pronghorn HTTP/1.1\r\nHost: example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
    b"Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\nAccept-Encoding: gzip, deflate, br\r\n"
    b"Cookie: a=b; c=d\r\nConnection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\n\r\n"
)
CASES = [
    Case("get", head(method="GET", target="/a?b=c"), [200], [GET]),
    Case("get-1.0", head(method="GET", target="/a?b=c", version="HTTP/1.0"), [200], [GET], closes=True),
    Case("browser", BROWSER, [200], [Seen("GET", b"/search?q=pronghorn", b"")]),
    Case("close", head("Connection: close", method="GET", target="/a?b=c"), [200], [GET], closes=True),
    Case("length", head("Content-Length: 10", target="/l") + b"0123456789", [200], [Seen("POST", b"/l", b"0123456789")]),
    Case(
        "chunked",
        head("Transfer-Encoding: chunked", target="/c") + b'3\r\nabc\r\n4;x="y"\r\ndefg\r\n0\r\nA: b\r\n\r\n',
        [200],
        [Seen("POST", b"/c", b"abcdefg")],
    ),
    Case(
        "pipelined",
        head(method="GET", target="/1")
        + head("Content-Length: 3", target="/2")
        + b"abc"
        + head("Transfer-Encoding: chunked", target="/3")
        + b"1\r\nx\r\n0\r\n\r\n"
        + head(method="GET", target="/4"),
        [200, 200, 200, 200],
        [Seen("GET", b"/1", b""), Seen("POST", b"/2", b"abc"), Seen("POST", b"/3", b"x"), Seen("GET", b"/4", b"")],
    ),
    Case("empty-lines", b"\r\n\r\n" + head(method="GET", target="/a?b=c"), [200], [GET]),
    Case("header-edges", head("A:", "B:  x y \t", "C: \xe9", "D: 1", "D: 2", method="GET", target="/a?b=c"), [200], [GET]),
    Case("absolute-form", head(method="GET", target="http://a/a?b=c"), [200], [GET]),
    Case("upgrade-ignored", head("Connection: upgrade", "Upgrade: x", method="GET", target="/a?b=c"), [200], [GET]),
    Case(
        "good-then-bad",
        head(method="GET", target="/a?b=c") + b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        [200, 400],
        [GET],
        closes=True,
    ),
    Case(
        "body-then-bad",
        head("Content-Length: 1", target="/l") + b"x" + b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        [200, 400],
        [Seen("POST", b"/l", b"x")],
        closes=True,
    ),
    Case("two-lengths", head("Content-Length: 1", "Content-Length: 1") + b"x", [400], [], closes=True),
    Case("length-and-chunked", head("Content-Length: 1", "Transfer-Encoding: chunked"), [400], [], closes=True),
    Case("method-too-long", head(method="X" * 65), [501], [], closes=True),
    Case("version-2", head(method="GET", version="HTTP/2.0"), [505], [], closes=True),
    Case("expect-other", head("Expect: magic", "Content-Length: 1"), [417], [], closes=True),
]


def verify(case: Case, peer: Peer, at: object) -> None:
    statuses = []
    response = None
    for _ in case.statuses:
        response = peer.response()
        statuses.append(response.status)
    assert statuses == case.statuses, f"{case.name}, {at}"
    assert response is not None and response.closes == case.closes, f"{case.name}, {at}: {response.raw!r}"
    if case.closes:
        peer.ended(1.5)
    else:
        assert peer.pending() == b"", f"{case.name}, {at}"


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_whole(server: Server, case: Case) -> None:
    recorder = Recorder()
    server.use(recorder)
    with server.raw() as peer:
        peer.send(case.data)
        verify(case, peer, "whole")
    assert recorder.whole == case.seen
    server.take_log()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_byte_by_byte(server: Server, case: Case) -> None:
    recorder = Recorder()
    server.use(recorder)
    with server.raw() as peer:
        for byte in case.data:
            peer.offer(bytes([byte]))
            server.settle()
        verify(case, peer, "byte by byte")
    assert recorder.whole == case.seen
    server.take_log()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_split(server: Server, case: Case) -> None:
    """One connection per split point; many connections at once so that the loop turns are shared."""
    points = range(1, len(case.data))
    for some in (points[first : first + 64] for first in range(0, len(points), 64)):
        recorder = Recorder()
        server.use(recorder)
        peers = [(at, server.raw()) for at in some]
        try:
            for at, peer in peers:
                peer.send(case.data[:at])
            server.settle()
            for at, peer in peers:
                peer.offer(case.data[at:])
            for at, peer in peers:
                verify(case, peer, f"cut at {at}")
        finally:
            for _, peer in peers:
                peer.close()
        assert len(recorder.whole) == len(some) * len(case.seen)
        for seen in case.seen:
            assert recorder.whole.count(seen) == len(some)
    server.take_log()
