"""Chunked bodies that are refused, and their nearest neighbours that are not: the rows A06-A10.

Here the head is good, so the application may already have been called when the fault is seen. What must never
happen is that it is given a whole body, or that the bytes after the fault are taken for a request.
"""

from __future__ import annotations

from typing import Any

import pytest
from probes import FIRST, Recorder, Seen, head, refused, refused_byte_by_byte
from serving import BYTES, Server

MODES = BYTES

HEAD = head("Transfer-Encoding: chunked", target="/chunked")
LAST = b"0\r\n\r\n"
STOLEN = b"GET /stolen HTTP/1.1\r\nHost: a\r\n\r\n"


def row(name: str, body: bytes, *statuses: int) -> Any:
    return pytest.param(HEAD + body, statuses or (400,), id=name)


def size(name: str, text: bytes) -> Any:
    return row(name, text + b"\r\nx\r\n" + LAST)


def extension(name: str, text: bytes) -> Any:
    return row(name, b"1" + text + b"\r\nx\r\n" + LAST)


def after(name: str, terminator: bytes) -> Any:
    """Chunk data followed by something else than exactly CRLF."""
    return row(name, b"1\r\nx" + terminator + LAST + STOLEN)


def trailer(name: str, *lines: str) -> Any:
    return row(name, b"1\r\nx\r\n0\r\n" + "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n")


