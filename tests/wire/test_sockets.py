"""Connections on sockets of our own, and on transports: what the kernel can do to them.

The server's sockets have the smallest buffers there are (accepted ones inherit them from the listening one), so that
a response of some kilobytes does not fit.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import select
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from encrypted import SERVERS
from peer import Closed, Peer
from probes import Recorder, head
from serving import LOOPS, Server, serve

from pronghorn._core import poll, sockets

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is about Linux")

GET = head(method="GET")


def listening(path: Path | None = None) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    sock.bind(str(path) if path else ("127.0.0.1", 0))
    return sock


@pytest.fixture(params=LOOPS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(loop=request.param, fd=listening().detach(), write_high_water=4096) as running:
        yield running


@pytest.fixture
def ours() -> Iterator[Server]:
    with serve() as running:
        yield running


def pattern(size: int, seed: int = 0) -> bytes:
    """Bytes whose every place can be told from its neighbours."""
    return b"".join(b"%07d\n" % (number + seed) for number in range(size // 8))


async def answer(send: Any, body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body})


class Held:
    """Stops the server's loop, so that what happens meanwhile is in one batch."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.stopped, self.released = threading.Event(), threading.Event()

    def __enter__(self) -> Held:
        def hold() -> None:
            self.stopped.set()
            assert self.released.wait(10)

        self.server.loop.call_soon_threadsafe(hold)
        assert self.stopped.wait(10)
        return self

    def __exit__(self, *exception: object) -> None:
        self.released.set()


# --- output that the socket does not take at once ---


@pytest.mark.parametrize("size", [8192, 200_000])
def test_parts_arrive_in_order(server: Server, size: int) -> None:
    """A head, a body that is sent from where it stands, small pieces that are copied, and another large one."""
    pieces = [pattern(size), pattern(80, 500_000), pattern(16, 600_000), pattern(size, 1_000_000), b"end\n"]

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    server.use(app)
    with server.raw() as peer:
        for _ in range(2):
            peer.send(GET)
            assert peer.response().body == b"".join(pieces)


def test_pipelined_answers_that_do_not_fit(server: Server) -> None:
    body = pattern(6000)

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await answer(send, body)

    server.use(app)
    with server.raw() as peer:
        peer.send(GET * 50)
        server.settle()
        for _ in range(50):
            assert peer.response().body == body


def test_application_waits_for_a_slow_client(server: Server) -> None:
    """Above the high-water mark send() waits; when the client reads, it goes on, and nothing is lost."""
    sent: list[int] = []
    piece = pattern(4096)

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(400):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            sent.append(number)
        await send({"type": "http.response.body"})

    server.use(app)
    with server.raw() as peer:
        peer.send(GET)
        peer.head()
        seen = -1
        while len(sent) != seen:
            seen = len(sent)
            for _ in range(5):
                server.settle()
        assert seen < 400
        received = b""
        while chunk := peer.chunk():
            received += chunk
        assert received == piece * 400


def test_close_after_everything_is_sent(server: Server) -> None:
    body = pattern(500_000)

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await answer(send, body)

    server.use(app)
    with server.raw() as peer:
        peer.send(head("Connection: close", method="GET"))
        server.settle()
        assert peer.response().body == body
        assert peer.ended() == "fin"


def test_half_closed_client_gets_everything(server: Server) -> None:
    body = pattern(500_000)

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await answer(send, body)

    server.use(app)
    with server.raw() as peer:
        peer.send(GET).finish()
        server.settle()
        assert peer.response().body == body
        assert peer.ended() == "fin"


def test_our_side_is_shut_when_everything_is_sent(server: Server) -> None:
    """An early answer to a large body: the answer, then FIN, while what the client sends is thrown away."""
    body = pattern(300_000)

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await answer(send, body)

    server.use(app)
    with server.raw() as peer:
        peer.send(head("Content-Length: 10000000"))
        server.settle()
        assert peer.response().body == body
        assert peer.ended() == "fin"
        assert peer.pour(b"x" * 500_000) == 500_000


