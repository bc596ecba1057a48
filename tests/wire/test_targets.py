"""Request targets: what is refused, and what arrives byte for byte (A15, A21)."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from probes import Recorder, head, refused, refused_byte_by_byte
from serving import BYTES, Server

MODES = BYTES

REFUSED = [
    *[
        pytest.param(b"GET /a" + bytes([byte]) + b"b HTTP/1.1\r\nHost: a\r\n\r\n", (400,), id=f"byte-{byte:02x}")
        for byte in [*range(0x00, 0x21), 0x7F, 0x80, 0x85, 0xA0, 0xC3, 0xFF]
        if byte not in (0x0A, 0x0D)
    ],
    pytest.param(b"GET /a\nb HTTP/1.1\r\nHost: a\r\n\r\n", (400, 505), id="byte-0a"),
    pytest.param(b"GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n", (400, 505), id="byte-0d"),
    pytest.param(b"GET /?\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", (400,), id="high-byte-in-the-query"),
    pytest.param(b"GET /?\x7f HTTP/1.1\r\nHost: a\r\n\r\n", (400,), id="delete-in-the-query"),
    pytest.param(head(method="GET", target="/a#b"), (400,), id="fragment"),
    pytest.param(head(method="GET", target="a"), (400,), id="no-slash"),
    pytest.param(head(method="GET", target="?a"), (400,), id="query-alone"),
    pytest.param(head(method="GET", target="a:80"), (400,), id="authority-with-get"),
    pytest.param(head(method="GET", target="*"), (400,), id="asterisk-with-get"),
    pytest.param(head(method="OPTIONS", target="*a"), (400,), id="asterisk-and-more"),
    pytest.param(head(method="GET", target="http:/a/b"), (400,), id="one-slash"),
    pytest.param(head(method="GET", target="http:///b"), (400,), id="empty-authority"),
    pytest.param(head(method="GET", target="://a/b"), (400,), id="empty-scheme"),
    pytest.param(head(method="GET", target=""), (400,), id="empty"),
    pytest.param(head(method="CONNECT", target="a:80"), (501,), id="connect"),
    pytest.param(head(method="CONNECT", target="a:80") + head(method="GET", target="/x"), (501,), id="connect-smuggling"),
    pytest.param(head("Content-Length: 40", method="CONNECT", target="a:80"), (501,), id="connect-with-length"),
    pytest.param(head("Content-Length: 1", method="TRACE") + b"x", (400,), id="trace-with-a-body"),
    pytest.param(head("Transfer-Encoding: chunked", method="TRACE") + b"0\r\n\r\n", (400,), id="trace-with-chunks"),
]


@pytest.mark.parametrize(("data", "statuses"), REFUSED)
def test_refused(server: Server, data: bytes, statuses: tuple[int, ...]) -> None:
    refused(server, data, *statuses)


def test_refused_byte_by_byte(server: Server) -> None:
    refused_byte_by_byte(server, REFUSED)


TARGETS = [
    "/",
    "//",
    "///a",
    "//a/b",
    "/a//b",
    "/.",
    "/..",
    "/../a",
    "/a/../b",
    "/a/./b",
    "/a/",
    "/a/b/c",
    "/%2e%2e/a",
    "/%2E%2E/a",
    "/a%2fb",
    "/a%2Fb",
    "/a%5cb",
    "/a\\b",
    "/%00",
    "/a%00b",
    "/%0d%0a",
    "/%20",
    "/a%20b",
    "/a+b",
    "/%2b",
    "/%25",
    "/%2525",
    "/%3f",
    "/%3Fa",
    "/%23",
    "/%c3%a9",
    "/%C3%A9",
    "/%e2%82%ac",
    "/%f0%9f%a6%8c",
    "/%ff",
    "/%c3",
    "/%c3%28",
    "/%ed%a0%80",
    "/%c0%af",
    "/%zz",
    "/%",
    "/%4",
    "/%41",
    "/a%",
    "/a%4",
    "/%%41",
    "/~a",
    "/a;b=c",
    "/a;b;c",
    "/a:b",
    "/a@b",
    "/a&b=c",
    "/a,b",
    "/a'b",
    '/a"b',
    "/a<b>",
    "/a[b]",
    "/a{b}",
    "/a|b",
    "/a^b",
    "/a`b",
    "/!$()*",
    "/http://b/c",
    "/" + "a" * 4000,
    "/" + "%c3%a9" * 500,
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:20])
def test_path_is_decoded_once(server: Server, target: str) -> None:
    """raw_path is the bytes as sent; path is their percent-decoded text, decoded exactly once, never normalised."""
    recorder = Recorder()
    server.use(recorder)
    assert server.get(target).status == 200
    scope = server.calls[0]
    assert scope["raw_path"] == target.encode()
    assert scope["path"] == unquote(target)
    assert scope["query_string"] == b""


@pytest.mark.parametrize("query", ["", "a", "a=b", "a=%20b+c", "?", "a?b", "%00", "%zz", "a=b&a=c", "/../", "\\", "[]{}|^`\"<>"])
def test_query_is_never_decoded(server: Server, query: str) -> None:
    recorder = Recorder()
    server.use(recorder)
    assert server.get(f"/p%41?{query}").status == 200
    scope = server.calls[0]
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/pA", b"/p%41", query.encode())


@pytest.mark.parametrize(
    ("target", "raw_path", "path", "query"),
    [
        ("http://a/", b"/", "/", b""),
        ("http://a", b"/", "/", b""),
        ("http://a/%41/b", b"/%41/b", "/A/b", b""),
        ("http://a/b?c=%41", b"/b", "/b", b"c=%41"),
        ("http://a?c", b"/", "/", b"c"),
        ("http://a//b", b"//b", "//b", b""),
        ("http://a/http://b/", b"/http://b/", "/http://b/", b""),
    ],
)
def test_absolute_form(server: Server, target: str, raw_path: bytes, path: str, query: bytes) -> None:
    recorder = Recorder()
    server.use(recorder)
    assert server.ask(head(method="GET", target=target)).status == 200
    scope = server.calls[0]
    assert (scope["raw_path"], scope["path"], scope["query_string"]) == (raw_path, path, query)


def test_absolute_form_with_the_default_port(server: Server) -> None:
    """`http://a:80/` and `Host: a` name the same authority only to who knows the scheme; both spellings are served alike."""
    recorder = Recorder()
    server.use(recorder)
    assert server.ask(head(method="GET", target="http://a:8000/", host="a:8000")).status == 200
    assert server.calls[0]["raw_path"] == b"/"