SIZES = [
    size("hexadecimal-prefix", b"0x1"),
    size("plus", b"+1"),
    size("minus", b"-1"),
    size("underscore", b"0_1"),
    size("space-before", b" 1"),
    size("tab-before", b"\t1"),
    size("space-after", b"1 "),
    size("tab-after", b"1\t"),
    size("empty", b""),
    size("not-hexadecimal", b"g"),
    size("letter-after", b"1g"),
    size("seventeen-digits", b"00000000000000001"),
    size("thirty-digits", b"0" * 29 + b"1"),
    size("two-to-the-64-plus-one", b"10000000000000001"),
    size("two-to-the-64-minus-one", b"ffffffffffffffff"),
    size("two-to-the-63", b"8000000000000000"),
    size("decimal-point", b"1.0"),
    size("quoted", b'"1"'),
    size("full-width", "\uff11".encode()),
    size("nul", b"1\x00"),
    size("comma", b"1,1"),
]
TERMINATORS = [
    ("lf", b"\n"),
    ("cr", b"\r"),
    ("cr-x", b"\rX"),
    ("cr-cr", b"\r\r"),
    ("cr-cr-lf", b"\r\r\n"),
    ("nothing", b""),
    ("two-others", b"XX"),
]
SIZE_LINES = [
    # The end of the chunk-size line without an extension: `1<terminator>x CRLF`.
    row(f"size-line-ends-with-{name}", b"1" + end + b"x\r\n" + LAST)
    for name, end in TERMINATORS
    if end and end != b"XX"
]
EXTENSION_ENDS = [
    # TERM.EXT: a line end of another kind inside or after an extension.
    *[row(f"extension-ends-with-{name}", b"1;a=b" + end + b"x\r\n" + LAST) for name, end in TERMINATORS if end],
    *[row(f"extension-holds-{name}", b"1;a" + end + b"b=c\r\nx\r\n" + LAST) for name, end in TERMINATORS[:5]],
    # EXT.TERM: the same right behind the semicolon.
    *[row(f"semicolon-then-{name}", b"1;" + end + b"\r\nx\r\n" + LAST) for name, end in TERMINATORS[:5]],
]
EXTENSIONS = [
    extension("nul-in-name", b";a\x00"),
    extension("nul-in-value", b";a=\x00"),
    extension("delete-in-value", b";a=b\x7f"),
    extension("form-feed", b";\x0ca=b"),
    extension("unclosed-quote", b';a="b'),
    extension("unclosed-quote-after-escape", b';a="b\\"'),
    extension("crlf-in-quotes", b';a="b\r\n0\r\n\r\n"'),
    extension("lf-in-quotes", b';a="b\nc"'),
    extension("cr-in-quotes", b';a="b\rc"'),
    extension("nul-in-quotes", b';a="b\x00c"'),
    extension("escape-in-quotes", b';a="b\x1bc"'),
    extension("text-after-quotes", b';a="b"c'),
    extension("no-semicolon", b" a=b"),
    extension("no-name", b";"),
    extension("no-name-before-equals", b";=b"),
]
SPILLS = [
    after("lf", b"\n"),
    after("cr", b"\r"),
    after("cr-x", b"\rX"),
    after("cr-cr", b"\r\r"),
    after("lf-cr", b"\n\r"),
    after("nothing", b""),
    after("two-others", b"XX"),
    after("one-byte-more", b"y\r\n"),
    after("space-crlf", b" \r\n"),
    row("data-longer-than-its-size", b"3\r\nabcd\r\n" + LAST + STOLEN),
    row("data-shorter-than-its-size", b"5\r\nabc\r\n" + LAST + STOLEN),
    row("last-chunk-ends-with-lf", b"1\r\nx\r\n0\n\r\n" + STOLEN),
    row("last-chunk-ends-with-cr", b"1\r\nx\r\n0\r\r\n" + STOLEN),
]
TRAILERS = [
    trailer("content-length", "Content-Length: 5"),
    trailer("transfer-encoding", "Transfer-Encoding: chunked"),
    trailer("host", "Host: b"),
    trailer("authorization", "Authorization: Basic YTpi"),
    trailer("content-type", "Content-Type: text/html"),
    trailer("capitals", "CONTENT-LENGTH: 5"),
    trailer("behind-a-good-one", "A: b", "Content-Length: 5"),
    trailer("space-before-colon", "A : b"),
    trailer("no-colon", "A"),
    trailer("no-name", ": b"),
    trailer("folded", "A: b\r\n c"),
    trailer("space-in-front", " A: b"),
    trailer("nul", "A: b\x00"),
    trailer("bare-cr", "A: b\rc"),
    trailer("bare-lf", "A: b\nC: d"),
    # TERM.TRAIL: the trailer section closed by something else than CRLF.
    row("section-ends-with-lf", b"1\r\nx\r\n0\r\n\n" + STOLEN),
    row("section-ends-with-cr-x", b"1\r\nx\r\n0\r\n\rX" + STOLEN),
    row("section-ends-with-cr-cr", b"1\r\nx\r\n0\r\n\r\r" + STOLEN),
    row("section-with-a-field-ends-with-lf", b"1\r\nx\r\n0\r\nA: b\r\n\n" + STOLEN),
    row("section-with-a-field-ends-with-cr-x", b"1\r\nx\r\n0\r\nA: b\r\n\rX" + STOLEN),
]
TABLES = {
    "sizes": SIZES,
    "size-lines": SIZE_LINES,
    "extension-ends": EXTENSION_ENDS,
    "extensions": EXTENSIONS,
    "spills": SPILLS,
    "trailers": TRAILERS,
}


@pytest.mark.parametrize(
    ("data", "statuses"),
    [pytest.param(*one.values, id=f"{table}-{one.id}") for table, rows in TABLES.items() for one in rows],
)
def test_refused(server: Server, data: bytes, statuses: tuple[int, ...]) -> None:
    refused(server, data, *statuses, after_head=True)
    assert all(call["path"] != "/stolen" for call in server.calls)


@pytest.mark.parametrize("rows", TABLES.values(), ids=TABLES.keys())
def test_refused_byte_by_byte(server: Server, rows: list[Any]) -> None:
    refused_byte_by_byte(server, rows)


