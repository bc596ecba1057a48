"""Both forms of the access log say the same: the standard one, through the logging module, and the compiled one."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from peer import Closed, Peer
from serving import LOOPS, Server, serve

from pronghorn.logs import ACCESS_FORMAT, AccessFormatter

HEAD = b" HTTP/1.1\r\nHost: h\r\n\r\n"
Pair = tuple[Server, Server, Path]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = scope["path"]
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept" if path == "/ws" else "websocket.close"})
        return
    if path == "/raise":
        raise ValueError("on purpose")
    if path == "/nothing":
        return
    if path == "/wait":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    if path == "/body":
        while (await receive())["more_body"]:
            pass
    status = int(path.rpartition("/")[2]) if path.startswith("/status/") else 200
    await send({"type": "http.response.start", "status": status, "headers": []})
    if path == "/stream":
        await send({"type": "http.response.body", "body": b"a" * 1000, "more_body": True})
        await asyncio.sleep(0)
    if path == "/part":
        await send({"type": "http.response.body", "body": b"a" * 1000, "more_body": True})
        return
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(params=LOOPS, scope="module")
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A server with the standard form, one with the compiled form, and where that writes."""
    path = tmp_path_factory.mktemp("log") / "access.log"
    settings = {"loop": request.param, "access_log": True, "limit_request_body": 1000}
    with serve(app, **settings) as standard, serve(app, access_log_file=path, **settings) as compiled:
        yield standard, compiled, path


def answer(data: bytes, method: str = "GET", times: int = 1) -> Callable[[Peer], None]:
    def work(peer: Peer) -> None:
        peer.send(data)
        for _ in range(times):
            try:
                peer.response(method)
            except Closed:
                return

    return work


def leave(peer: Peer) -> None:
    peer.send(b"POST /wait HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert peer.head().status == 100  # the application waits
    peer.reset()


WORKS = {
    "plain": answer(b"GET /" + HEAD),
    "query": answer(b"GET /a?b=c&d=%20" + HEAD),
    "an empty query": answer(b"GET /a?" + HEAD),
    "percent": answer(b"GET /%c3%a9%0a%22" + HEAD),
    "quotation marks": answer(b'GET /"a\\?"b\\' + HEAD),
    "every octet": answer(b"GET /" + bytes(o for o in range(0x21, 0x7F) if o != 0x23) + HEAD),
    "old": answer(b"GET /old HTTP/1.0\r\n\r\n"),
    "absolute": answer(b"GET http://h/there?q" + HEAD),
    "star": answer(b"OPTIONS *" + HEAD),
    "head": answer(b"HEAD /h" + HEAD, "HEAD"),
    "delete": answer(b"DELETE /d" + HEAD),
    "pipelined": answer(b"".join(b"GET /%d%s" % (n, HEAD) for n in range(100)), times=100),
    "streamed": answer(b"GET /stream" + HEAD),
    "posted": answer(b"POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
    **{f"status {n}": answer(b"GET /status/%d%s" % (n, HEAD)) for n in (201, 204, 299, 304, 404, 499, 500, 599)},
    "raises": answer(b"GET /raise" + HEAD),
    "no response": answer(b"GET /nothing" + HEAD),
    "half a response": answer(b"GET /part" + HEAD),
    "the client leaves": leave,
    "a body that is too long": answer(
        b"POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + b"a" * 1024 + b"\r\n0\r\n\r\n"
    ),
    "a broken body": answer(b"POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"),
    "a bad request": answer(b"GET /a b" + HEAD),
    "no host": answer(b"GET / HTTP/1.1\r\n\r\n"),
    "websocket": answer(b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
}
NONE = {"a bad request", "no host", "websocket"}  # without an access line, as under uvicorn


def without_port(line: str) -> str:
    return re.sub(r"(127\.0\.0\.1):\d+ ", r"\1:PORT ", line)


@pytest.mark.parametrize("name", WORKS)
def test_equal_lines(pair: Pair, name: str) -> None:
    standard, compiled, path = pair
    formatter = AccessFormatter(ACCESS_FORMAT, use_colors=False)
    size = path.stat().st_size
    for server in (standard, compiled):
        with server.raw() as peer:
            WORKS[name](peer)
        server.until(lambda server=server: server.open == server.active == 0, "it is over")
        server.take_log()
    records = [record for record in standard.records.seen if record.name == "pronghorn.access"]
    standard.records.seen = [record for record in standard.records.seen if record not in records]
    expected = [without_port(formatter.format(record)) for record in records]
    assert len(expected) == (0 if name in NONE else 100 if name == "pipelined" else 1)

    def found() -> list[str]:
        return [without_port(line) for line in path.read_bytes()[size:].decode("ascii").splitlines()]

    compiled.until(lambda: len(found()) >= len(expected), "the lines are written")
    assert found() == expected
    assert not [record for record in compiled.records.seen if record.name == "pronghorn.access"]


@pytest.mark.parametrize("loop", LOOPS)
def test_websockets_have_a_line_in_a_format_of_ones_own(tmp_path: Path, loop: str) -> None:
    """Besides uvicorn's on standard error. The default format has none."""
    path = tmp_path / "log"
    with serve(app, loop=loop, access_log=True, access_log_file=path, access_log_format="%(m)s %(U)s %(s)s %(B)s") as server:
        for target, status in (("/ws", 101), ("/other", 403), ("/", 403)):
            with server.raw() as peer:
                key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
                peer.send(f"GET {target} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n{key}\r\n".encode())
                assert peer.head().status == status
        server.until(lambda: server.open == server.active == 0, "it is over")
        said = [record.getMessage() for record in server.records.seen if "WebSocket" in record.getMessage()]
    assert path.read_text().splitlines() == ["GET /ws 101 0", "GET /other 403 0", "GET / 403 0"]
    assert [line.partition('"')[2] for line in said] == [
        'WebSocket /ws" [accepted]', 'WebSocket /other" 403', 'WebSocket /" 403',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("/", "200 2"),
        ("/stream", "200 1002"),
        ("/part", "200 1000"),
        ("/raise", "500 21"),
        ("/nothing", "500 21"),
        ("/status/204", "204 0"),
    ],
)
def test_bytes_and_status(tmp_path: Path, target: str, line: str) -> None:
    with serve(app, loop=LOOPS[0], access_log=True, access_log_file=tmp_path / "log", access_log_format="%(s)s %(B)s") as server:
        with server.raw() as peer:
            answer(f"GET {target}".encode() + HEAD)(peer)
        server.until(lambda: server.active == 0, "it is over")
        server.take_log()
    assert (tmp_path / "log").read_text() == line + "\n"


def test_a_header_list_that_can_be_read_once(tmp_path: Path) -> None:
    async def once(scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = (pair for pair in [[b"X-One", b"1"], (b"x-TWO", b"2")])
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    atoms = "%({x-one}o)s %({X-Two}o)s"
    with serve(once, loop=LOOPS[0], access_log=True, access_log_file=tmp_path / "log", access_log_format=atoms) as server:
        assert server.get("/").every("x-one") == ["1"]
    assert (tmp_path / "log").read_text() == "1 2\n"


def test_the_level_does_not_count_where_a_file_is_asked_for(tmp_path: Path) -> None:
    logger = logging.getLogger("pronghorn.access")
    with serve(app, loop=LOOPS[0], access_log=True, access_log_file=tmp_path / "log") as server:
        logger.setLevel(logging.ERROR)
        server.get("/")
    assert (tmp_path / "log").read_text().endswith('"GET / HTTP/1.1" 200 OK\n')
