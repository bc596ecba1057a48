"""Sessions whole, byte by byte, and cut in two at every byte: what goes out and what the application sees is the same.

A pong is the server's own answer and may overtake the application's, as section 5.5.2 wants it; each of the two kinds
is in order.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import pytest
from frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Client,
    Frame,
    binary,
    close,
    frame,
    ping,
    pong,
    switched,
    text,
    upgrade,
)
from serving import BYTES, Server
from sessions import Echo

MODES = BYTES

MASK = b"\x37\xfa\x21\x3d"


@dataclass
class Case:
    """Frames of the client; the frames they bring, the messages and the end that the application sees."""

    name: str
    data: bytes
    frames: list[Frame]
    messages: list[str | bytes]
    end: tuple[int, str]
    lines: list[str] = field(default_factory=list)


def echoed(*data: str | bytes) -> list[Frame]:
    return [Frame(TEXT, one.encode()) if isinstance(one, str) else Frame(BINARY, one) for one in data]


def good(name: str, data: bytes, *messages: str | bytes, also: list[Frame] | None = None) -> Case:
    """Echoes, in order, and a close in order at the end."""
    frames = echoed(*messages) if also is None else also
    return Case(name, data + close(), [*frames, Frame(CLOSE, b"\x03\xe8")], list(messages), (1000, ""))


def bad(name: str, data: bytes, code: int, reason: str, *messages: str | bytes) -> Case:
    """What came before is echoed; then the close says why, and whatever follows is nothing."""
    said = Frame(CLOSE, code.to_bytes(2, "big") + reason.encode())
    return Case(name, data, [*echoed(*messages), said], list(messages), (code, reason))


def deflated(data: bytes) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (squeeze.compress(data) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]


SNOW = "Käse \N{SNOWMAN} \N{PILE OF POO} ende"
TOO = deflated("wörter und wörter und wörter".encode())
DEFLATE = ["Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover"]
INVALID = "invalid frame"
UTF8 = "invalid UTF-8"
CASES = [
    good("one-text", text("hello"), "hello"),
    good("no-text", text("") + binary(b""), "", b""),
    good("other-text", text(SNOW), SNOW),
    good("no-mask-bits", text("plain", key=b"\0\0\0\0") + text("other", key=b"\xff\0\xff\0"), "plain", "other"),
    good("three", text("one") + binary(b"\0\1\2\xff") + text("three"), "one", b"\0\1\2\xff", "three"),
    good("126", text("x" * 126), "x" * 126),
    good("fragments", text("a", fin=False) + frame(CONTINUATION, b"b", fin=False) + frame(CONTINUATION, b"c"), "abc"),
    good("empty-fragments", binary(b"", fin=False) + frame(CONTINUATION, b"", fin=False) + frame(CONTINUATION), b""),
    good(
        "controls-between",
        text("K\xe4".encode()[:2], fin=False) + ping(b"1") + frame(CONTINUATION, "\xe4s".encode()[1:]) + pong(b"!") + ping() + text("z"),
        "K\xe4s", "z",
        also=[Frame(PONG, b"1"), Frame(TEXT, "K\xe4s".encode()), Frame(PONG), Frame(TEXT, b"z")],
    ),
    Case(
        "order", text("1") + ping(b"2") + binary(b"3") + ping(b"4") + close(3456, "f\xfcnf"),
        [Frame(TEXT, b"1"), Frame(PONG, b"2"), Frame(BINARY, b"3"), Frame(PONG, b"4"), Frame(CLOSE, b"\x0d\x80")],
        ["1", b"3"], (3456, "f\xfcnf"),
    ),
    Case("no-code", text("x") + close(None), [Frame(TEXT, b"x"), Frame(CLOSE)], ["x"], (1005, "")),
    Case("behind-the-close", close(1001) + text("x") + ping() + b"\xff" * 10, [Frame(CLOSE, b"\x03\xe9")], [], (1001, "")),
    Case("compressed", frame(TEXT, TOO, rsv=4) + text("plain") + close(), [], ["wörter und wörter und wörter", "plain"], (1000, ""), DEFLATE),
    Case(
        "compressed-fragments",
        frame(TEXT, TOO[:1], rsv=4, fin=False) + frame(CONTINUATION, TOO[1:9], fin=False) + ping()
        + frame(CONTINUATION, TOO[9:], fin=False) + frame(CONTINUATION) + close(),
        [], ["wörter und wörter und wörter"], (1000, ""), DEFLATE,
    ),
    Case("compressed-broken", frame(BINARY, b"\xff\xff\xff", rsv=4), [], [], (1007, "invalid compressed data"), DEFLATE),
    bad("unmasked", text("x") + b"\x81\x01x", 1002, INVALID, "x"),
    bad("rsv1", text("x") + frame(TEXT, b"y", rsv=4), 1002, INVALID, "x"),
    bad("rsv2-on-a-ping", frame(PING, b"y", rsv=2), 1002, INVALID),
    bad("opcode-3", binary(b"x") + frame(3, b"y") + text("z"), 1002, INVALID, b"x"),
    bad("opcode-11", frame(11), 1002, INVALID),
    bad("fragmented-ping", frame(PING, fin=False), 1002, INVALID),
    bad("long-ping", frame(PING, b"x" * 126), 1002, INVALID),
    bad("length-in-two-bytes", text("x") + text("short", form=2), 1002, INVALID, "x"),
    bad("length-in-eight-bytes", text("y" * 200, form=8), 1002, INVALID),
    bad("negative-length", b"\x82\xff\x80" + bytes(7) + MASK, 1002, INVALID),
    bad("continuation-of-nothing", text("x") + frame(CONTINUATION, b"y"), 1002, "unexpected continuation", "x"),
    bad("text-in-a-message", text("x", fin=False) + text("y"), 1002, "unexpected data frame"),
    bad("not-utf8", text("x") + text(b"abc\xc3("), 1007, UTF8, "x"),
    bad("half-a-character", text(b"abc\xe2\x98"), 1007, UTF8),
    bad("half-a-character-in-fragments", text(b"\xe2", fin=False) + frame(CONTINUATION, b"\x98"), 1007, UTF8),
    bad("surrogate-over-fragments", text(b"\xed", fin=False) + frame(CONTINUATION, b"\xa0", fin=False) + frame(CONTINUATION, b"\x80"), 1007, UTF8),
    bad("close-of-one-byte", text("x") + frame(CLOSE, b"\x03"), 1002, "invalid close code", "x"),
    bad("close-with-1005", close(1005), 1002, "invalid close code"),
    bad("close-not-utf8", text("x") + close(1000, b"\xff"), 1007, UTF8, "x"),
]  # fmt: skip
NAMES = [case.name for case in CASES]



def verify(server: Server, case: Case, client: Client, app: Echo, at: object) -> None:
    # What still comes when both have closed finds nobody there any more.
    head, frames = client.stream("fin", *(["reset"] if case.name == "behind-the-close" else []))
    switched(head)
    if case.lines:      # what is compressed is not compared byte by byte
        assert frames[-1].code == case.end[0], f"{case.name}, {at}: {frames}"
        assert len([one for one in frames if one.opcode == TEXT]) == len(case.messages), f"{case.name}, {at}: {frames}"
    else:
        for pongs in (False, True):
            found, wanted = ([one for one in some if (one.opcode == PONG) == pongs] for some in (frames, case.frames))
            assert found == wanted, f"{case.name}, {at}: {frames}"
    server.until(lambda: port(client) in app.seen and app.seen[port(client)].ends != [], f"{case.name}, {at}: the application is told")
    seen = app.seen[port(client)]
    assert seen.messages == case.messages, f"{case.name}, {at}"
    assert seen.ends == [case.end], f"{case.name}, {at}"


def quiet(server: Server, case: Case, count: int) -> None:
    """One line for each that was refused, none for the others."""
    refused = case.end[1] in (INVALID, UTF8, "invalid close code", "invalid compressed data") or "unexpected" in case.end[1]
    log = server.take_log()
    assert len(log) == (count if refused else 0), [record.getMessage() for record in log]
    for record in log:
        assert record.getMessage().startswith(f"WebSocket closed: {case.end[0]} {case.end[1]} (127.0.0.1:")
        assert record.exc_info is None


def port(client: Client) -> int:
    return int(client.socket.getsockname()[1])


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_whole(server: Server, case: Case) -> None:
    """The handshake and all frames in one piece, and the frames in one piece behind the handshake."""
    for together in (True, False):
        app = Echo()
        server.use(app)
        with Client(("127.0.0.1", server.port)) as client:
            if together:
                client.offer(upgrade(*case.lines) + case.data)
            else:
                client.send(upgrade(*case.lines))
                head = client.until(b"\r\n\r\n", "the answer")
                client.offer(case.data)
                client.buffer = head + client.buffer
            verify(server, case, client, app, f"{together=}")
        quiet(server, case, 1)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_byte_by_byte(server: Server, case: Case) -> None:
    app = Echo()
    server.use(app)
    with Client(("127.0.0.1", server.port)) as client:
        client.send(upgrade(*case.lines))
        server.settle()
        for byte in case.data:
            client.offer(bytes([byte]))
            server.settle()
        verify(server, case, client, app, "byte by byte")
    quiet(server, case, 1)


def cut(server: Server, case: Case, data: bytes, points: range) -> None:
    """One connection for each point; many at once, so that the turns of the loop are shared."""
    for some in (points[first : first + 64] for first in range(0, len(points), 64)):
        app = Echo()
        server.use(app)
        clients = [(at, Client(("127.0.0.1", server.port))) for at in some]
        try:
            for at, client in clients:
                client.send(data[:at])
            server.settle()
            for at, client in clients:
                client.offer(data[at:])
            for at, client in clients:
                verify(server, case, client, app, f"cut at {at}")
        finally:
            for _, client in clients:
                client.close()
        quiet(server, case, len(some))


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_every_split(server: Server, case: Case) -> None:
    start = upgrade(*case.lines)
    cut(server, case, start + case.data, range(len(start), len(start) + len(case.data)))


@pytest.mark.parametrize("name", ["three", "compressed", "unmasked"])
def test_every_split_of_the_handshake(server: Server, name: str) -> None:
    case = CASES[NAMES.index(name)]
    start = upgrade(*case.lines)
    cut(server, case, start + case.data, range(1, len(start)))


def test_handshake_byte_by_byte(server: Server) -> None:
    case = CASES[NAMES.index("order")]
    app = Echo()
    server.use(app)
    with Client(("127.0.0.1", server.port)) as client:
        for byte in upgrade() + case.data:
            client.offer(bytes([byte]))
            server.settle()
        verify(server, case, client, app, "byte by byte")