@pytest.mark.parametrize("rows", [EXTENSION_ENDS, EXTENSIONS], ids=["extension-ends", "extensions"])
def test_refused_at_every_split(server: Server, rows: list[Any]) -> None:
    """The rows of A07 and A08, cut in two at each byte of the body."""
    recorder = Recorder()
    server.use(recorder)
    for one in rows:
        data, statuses = one.values
        peers = [(at, server.raw()) for at in range(len(HEAD), len(data))]
        try:
            for at, peer in peers:
                peer.send(data[:at])
            server.settle()
            for at, peer in peers:
                peer.offer(data[at:])
            for at, peer in peers:
                response = peer.response()
                assert response.status in statuses, f"{one.id} cut at {at - len(HEAD)}: {response.status}"
        finally:
            for _, peer in peers:
                peer.close()
    assert recorder.whole == []
    server.take_log()


@pytest.mark.parametrize("cut", [b"", b"1", b"1\r\n", b"5\r\nab", b"1\r\nx\r\n", b"1\r\nx\r\n0\r\n"])
def test_end_of_stream_in_the_body(server: Server, cut: bytes) -> None:
    """The client leaves in the middle: http.disconnect, and never a whole request."""
    recorder = Recorder()
    server.use(recorder)
    with server.raw() as peer:
        peer.send(HEAD + cut)
        server.until(lambda: len(server.calls) == 1, "the call begins")
        peer.finish()
        server.until(lambda: recorder.cut == ["/chunked"], "the call is told")
    assert recorder.whole == []


CHUNKED = [
    ("one-chunk", b"1\r\nx\r\n" + LAST, b"x"),
    ("no-chunk", LAST, b""),
    ("many-noughts-at-the-end", b"1\r\nx\r\n0000\r\n\r\n", b"x"),
    ("sixteen-digits", b"0000000000000001\r\nx\r\n" + LAST, b"x"),
    ("lower-case-hexadecimal", b"a\r\n0123456789\r\n" + LAST, b"0123456789"),
    ("upper-case-hexadecimal", b"A\r\n0123456789\r\n" + LAST, b"0123456789"),
    ("extension-name", b"1;a\r\nx\r\n" + LAST, b"x"),
    ("extension-token", b"1;a=b\r\nx\r\n" + LAST, b"x"),
    ("extension-quoted", b'1;a="b c"\r\nx\r\n' + LAST, b"x"),
    ("extension-quoted-semicolon", b'1;a="b;c"\r\nx\r\n' + LAST, b"x"),
    ("extension-quoted-pair", b'1;a="b\\"c"\r\nx\r\n' + LAST, b"x"),
    ("two-extensions", b"1;a=b;c=d\r\nx\r\n" + LAST, b"x"),
    ("extension-on-the-last-chunk", b"1\r\nx\r\n0;a=b\r\n\r\n", b"x"),
    ("crlf-in-the-data", b"4\r\n\r\n\r\n\r\n" + LAST, b"\r\n\r\n"),
    ("last-chunk-in-the-data", b"5\r\n0\r\n\r\n\r\n" + LAST, b"0\r\n\r\n"),
    ("trailer", b"1\r\nx\r\n0\r\nA: b\r\n\r\n", b"x"),
    ("two-trailers", b"1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", b"x"),
    ("trailer-without-value", b"1\r\nx\r\n0\r\nA:\r\n\r\n", b"x"),
]


@pytest.mark.parametrize(("body", "expected"), [one[1:] for one in CHUNKED], ids=[one[0] for one in CHUNKED])
def test_accepted(server: Server, body: bytes, expected: bytes) -> None:
    """Decoded, kept apart from what follows, and without a trailer among the headers."""
    recorder = Recorder()
    server.use(recorder)
    with server.raw() as peer:
        peer.send(HEAD + body + FIRST)
        assert peer.response().body == expected
        assert peer.response().status == 200
    assert recorder.whole == [Seen("POST", b"/chunked", expected), Seen("GET", b"/first", b"")]
    assert recorder.whole[0].headers == [(b"host", b"a"), (b"transfer-encoding", b"chunked")]