@pytest.mark.parametrize("how", ["reset", "close"])
def test_client_that_goes_while_output_waits(server: Server, how: str) -> None:
    outcome: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 50_000, "more_body": True})
        except OSError as error:
            outcome.append(type(error).__name__)
            raise

    server.use(app)
    with server.raw() as peer:
        peer.send(GET)
        peer.head()
        peer.reset() if how == "reset" else peer.close()
    server.until(lambda: server.active == 0 and server.open == 0, "the call has ended")
    assert outcome == ["ClientDisconnected"]


# --- input ---


def test_reading_pauses_and_goes_on(server: Server) -> None:
    gate = server.gate()
    body = pattern(3_000_000)
    received: list[bytes] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await gate.passed()
        while True:
            message = await receive()
            received.append(message["body"])
            if not message["more_body"]:
                break
        await answer(send, b"")

    server.use(app)
    with server.raw() as peer:
        data = head(f"Content-Length: {len(body)}") + body
        taken = peer.pour(data)
        assert taken < len(data)
        gate.open()
        peer.send(data[taken:])
        assert peer.response().status == 200
    assert b"".join(received) == body


def test_reset_while_reading_pauses(ours: Server) -> None:
    """The set tells of it all the same, once."""
    gate, gone = ours.gate(), ours.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await gate.passed()
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.open()

    ours.use(app)
    with ours.raw() as peer:
        peer.pour(head("Content-Length: 100000000") + b"x" * 10_000_000)
        peer.reset()
    ours.until(lambda: ours.open == 0, "the connection is gone before the application looks")
    gate.open()
    gone.wait()


@pytest.mark.parametrize("loop", [loop for loop in LOOPS if loop != "tls"])
def test_unix_client_that_goes_while_reading_pauses(tmp_path: Path, loop: str) -> None:
    """Everything it sent is read before the end is, and nobody spins on it meanwhile."""
    size = 1_000_000
    total: list[int] = []
    with serve(loop=loop, fd=listening(tmp_path / "s").detach(), body_high_water=1000) as server:
        gate = server.gate()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await gate.passed()
            while (message := await receive())["type"] == "http.request":
                total.append(len(message["body"]))
                if not message["more_body"]:
                    break

        server.use(app)
        with Peer(str(tmp_path / "s")) as peer:
            taken = peer.pour(head(f"Content-Length: {size}") + b"x" * size)
        assert taken < size
        before = os.times()
        threading.Event().wait(0.3)
        after = os.times()
        assert after.user + after.system - before.user - before.system < 0.2
        gate.open()
        server.until(lambda: server.active == 0, "the call has ended")
        server.take_log()
    assert sum(total) == taken - len(head(f"Content-Length: {size}"))


@pytest.mark.parametrize("loop", [loop for loop in LOOPS if loop != "tls"])
def test_unix_client_that_goes_meanwhile(tmp_path: Path, loop: str) -> None:
    """Unlike TCP, a unix socket tells that its client has closed, and not only one side: nothing is waited for."""
    with serve(loop=loop, fd=listening(tmp_path / "s").detach()) as server:
        gone = server.gate()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            assert (await receive())["type"] == "http.request"
            assert (await receive())["type"] == "http.disconnect"
            gone.open()

        server.use(app)
        with Peer(str(tmp_path / "s")) as peer:
            peer.send(head(method="GET"))
            server.until(lambda: server.active == 1, "it has begun")
        # A client that has closed one side only is given a second, and more.
        server.until(lambda: gone.is_open, "the application is told", within=0.9 if loop == "uvloop" else 3.0)
        server.take_log()


