"""Heads that are refused, and their nearest neighbours that are not: the rows A01-A05, A11-A14, A20 and A22.

Each refused row is sent three times: alone, behind a good request in the same segment, and byte by byte.
"""

from __future__ import annotations

from typing import Any

import pytest
from probes import Recorder, Seen, answer, head, refused, refused_byte_by_byte
from serving import BYTES, Server

MODES = BYTES

CHUNKED = b"0\r\n\r\n"


def row(name: str, data: bytes, *statuses: int) -> Any:
    return pytest.param(data, statuses or (400,), id=name)


def te(name: str, *values: str, statuses: tuple[int, ...] = (400,)) -> Any:
    return row(name, head(*(f"Transfer-Encoding:{value}" for value in values)) + CHUNKED, *statuses)


def cl(name: str, *values: str) -> Any:
    return row(name, head(*(f"Content-Length:{value}" for value in values)) + b"x")


def line(name: str, text: str) -> Any:
    return row(name, head(text, method="GET"))


def host(name: str, *values: str) -> Any:
    return row(name, head(*(f"Host:{value}" for value in values), method="GET", host=None))


LENGTH_AND_CHUNKED = [
    row("length-then-chunked", head("Content-Length: 5", "Transfer-Encoding: chunked") + CHUNKED),
    row("chunked-then-length", head("Transfer-Encoding: chunked", "Content-Length: 5") + CHUNKED),
    row("zero-length-and-chunked", head("Content-Length: 0", "Transfer-Encoding: chunked") + CHUNKED),
    row("chunked-and-bad-length", head("Transfer-Encoding: chunked", "Content-Length: nought") + CHUNKED),
    row("get-with-both", head("Content-Length: 5", "Transfer-Encoding: chunked", method="GET") + CHUNKED),
    row("with-something-between", head("Content-Length: 5", "A: b", "Transfer-Encoding: chunked") + CHUNKED),
]
UNKNOWN = (400, 501)  # not chunked at all, so the body has no end: RFC 9112 section 6.3 says 400, 6.1 says 501
CODINGS = [
    te("twice-in-one-line", " chunked, chunked"),
    te("twice-in-two-lines", " chunked", " chunked"),
    te("gzip-before", " gzip, chunked", statuses=(501,)),
    te("gzip-before-in-two-lines", " gzip", " chunked", statuses=UNKNOWN),
    te("unknown-before", " foo, chunked", statuses=(501,)),
    te("gzip-after", " chunked, gzip"),
    te("gzip-after-in-two-lines", " chunked", " gzip"),
    te("identity-after", " chunked, identity"),
    te("identity-before", " identity, chunked", statuses=UNKNOWN),
    te("gzip-alone", " gzip", statuses=UNKNOWN),
    te("identity-alone", " identity", statuses=UNKNOWN),
    te("unknown-alone", " x-chunked", statuses=UNKNOWN),
    te("parameter", " chunked;q=1", statuses=UNKNOWN),
    te("empty", ""),
    te("only-space", "  "),
]
DISGUISES = [
    te("vertical-tab-before", "\x0bchunked"),
    te("form-feed-before", "\x0cchunked"),
    te("vertical-tab-after", " chunked\x0b"),
    te("form-feed-after", " chunked\x0c"),
    te("nul-after", " chunked\x00"),
    te("delete-after", " chunked\x7f"),
    te("no-break-space-before", "\xa0chunked", statuses=UNKNOWN),
    te("no-break-space-after", " chunked\xa0", statuses=UNKNOWN),
    te("next-line-before", "\x85chunked", statuses=UNKNOWN),
    te("trailing-comma", " chunked,"),
    te("leading-comma", " ,chunked"),
    te("two-commas", " chunked,,"),
    te("double-quoted", ' "chunked"', statuses=UNKNOWN),
    te("single-quoted", " 'chunked'", statuses=UNKNOWN),
    te("inner-space", " chun ked", statuses=UNKNOWN),
    te("chunk", " chunk", statuses=UNKNOWN),
    te("chunkedd", " chunkedd", statuses=UNKNOWN),
    te("semicolon", " chunked;", statuses=UNKNOWN),
    te("bare-cr-before", " \rchunked"),
    te("bare-lf-before", " \nchunked"),
    row("name-with-space", head("Transfer-Encoding : chunked") + CHUNKED),
    row("name-with-tab", head("Transfer-Encoding\t: chunked") + CHUNKED),
    row("name-with-nul", head("Transfer-Encoding\x00: chunked") + CHUNKED),
]
FOLDS = [
    te("coding-on-a-folded-line", "\r\n chunked"),
    te("coding-on-a-tab-folded-line", "\r\n\tchunked"),
    line("value-folded", "A: b\r\n c"),
    line("value-folded-with-tab", "A: b\r\n\tc"),
    line("empty-fold", "A: b\r\n "),
    row("space-before-the-first-line", b"GET /bad HTTP/1.1\r\n Host: a\r\n\r\n"),
    row("tab-before-the-first-line", b"GET /bad HTTP/1.1\r\n\tHost: a\r\n\r\n"),
]
LENGTHS = [
    cl("plus", " +1"),
    cl("minus-nought", " -0"),
    cl("minus", " -1"),
    cl("hexadecimal", " 0x1"),
    cl("underscore", " 1_0"),
    cl("inner-space", " 1 0"),
    cl("list", " 1,1"),
    cl("list-with-space", " 1, 1"),
    cl("empty", ""),
    cl("only-space", "  "),
    cl("twenty-digits", " 10000000000000000000"),
    cl("two-to-the-63", " 9223372036854775808"),
    cl("two-to-the-64", " 18446744073709551616"),
    cl("two-to-the-64-plus-one", " 18446744073709551617"),
    cl("forty-digits", " " + "9" * 40),
    cl("superscript", " \xb9"),
    cl("full-width", " \xef\xbc\x91"),
    cl("decimal-point", " 1.0"),
    cl("exponent", " 1e1"),
    cl("quoted", ' "1"'),
    cl("letters", " one"),
    cl("trailing-letter", " 1a"),
    cl("vertical-tab", " 1\x0b"),
    cl("nul", " 1\x00"),
    cl("equal-duplicates", " 1", " 1"),
    cl("unequal-duplicates", " 1", " 2"),
    row("name-with-space", head("Content-Length : 1") + b"x"),
]
LINE_ENDS = [
    row("lf-everywhere", b"GET /bad HTTP/1.1\nHost: a\n\n"),
    row("lf-after-the-request-line", b"GET /bad HTTP/1.1\nHost: a\r\n\r\n"),
    row("lf-after-a-header", b"GET /bad HTTP/1.1\r\nHost: a\nA: b\r\n\r\n"),
    row("lf-at-the-end", b"GET /bad HTTP/1.1\r\nHost: a\r\n\n"),
    row("lf-lf-at-the-end", b"GET /bad HTTP/1.1\r\nHost: a\n\n"),
    row("cr-after-the-request-line", b"GET /bad HTTP/1.1\rHost: a\r\n\r\n"),
    row("cr-after-a-header", b"GET /bad HTTP/1.1\r\nHost: a\rA: b\r\n\r\n"),
    row("cr-everywhere", b"GET /bad HTTP/1.1\rHost: a\r\r"),
    row("cr-x-at-the-end", b"GET /bad HTTP/1.1\r\nHost: a\r\n\rX"),
    row("cr-cr-lf-at-the-end", b"GET /bad HTTP/1.1\r\nHost: a\r\n\r\r\n"),
    row("cr-cr-lf-after-a-header", b"GET /bad HTTP/1.1\r\nHost: a\r\r\n\r\n"),
    row("cr-in-a-value", head("A: b\rc", method="GET")),
    row("lf-in-a-value", head("A: b\nc", method="GET")),
    row("cr-in-a-name", head("A\r: b", method="GET")),
    row("lf-in-a-name", head("A\nB: c", method="GET")),
]
CONTROLS = [
    line(f"{byte:02x}-{place}", text)
    for byte in [*range(0x00, 0x09), *range(0x0B, 0x0D), *range(0x0E, 0x20), 0x7F]
    for place, text in (
        ("first", f"A: {byte:c}b"),
        ("middle", f"A: b{byte:c}c"),
        ("last", f"A: b{byte:c}"),
    )
]
NAMES = [
    line("space-before-colon", "A : b"),
    line("tab-before-colon", "A\t: b"),
    line("no-name", ": b"),
    line("no-colon", "A"),
    line("no-colon-with-space", "A b"),
    line("space-in-name", "A B: c"),
    *[line(f"byte-{ord(char):02x}", f"A{char}B: c") for char in '"(),/;<=>?@[]\\{}\x00\x01\x1f\x7f\x80\xe9\xff'],
]
HOSTS = [
    row("none", b"GET /bad HTTP/1.1\r\n\r\n"),
    row("none-but-others", b"GET /bad HTTP/1.1\r\nA: b\r\n\r\n"),
    host("two", " a", " b"),
    host("two-equal", " a", " a"),
    host("list", " a, b"),
    host("user", " user@a"),
    host("user-and-password", " user:secret@a"),
    host("path", " a/b"),
    host("query", " a?b"),
    host("fragment", " a#b"),
    host("port-of-letters", " a:b"),
    host("port-negative", " a:-1"),
    host("two-ports", " a:1:2"),
    host("scheme", " http://a"),
    host("space", " a b"),
    host("backslash", " a\\b"),
    host("angle-bracket", " a<b"),
    host("unclosed-bracket", " [::1"),
    host("unopened-bracket", " ::1]"),
    host("bare-ipv6", " ::1"),
    host("high-bytes", " \xe9xample"),
    host("percent", " a%"),
    row("absolute-form-with-user", head(target="http://user@a/bad", method="GET")),
    row("absolute-form-without-host", b"GET http://a/bad HTTP/1.1\r\n\r\n"),
]
VERSIONS = [
    row("1.10", head(version="HTTP/1.10", method="GET"), 400, 505),
    row("2.0", head(version="HTTP/2.0", method="GET"), 505),
    row("3.0", head(version="HTTP/3.0", method="GET"), 505),
    row("0.9", head(version="HTTP/0.9", method="GET"), 400, 505),
    row("9.9", head(version="HTTP/9.9", method="GET"), 400, 505),
    row("one-digit", head(version="HTTP/1", method="GET"), 400, 505),
    row("no-minor", head(version="HTTP/1.", method="GET"), 400, 505),
    row("lower-case", head(version="http/1.1", method="GET")),
    row("mixed-case", head(version="Http/1.1", method="GET")),
    row("comma", head(version="HTTP/1,1", method="GET"), 400, 505),
    row("other-protocol", head(version="HTTQ/1.1", method="GET")),
    row("trailing-space", head(version="HTTP/1.1 ", method="GET"), 400, 505),
    row("two-spaces", head(version=" HTTP/1.1", method="GET")),
    row("trailing-word", head(version="HTTP/1.1 x", method="GET"), 400, 505),
    row("none", b"GET /bad\r\n\r\n", 400, 505),
    row("chunked-with-1.0", head("Transfer-Encoding: chunked", version="HTTP/1.0") + CHUNKED),
    row("gzip-with-1.0", head("Transfer-Encoding: gzip", version="HTTP/1.0"), 400, 501),
    row("both-with-1.0", head("Transfer-Encoding: chunked", "Content-Length: 1", version="HTTP/1.0") + CHUNKED),
]
METHODS = [
    row("too-long", head(method="X" * 65), 501),  # others are the application's: test_methods.py
    row("connect", b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501),
    row("no-method", b" /bad HTTP/1.1\r\nHost: a\r\n\r\n"),
    row("not-a-token", head(method="G(ET")),
    row("slash", head(method="G/ET")),
    row("control", head(method="G\x01ET")),
    row("high-byte", head(method="G\xe9T")),
    row("space-before", b" GET /bad HTTP/1.1\r\nHost: a\r\n\r\n"),
    row("tab-after", b"GET\t/bad HTTP/1.1\r\nHost: a\r\n\r\n"),
    row("two-spaces-after", b"GET  /bad HTTP/1.1\r\nHost: a\r\n\r\n"),
    row("only-a-method", b"GET\r\n\r\n"),
]
FOREIGN = [
    row("tls-hello", bytes.fromhex("16030100a5010000a10303") + bytes(range(64))),
    row("http2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 501, 505),
    row("ssh", b"SSH-2.0-OpenSSH_9.2\r\n"),
    row("nul-bytes", bytes(64)),
    row("high-bytes", bytes(range(128, 256))),
    row("socks", b"\x05\x01\x00"),
    row("json", b'{"jsonrpc": "2.0"}\r\n\r\n'),
    row("response", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
]
TABLES = {
    "length-and-chunked": LENGTH_AND_CHUNKED,
    "codings": CODINGS,
    "disguises": DISGUISES,
    "folds": FOLDS,
    "lengths": LENGTHS,
    "line-ends": LINE_ENDS,
    "controls": CONTROLS,
    "names": NAMES,
    "hosts": HOSTS,
    "versions": VERSIONS,
    "methods": METHODS,
    "foreign": FOREIGN,
}


@pytest.mark.parametrize(
    ("data", "statuses"),
    [pytest.param(*one.values, id=f"{table}-{one.id}") for table, rows in TABLES.items() for one in rows],
)
def test_refused(server: Server, data: bytes, statuses: tuple[int, ...]) -> None:
    refused(server, data, *statuses)


@pytest.mark.parametrize("rows", TABLES.values(), ids=TABLES.keys())
def test_refused_byte_by_byte(server: Server, rows: list[Any]) -> None:
    refused_byte_by_byte(server, rows)


ACCEPTED = [
    ("coding-without-space", head("Transfer-Encoding:chunked") + b"1\r\nx\r\n0\r\n\r\n", Seen("POST", b"/bad", b"x")),
    ("coding-after-tab", head("Transfer-Encoding:\t chunked\t ") + b"1\r\nx\r\n0\r\n\r\n", Seen("POST", b"/bad", b"x")),
    ("coding-in-capitals", head("TRANSFER-ENCODING: CHUNKED") + b"1\r\nx\r\n0\r\n\r\n", Seen("POST", b"/bad", b"x")),
    ("length-with-noughts", head("Content-Length: 0001") + b"x", Seen("POST", b"/bad", b"x")),
    ("length-with-space-around", head("Content-Length: \t1 \t") + b"x", Seen("POST", b"/bad", b"x")),
    ("length-of-nought", head("Content-Length: 0"), Seen("POST", b"/bad", b"")),
    ("get-with-a-body", head("Content-Length: 1", method="GET") + b"x", Seen("GET", b"/bad", b"x")),
    ("empty-lines-before", b"\r\n\r\n" + head(method="GET"), Seen("GET", b"/bad", b"")),
    ("version-1.0-without-host", b"GET /bad HTTP/1.0\r\n\r\n", Seen("GET", b"/bad", b"")),
    ("host-and-port", head(host="a.example:8080", method="GET"), Seen("GET", b"/bad", b"")),
    ("host-with-empty-port", head(host="a:", method="GET"), Seen("GET", b"/bad", b"")),
    ("host-ipv4", head(host="127.0.0.1:80", method="GET"), Seen("GET", b"/bad", b"")),
    ("host-ipv6", head(host="[::1]:8080", method="GET"), Seen("GET", b"/bad", b"")),
    ("host-underscore", head(host="a_b", method="GET"), Seen("GET", b"/bad", b"")),
    ("host-highest-port", head(host="a:65535", method="GET"), Seen("GET", b"/bad", b"")),
    ("absolute-form", head(target="http://a/bad?q", method="GET"), Seen("GET", b"/bad?q", b"")),
    ("absolute-form-other-case", head(target="HTTP://A/bad", method="GET"), Seen("GET", b"/bad", b"")),
    ("absolute-form-without-path", head(target="http://a", method="GET"), Seen("GET", b"/", b"")),
    ("absolute-form-query-only", head(target="http://a?q", method="GET"), Seen("GET", b"/?q", b"")),
    ("asterisk", head(target="*", method="OPTIONS"), Seen("OPTIONS", b"*", b"")),
    ("trace", head(method="TRACE"), Seen("TRACE", b"/bad", b"")),
]


@pytest.mark.parametrize(("data", "seen"), [one[1:] for one in ACCEPTED], ids=[one[0] for one in ACCEPTED])
def test_accepted(server: Server, data: bytes, seen: Seen) -> None:
    recorder = Recorder()
    server.use(recorder)
    (response,) = answer(server, data)
    assert (response.status, response.body) == (200, seen.body)
    assert recorder.whole == [seen]


def test_largest_length_is_accepted(server: Server) -> None:
    """2^63-1 is a valid length: the call begins, and is cut when the client leaves."""
    recorder = Recorder()
    server.use(recorder)
    with server.raw() as peer:
        peer.send(head("Content-Length: 9223372036854775807") + b"x")
        server.until(lambda: len(server.calls) == 1, "the call begins")
        peer.reset()
    server.until(lambda: recorder.cut == ["/bad"], "the call is cut")
    assert recorder.whole == []


@pytest.mark.parametrize("byte", range(0x80, 0x100), ids="{:02x}".format)
def test_high_bytes_pass_untouched(server: Server, byte: int) -> None:
    """obs-text is data: the byte arrives as it was sent, in the same number of headers."""
    recorder = Recorder()
    server.use(recorder)
    value = bytes([0x62, byte, 0x63])
    (response,) = answer(server, b"GET / HTTP/1.1\r\nHost: a\r\nA: " + value + b"\r\nZ: z\r\n\r\n")
    assert response.status == 200
    assert recorder.whole[0].headers == [(b"host", b"a"), (b"a", value), (b"z", b"z")]


@pytest.mark.parametrize("char", "!#$%&'*+-.^`|~09azAZ", ids="{!r}".format)
def test_token_characters_in_a_name(server: Server, char: str) -> None:
    recorder = Recorder()
    server.use(recorder)
    (response,) = answer(server, head(f"A{char}B: c", method="GET"))
    assert response.status == 200
    assert recorder.whole[0].headers == [(b"host", b"a"), (f"a{char.lower()}b".encode(), b"c")]


def test_thousand_empty_lines(server: Server) -> None:
    """Empty lines before a request are skipped or refused, but they are never a request."""
    recorder = Recorder()
    server.use(recorder)
    with server.raw() as peer:
        peer.offer(b"\r\n" * 1000 + head(method="GET"))
        response = peer.response()
        assert response.status in (200, 400)
        assert response.closes == (response.status == 400)
    log = server.take_log()
    assert len(log) <= 1 and not any(record.exc_info for record in log)
    assert len(recorder.whole) == (response.status == 200)
