"""Back-pressure (E06, E07): nothing is read far ahead of the application, nothing is written far ahead of the client."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from frames import BINARY, CLOSE, PING, PONG, TEXT, Client, Frame, binary, close, connect, ping, text
from growth import resident
from serving import Server
from sessions import ACCEPT, begin, each, echo

LOT = 12_000_000  # more than both socket buffers of a loopback connection take while nobody reads
SMALL = text("x" * 94)
PIECE = 100_000


def still(server: Server, value: Any) -> Any:
    """The value when it has not changed for fifty turns of the loop."""
    last = None
    while value() != last:
        last = value()
        for _ in range(50):
            server.settle()
    return last


@pytest.mark.parametrize("size", [20, 1000, 300_000], ids=lambda size: f"{size}-bytes")
def test_reading_stops(server: Server, size: int) -> None:
    """An application that takes nothing: what it will get is bounded, the rest stays with the client, nothing is lost."""
    go = server.gate()
    sizes: list[int] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.passed()
        while (message := await receive())["type"] == "websocket.receive":
            sizes.append(len(message["bytes"]))

    server.use(each(use))
    count = LOT // (size + 8)
    data = binary(bytes(size)) * count
    with connect(server) as client:
        before = resident()
        sent = client.pour(data)
        assert sent < len(data), "the server read on although nobody took it"
        assert resident() - before < 4_000_000, f"{resident() - before} bytes more"
        go.open()
        client.send(data[sent:])
        client.leave()
        server.idle()
    assert sizes == [size] * count


def test_messages_that_wait(server: Server) -> None:
    """32 messages are taken in, and not one more; each that is taken makes room for another."""
    go = server.gate()
    counts: list[int] = []
    taken: list[str] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.passed()
        while (message := await receive())["type"] == "websocket.receive":
            taken.append(message["text"])
            await send({"type": "websocket.send", "text": "taken"})
            await asyncio.sleep(0)

    server.use(each(use))
    with connect(server) as client:
        for number in range(31):
            client.send(text(str(number)) + ping(str(number).encode()))
        for number in range(31):
            assert client.frame() == Frame(PONG, str(number).encode())
        # The last one that fits, and a ping behind it; a message that does not, and a ping behind that.
        client.send(text("31") + ping(b"before") + text("32") + ping(b"behind") + text("33"))
        assert client.frame() == Frame(PONG, b"before")
        for _ in range(10):
            server.settle()
        assert client.pending() == b""
        go.open()
        frames = [client.frame() for _ in range(35)]
        assert frames.count(Frame(PONG, b"behind")) == 1
        assert frames.count(Frame(TEXT, b"taken")) == 34
        client.leave()
    assert taken == [str(number) for number in range(34)]
    assert counts == []


def test_bytes_that_wait(server: Server) -> None:
    """A megabyte in few messages stops it as well."""
    go = server.gate()

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.passed()
        while (await receive())["type"] == "websocket.receive":
            pass

    server.use(each(use))
    with connect(server) as client:
        client.send(binary(bytes(1_048_575)) + ping(b"1"))
        assert client.frame() == Frame(PONG, b"1")
        client.send(binary(b"x") + ping(b"2"))
        assert client.frame() == Frame(PONG, b"2")
        client.send(binary(b"x") + ping(b"3"))
        for _ in range(10):
            server.settle()
        assert client.pending() == b""
        go.open()
        assert client.frame() == Frame(PONG, b"3")
        client.leave()


def test_each_text_that_is_taken_leaves_its_room(server: Server) -> None:
    """Other than ASCII text, too: as many fit when a hundred have been taken as at the beginning."""
    step = asyncio.Semaphore(0)
    taken = 0

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal taken
        while True:
            await step.acquire()
            if (await receive())["type"] != "websocket.receive":
                return
            taken += 1

    def fill(client: Client) -> int:
        """How many more are taken in, until a ping behind one is not answered any more."""
        for count in range(100):
            client.send(text("\N{SNOWMAN}" * 20_000) + ping())
            for _ in range(5):
                server.settle()
            if client.pending() == b"":
                return count
            assert client.frame() == Frame(PONG)
        raise AssertionError("a hundred are not enough")

    def take(client: Client, count: int) -> None:
        """The one that waits outside is taken in first."""
        wanted = taken + count
        for _ in range(count):
            server.loop.call_soon_threadsafe(step.release)
        server.until(lambda: taken == wanted, "they are taken")
        assert client.frame() == Frame(PONG)

    server.use(each(use))
    with connect(server) as client:
        most = fill(client)
        assert 10 < most < 32, "the megabyte counts, not the number"
        for _ in range(10):
            take(client, 10)
            assert fill(client) == 9
        for _ in range(1000):
            server.loop.call_soon_threadsafe(step.release)
        assert client.frame() == Frame(PONG)
        client.leave()


@pytest.mark.parametrize("behind", ["close", "fin", "reset"])
def test_the_end_behind_a_full_queue(server: Server, behind: str) -> None:
    """The client ends while messages wait: the application still gets those that were taken in, then the end."""
    go = server.gate()
    seen: list[Any] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.passed()
        while (message := await receive())["type"] == "websocket.receive":
            seen.append(message["text"])
        seen.append(message["code"])

    server.use(each(use))
    with connect(server) as client:
        client.send(b"".join(text(str(number)) for number in range(20)) + ping())
        assert client.frame() == Frame(PONG)
        if behind == "reset":
            client.reset()
            server.until(lambda: server.open == 0, "the connection is gone")
        elif behind == "fin":
            client.finish()
            assert client.ended(1.5) == "fin"
        else:
            client.leave(4000)
        go.open()
        server.idle()
    assert seen == [*(str(number) for number in range(20)), 4000 if behind == "close" else 1006]


def test_send_waits(server: Server) -> None:
    """A client that reads nothing stops the application, and memory stays where it is; then everything arrives."""
    total = 300
    sends = 0

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal sends
        for number in range(total):
            await send({"type": "websocket.send", "bytes": number.to_bytes(4, "big") * (PIECE // 4)})
            sends += 1

    server.use(each(use))
    with connect(server) as client:
        client.send(b"")
        stuck = still(server, lambda: sends)
        assert stuck < total, "the server gathered what the client did not read"
        before = resident()
        assert still(server, lambda: sends) == stuck
        assert resident() - before < 1_000_000
        for number in range(total):
            assert client.message() == number.to_bytes(4, "big") * (PIECE // 4)
        assert client.closed() == (1000, "")
        client.send(close())
        assert client.ended() == "fin"
    assert sends == total


def test_only_the_latest_ping_is_answered(server: Server) -> None:
    """As long as the client does not read; and the answer stands before nothing that was sent earlier."""
    stuck = server.gate()
    sends = 0

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal sends
        while not stuck.is_open:
            await send({"type": "websocket.send", "bytes": bytes(PIECE)})
            sends += 1
        while (await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": "end"})

    server.use(each(use))
    with connect(server) as client:
        waiting = still(server, lambda: sends)
        client.send(b"".join(ping(b"%d" % number) for number in range(100)) + text("?"))
        for _ in range(10):
            server.settle()
        assert sends == waiting
        stuck.open()
        frames = []
        while not frames or frames[-1].opcode != TEXT:
            frames.append(client.frame())
        client.send(ping(b"again"))
        assert client.frame() == Frame(PONG, b"again")
        client.leave()
    assert [one.payload for one in frames if one.opcode == PONG] == [b"99"]
    assert len([one for one in frames if one.opcode == BINARY]) == sends


@pytest.mark.parametrize("first", [b"", text("x"), text("x") + ping()], ids=["alone", "behind-a-message", "behind-both"])
@pytest.mark.parametrize("last", [close(4001), b"\xff" * 6], ids=["close", "bad-frame"])
def test_close_while_send_waits(server: Server, first: bytes, last: bytes) -> None:
    """The client reads nothing and closes: the loop goes on, the others are served, and the end comes in order."""
    sends = 0
    seen: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal sends
        if scope["path"] == "/other":
            return await echo(scope, receive, send)
        await begin(receive, send)
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(PIECE)})
                sends += 1
        except OSError:
            while (message := await receive())["type"] == "websocket.receive":
                seen.append(message["text"])
            seen.append(message["code"])

    server.use(app)
    with connect(server) as client:
        still(server, lambda: sends)
        client.send(first + last)
        with connect(server, target="/other") as other:
            for _ in range(10):
                other.send(text("hello"))
                assert other.message() == "hello"
            other.leave()
        frames = []
        while not frames or frames[-1].opcode != CLOSE:
            frames.append(client.frame())
        assert client.ended(1.5) == "fin"
    code = 1002 if last[0] == 255 else 4001
    assert frames[-1].code == code
    assert {one.opcode for one in frames[:-1]} <= {BINARY, PONG}
    server.idle()
    assert seen == [*(["x"] if first else []), code]
    assert len(server.take_log()) == (code == 1002)


def test_app_closes_while_the_client_reads_nothing(server: Server) -> None:
    """The close is the last frame, whatever pings came meanwhile."""
    stuck = server.gate()
    sends = 0

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal sends

        async def flood() -> None:
            nonlocal sends
            while True:
                await send({"type": "websocket.send", "bytes": bytes(PIECE)})
                sends += 1

        task = asyncio.create_task(flood())
        await stuck.passed()
        task.cancel()
        await send({"type": "websocket.close", "code": 4002})

    server.use(each(use))
    with connect(server) as client:
        still(server, lambda: sends)
        client.send(ping(b"late"))
        for _ in range(5):
            server.settle()
        stuck.open()
        frames = []
        while not frames or frames[-1].opcode != CLOSE:
            frames.append(client.frame())
        assert frames[-1].code == 4002
        for _ in range(5):
            server.settle()
        assert client.pending() == b"", "something behind the close"
        client.send(close(4002))
        assert client.ended(1.5) == "fin"
    assert PING not in [one.opcode for one in frames]


def test_every_byte_in_order(server: Server) -> None:
    """Messages of all sizes to a client that reads in odd pieces, so that the socket takes parts of everything."""
    sizes = [0, 1, 125, 126, 16_383, 3, 16_384, 65_535, 65_536, 7, 200_000, 70_000, 1_000_000] * 8

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        for number, size in enumerate(sizes):
            await send({"type": "websocket.send", "bytes": bytes([number]) * size})
            await send({"type": "websocket.send", "text": chr(200 + number) * (size // 10)})

    server.use(each(use))
    with connect(server) as client:
        for _ in range(20):
            server.settle()
        for number, size in enumerate(sizes):
            assert client.message() == bytes([number]) * size
            assert client.message() == chr(200 + number) * (size // 10)
        assert client.closed() == (1000, "")


def test_echo_of_a_client_that_reads_late(server: Server) -> None:
    """Both directions stand still, and go on."""
    server.use(echo)
    data = binary(bytes(50_000)) * 1000
    with connect(server) as client:
        sent = client.pour(data)
        assert sent < len(data)
        received = 0
        while sent < len(data):
            while received * 50_008 < sent - 2_000_000:
                assert client.message() == bytes(50_000)
                received += 1
            sent += client.pour(data[sent : sent + 1_000_000], patience=2.0)
        for _ in range(received, 1000):
            assert client.message() == bytes(50_000)
        client.leave()


def test_open_session_for_the_others(server: Server) -> None:
    """Accepted, and never a receive(): the connection is idle for the server, whatever comes."""
    go = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await go.passed()

    server.use(app)
    with Client(("127.0.0.1", server.port)) as client:
        client.open()
        client.pour(SMALL * 1000)
        assert client.pending() == b""
        go.open()
        assert client.closed() == (1000, "")