@pytest.mark.parametrize("loop", LOOPS)
def test_descriptors_that_a_unix_client_passes(tmp_path: Path, loop: str) -> None:
    """The system ends a read behind each message that carries one: what follows is read, and the descriptors are closed."""
    app = Recorder()
    place = tmp_path / "s"
    with serve(app, loop=loop, fd=listening(place).detach()) as server:
        if server.context:
            SERVERS[str(place)] = server.context
        reading, writing = os.pipe()
        with Peer(str(place)) as peer:
            raw = getattr(peer.socket, "raw", peer.socket)
            data = head("Content-Length: 30", target="/a")
            for size in (None, 10):  # alone, and with others that are ready, whose input is read early
                crowd = [Peer(str(place)) for _ in range(6 if size else 0)]
                with Held(server):
                    for one in crowd:
                        one.send(GET)
                    if peer.socket is raw:
                        pieces = [data, *[b"0123456789"] * 3]
                    else:
                        peer.socket.session.write(data + b"0123456789" * 3)
                        records = peer.socket.outgoing.read()
                        pieces = [records[:20], records[20:40], records[40:]]
                    for piece in pieces:
                        socket.send_fds(raw, [piece], [writing])
                assert peer.response().body == b"0123456789" * 3
                for one in crowd:
                    assert one.response().status == 200
                    one.close()
            os.close(writing)
            assert select.select([reading], [], [], 5)[0] and os.read(reading, 1) == b"", "a descriptor is still open"
            os.close(reading)
        SERVERS.pop(str(place), None)


def test_urgent_data(ours: Server) -> None:
    """A read ends at it; what comes behind has been there already."""
    ours.use(Recorder())
    with ours.raw() as peer:
        hold, held = threading.Event(), threading.Event()

        def block() -> None:
            held.set()
            hold.wait(5)

        ours.loop.call_soon_threadsafe(block)
        assert held.wait(5)
        peer.send(b"GET / HTTP/1.1\r\n")
        peer.socket.send(b"x", socket.MSG_OOB)
        peer.send(b"Host: h\r\n\r\n")
        hold.set()
        assert peer.response().status == 200


def test_one_read_for_each_in_turn(ours: Server) -> None:
    """A client that sends without end does not keep others from being served."""
    ours.use(Recorder())
    with ours.raw() as greedy, ours.raw() as modest:
        greedy.send(head("Transfer-Encoding: chunked"))
        done = threading.Event()

        def pour() -> None:
            while not done.is_set():
                greedy.offer(b"10000\r\n" + b"x" * 65536 + b"\r\n")

        thread = threading.Thread(target=pour)
        thread.start()
        try:
            for _ in range(20):
                assert modest.send(GET).response().status == 200
        finally:
            done.set()
            thread.join()
        greedy.send(b"0\r\n\r\n")
        assert greedy.response().status == 200


# --- one batch ---


def test_closed_in_the_batch_that_it_is_ready_in(ours: Server) -> None:
    """The first of them drops all others, whose events stand in the same batch, and the number of a descriptor comes
    back for a connection that is accepted behind them."""
    calls: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        calls.append(scope["path"])
        if len(calls) == 1:
            ours.server.connections.abort()
        await answer(send, b"")

    ours.use(app)
    peers = [ours.raw() for _ in range(20)]
    try:
        ours.until(lambda: ours.open == 20, "they are accepted")
        with Held(ours):
            for peer in peers:
                peer.send(head(method="GET", target="/old"))
            late = [ours.raw() for _ in range(20)]
        assert calls == [] or calls == ["/old"]
        ours.until(lambda: ours.open == 20, "the late ones are accepted")
        for peer in peers:
            with pytest.raises(Closed) as closed:
                peer.response()
            assert closed.value.how == "reset"
        assert calls == ["/old"]
        ours.use(Recorder())
        for peer in late:
            assert peer.send(GET).response().status == 200
    finally:
        for peer in [*peers, *late]:
            peer.close()
    ours.until(lambda: ours.open == 0, "all are closed")


def test_more_ready_than_a_batch_holds(ours: Server) -> None:
    ours.use(Recorder())
    peers = [ours.raw() for _ in range(300)]
    try:
        for _ in range(2):
            with Held(ours):
                for peer in peers:
                    peer.send(GET)
            for peer in peers:
                assert peer.response().status == 200
        with Held(ours):
            for number, peer in enumerate(peers):
                peer.reset() if number % 2 else peer.close()
        ours.until(lambda: ours.open == 0, "all are closed")
    finally:
        for peer in peers:
            peer.close()


