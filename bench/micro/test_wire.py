"""http1 and edge: whole requests to whole responses, in memory."""

import asyncio
import logging
import socket

import pytest
from given import BROWSER, PLAIN, TIMES, post

from pronghorn import Config
from pronghorn._core.drive import Drive
from pronghorn._core.edge import Connections
from pronghorn._core.journal import Lines
from pronghorn._core.sockets import Sockets, available
from pronghorn.atoms import compile_format

HEADERS = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"13")]
WORKS = {"plain": (PLAIN, 1), "browser": (BROWSER, 1), "pipelined": (PLAIN * 16, 16), "post": (post(b"x" * 1024), 1)}


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b"Hello, World!"})


async def echo(scope, receive, send):
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(params=WORKS)
def work(request):
    """(application, bytes, requests in them)"""
    return (echo if request.param == "post" else hello, *WORKS[request.param])


@pytest.fixture
def config():
    return Config(None, limit_requests_per_connection=0, log_config=None)


class Transport(asyncio.Transport):
    """Counts what is written to it. It has no socket, so the edge writes through it."""

    def __init__(self):
        super().__init__({"peername": ("127.0.0.1", 50000)})
        self.written = 0

    def write(self, data):
        self.written += len(data)

    def get_write_buffer_size(self):
        return 0

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def is_closing(self):
        return False

    def abort(self):
        pass


def test_http1(benchmark, probe, in_loop, config, work):
    app, data, requests = work
    drive = Drive(in_loop.loop, "lazy")
    total, sent = benchmark(in_loop, probe.http1_feed, drive, app, config, data, TIMES)
    assert total == TIMES * requests
    assert sent > 100 * total


def test_http1_with_an_access_log(benchmark, probe, in_loop, config):
    """Beside test_http1[plain]: what the default line costs a request."""
    drive = Drive(in_loop.loop, "lazy")
    lines = Lines(compile_format("default"), lambda: None, lambda: lines.take())
    total, _ = benchmark(in_loop, probe.http1_feed, drive, hello, config, PLAIN, TIMES, lines)
    assert total == TIMES
    assert lines.missed == 0


@pytest.mark.skipif(not available, reason="it is about Linux")
def test_sockets(benchmark, in_loop, config, work, tmp_path):
    """The kernel and a client are in it: what counts is how it changes."""
    app, data, requests = work

    def connect():
        connections = Connections(in_loop.loop, app, config, state={}, error=logging.getLogger("bench"))
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        listening.setblocking(False)
        acceptor = Sockets(connections).accept(listening.fileno(), None)
        client.connect(str(tmp_path / "s"))
        acceptor.poll.ready()
        return connections, acceptor

    def feed(poll):
        for _ in range(TIMES):
            client.send(data)
            poll.ready()
            assert client.recv(65536)

    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
        connections, acceptor = in_loop(connect)
        benchmark(in_loop, feed, acceptor.poll)
        assert connections.total_requests % (TIMES * requests) == 0
        in_loop(acceptor.close)
        in_loop(connections.abort)


def test_edge(benchmark, in_loop, config, work):
    app, data, requests = work

    def connect():
        connections = Connections(in_loop.loop, app, config, state={}, error=logging.getLogger("bench"))
        transport = Transport()
        protocol = connections.listener(("127.0.0.1", 8000))()
        protocol.connection_made(transport)
        return connections, protocol, transport

    def feed(protocol):
        for _ in range(TIMES):
            if isinstance(protocol, asyncio.BufferedProtocol):
                with memoryview(protocol.get_buffer(-1)) as buffer:
                    buffer[: len(data)] = data
                protocol.buffer_updated(len(data))
            else:
                protocol.data_received(data)

    connections, protocol, transport = in_loop(connect)
    benchmark(in_loop, feed, protocol)
    assert connections.total_requests % (TIMES * requests) == 0
    assert transport.written > 100 * connections.total_requests
    in_loop(protocol.connection_lost, None)