def test_descriptor_that_a_child_process_holds_open(ours: Server) -> None:
    """A copy of the descriptor keeps the socket alive in the kernel; the set must not tell of it any more."""
    ours.use(Recorder())
    with ours.raw() as peer:
        assert peer.send(GET).response().status == 200
        local = peer.socket.getsockname()
        copies = [os.dup(fd) for fd in open_sockets() if peer_of(fd) == local]
        try:
            assert copies
            peer.send(head("Connection: close", method="GET"))
            assert peer.response().status == 200
            ours.until(lambda: ours.open == 0, "it is closed")
            peer.send(GET)
            ours.settle()
        finally:
            for copy in copies:
                os.close(copy)
    assert ours.get().status == 200


def open_sockets() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]


def peer_of(fd: int) -> Any:
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            return sock.getpeername()
    except OSError:
        return None


# --- accepting ---


@pytest.fixture
def no_descriptors() -> Iterator[Any]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (max(open_sockets()) + 1, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_descriptors_left(no_descriptors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line in the log, no loop that spins, connections that are open go on, and the others are served later."""
    monkeypatch.setattr(poll, "PAUSE", 0.05)
    with serve(Recorder()) as server, server.raw() as early:
        assert early.send(GET).response().status == 200
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        waiting = [socket.socket() for _ in range(3)]
        used = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
        no_descriptors()
        spare = []
        with pytest.raises(OSError) as full:
            while True:
                spare.append(os.open(os.devnull, os.O_RDONLY))
        assert full.value.errno == errno.EMFILE
        for sock in waiting:
            sock.settimeout(5)
            sock.connect(("127.0.0.1", server.port))
        threading.Event().wait(0.3)
        assert early.send(GET).response().status == 200
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        for fd in [*used, *spare]:
            os.close(fd)
        for sock in waiting:
            sock.sendall(GET)
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
            sock.close()
        assert server.line() == "Cannot accept a connection: too many open files"


def test_accepted_sockets_send_at_once() -> None:
    """Also when the listening socket is somebody else's, who has not asked for it."""
    sock = socket.create_server(("127.0.0.1", 0))
    assert not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    with serve(Recorder(), fd=sock.detach()) as server, server.raw() as peer:
        assert peer.send(GET).response().status == 200
        local = peer.socket.getsockname()
        [fd] = [fd for fd in open_sockets() if peer_of(fd) == local]
        with socket.socket(fileno=os.dup(fd)) as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not os.get_inheritable(fd)
        assert not os.get_blocking(fd)


def test_client_that_has_gone_before_it_is_accepted(ours: Server) -> None:
    ours.use(Recorder())
    with Held(ours):
        for _ in range(40):
            ours.raw().reset()
        for _ in range(40):
            ours.raw().close()
    assert ours.get().status == 200


def test_the_client_is_known_even_when_it_has_gone(ours: Server) -> None:
    ours.use(Recorder())
    with Held(ours):
        peer = ours.raw()
        local = peer.socket.getsockname()
        peer.send(GET).reset()
    ours.settle()
    assert [scope["client"] for scope in ours.calls] in ([], [local])


# --- where it is used ---


@pytest.mark.parametrize(("loop", "debug", "expected"), [("uvloop", False, True), ("uvloop", True, False), ("asyncio", False, False)])
def test_usable(loop: str, debug: bool, expected: bool) -> None:
    factory = pytest.importorskip(loop).new_event_loop
    with asyncio.Runner(loop_factory=factory, debug=debug) as runner:
        runner.get_loop()
        assert sockets.usable(runner.get_loop()) is expected


def test_the_set_goes_with_its_last_socket() -> None:
    before = sorted(open_sockets())
    with serve(Recorder()) as server:
        assert server.get().status == 200
    assert len(open_sockets()) <= len(before)
