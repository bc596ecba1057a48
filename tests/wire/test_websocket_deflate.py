"""permessage-deflate (RFC 7692): what is agreed, and what is on the wire; two other implementations as clients."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest
from frames import BINARY, CONTINUATION, PING, TEXT, Client, Frame, binary, close, connect, frame, offers, text
from serving import Server, serve
from sessions import Echo, echo

NAME = "permessage-deflate"
LINE = f"Sec-WebSocket-Extensions: {NAME}"
END = b"\x00\x00\xff\xff"
RANDOM = random.Random(5)
WORDS = [bytes(RANDOM.choices(b"abcdefghijklmnopqrstuvwxyz", k=RANDOM.randint(3, 12))) for _ in range(400)]
LOREM = b" ".join(RANDOM.choices(WORDS, k=3000))
MESSAGES: list[str | bytes] = [
    "a", "", b"", "hello " * 100, LOREM, LOREM.decode(), LOREM[:5000], RANDOM.randbytes(30_000), "\N{SNOWMAN} \xe4" * 500,
    bytes(200_000), LOREM[:63], LOREM[:64], "x" * 65, RANDOM.randbytes(200),
]  # fmt: skip


class Squeeze:
    """The client's two streams, from zlib alone."""

    def __init__(self, head: Any) -> None:
        agreed = offers(head)
        assert agreed[:1] == [NAME], f"not agreed: {head.raw!r}"
        given = dict(pair.partition("=")[::2] for pair in agreed[1:])
        self.bits = {side: int(given.get(f"{side}_max_window_bits") or 15) for side in ("server", "client")}
        self.keeps = {side: f"{side}_no_context_takeover" not in given for side in ("server", "client")}
        self.out: Any = None
        self.back: Any = None

    def compress(self, data: bytes) -> bytes:
        if self.out is None or not self.keeps["client"]:
            self.out = zlib.compressobj(9, zlib.DEFLATED, -self.bits["client"])
        return (self.out.compress(data) + self.out.flush(zlib.Z_SYNC_FLUSH)).removesuffix(END)

    def frame(self, message: str | bytes, **options: Any) -> bytes:
        data, opcode = (message.encode(), TEXT) if isinstance(message, str) else (message, BINARY)
        return frame(opcode, self.compress(data), rsv=4, **options)

    def inflate(self, got: Frame) -> str | bytes:
        data = got.payload
        if got.compressed:
            if self.back is None or not self.keeps["server"]:
                self.back = zlib.decompressobj(-self.bits["server"])
            data = self.back.decompress(data + END)
            assert not self.back.eof and not self.back.unused_data and not self.back.unconsumed_tail
        assert got.opcode in (TEXT, BINARY), got
        return data.decode() if got.opcode == TEXT else data


OFFERS = [
    ("", []),
    ("; client_max_window_bits", ["client_max_window_bits=12"]),
    ("; client_max_window_bits=15", ["client_max_window_bits=12"]),
    ("; client_max_window_bits=10", ["client_max_window_bits=10"]),
    ("; server_max_window_bits=15", ["server_max_window_bits=12"]),
    ("; server_max_window_bits=9", ["server_max_window_bits=9"]),
    ('; server_max_window_bits="10"', ["server_max_window_bits=10"]),
    ("; server_no_context_takeover", ["server_no_context_takeover"]),
    ("; client_no_context_takeover", ["client_no_context_takeover"]),
    (" ;  server_no_context_takeover ; client_no_context_takeover", ["server_no_context_takeover", "client_no_context_takeover"]),
    (
        "; client_max_window_bits=11; server_max_window_bits=11; server_no_context_takeover",
        ["client_max_window_bits=11", "server_max_window_bits=11", "server_no_context_takeover"],
    ),
    ("; server_max_window_bits=16, permessage-deflate", []),
    ("; unknown, permessage-deflate; server_no_context_takeover", ["server_no_context_takeover"]),
    ("\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover", []),
]


@pytest.mark.parametrize(("offer", "agreed"), OFFERS)
def test_agreed(server: Server, offer: str, agreed: list[str]) -> None:
    """In the answer only what was offered; and messages of every kind go both ways within what was agreed."""
    server.use(echo)
    with Client(("127.0.0.1", server.port)) as client:
        head = client.open(LINE + offer)
        assert offers(head)[1:] == agreed
        squeeze = Squeeze(head)
        for message in MESSAGES * 2:
            client.send(squeeze.frame(message))
            got = client.frame()
            assert squeeze.inflate(got) == message
            assert got.compressed == (len(message.encode() if isinstance(message, str) else message) >= 64)
        client.send(text("not compressed at all, which is allowed at any time"))
        assert squeeze.inflate(client.frame()) == "not compressed at all, which is allowed at any time"
        client.leave()


BAD = [
    "; client_max_window_bits=0",
    "; client_max_window_bits=7",
    "; client_max_window_bits=16",
    "; client_max_window_bits=012",
    "; client_max_window_bits=text",
    "; server_max_window_bits=0",
    "; server_max_window_bits=7",
    "; server_max_window_bits=16",
    "; server_max_window_bits=1000000000000000000000",
    "; server_max_window_bits=text",
    "; server_max_window_bits",
    "; server_no_context_takeover=1",
    "; client_no_context_takeover=true",
    "; server_no_context_takeover; server_no_context_takeover",
    "; client_max_window_bits=10; client_max_window_bits=10",
    "; x=y",
]


@pytest.mark.parametrize("offer", BAD)
def test_offer_that_cannot_be_accepted(server: Server, offer: str) -> None:
    """No extension, and RSV1 is then an error."""
    server.use(echo)
    with Client(("127.0.0.1", server.port)) as client:
        assert offers(client.open(LINE + offer)) == []
        client.send(text("x" * 100))
        assert client.message() == "x" * 100
        client.send(frame(TEXT, b"\0", rsv=4))
        assert client.bye() == (1002, "invalid frame")
    server.line()


def test_context_is_kept_or_not(server: Server) -> None:
    """The same message twice: shorter the second time if the context is kept, the same otherwise."""
    server.use(echo)
    for offer, same in (("", False), ("; server_no_context_takeover", True)):
        with Client(("127.0.0.1", server.port)) as client:
            squeeze = Squeeze(client.open(LINE + offer))
            sizes = []
            for _ in range(2):
                client.send(squeeze.frame(LOREM[:2000]))
                got = client.frame()
                assert squeeze.inflate(got) == LOREM[:2000]
                sizes.append(len(got.payload))
            assert (sizes[0] == sizes[1]) == same
            assert same or sizes[1] < sizes[0] / 4
            client.leave()


def test_context_that_was_given_up(server: Server) -> None:
    """A client that refers to what it promised to forget: 1007."""
    app = Echo()
    server.use(app)
    with Client(("127.0.0.1", server.port)) as client:
        squeeze = Squeeze(client.open(LINE + "; client_no_context_takeover"))
        squeeze.keeps["client"] = True
        client.send(squeeze.frame(LOREM[:2000]))
        assert squeeze.inflate(client.frame()) == LOREM[:2000]
        client.send(squeeze.frame(LOREM[:2000]))
        assert client.bye() == (1007, "invalid compressed data")
    server.line()
    assert app.only.messages == [LOREM[:2000]]


def test_window_that_is_too_large(server: Server) -> None:
    """A client that refers further back than the window that it was given: 1007."""
    server.use(echo)
    with Client(("127.0.0.1", server.port)) as client:
        squeeze = Squeeze(client.open(LINE + "; client_max_window_bits=9"))
        squeeze.bits["client"] = 15
        data = RANDOM.randbytes(3000)
        client.send(squeeze.frame(data))
        assert squeeze.inflate(client.frame()) == data
        client.send(squeeze.frame(data))
        assert client.bye() == (1007, "invalid compressed data")
    server.line()


@pytest.mark.parametrize(
    "data",
    [
        frame(PING, b"", rsv=4),
        frame(8, b"\x03\xe8", rsv=4),
        frame(CONTINUATION, b"", rsv=4),
        frame(TEXT, b"\x02", rsv=4, fin=False) + frame(CONTINUATION, b"\0", rsv=4),
        frame(TEXT, b"\x02\0", rsv=2),
        frame(TEXT, b"\x02\0", rsv=1),
        frame(TEXT, b"\x02\0", rsv=6),
    ],
    ids=["ping", "close", "continuation-of-nothing", "continuation", "rsv2", "rsv3", "rsv1-and-2"],
)
def test_bits_that_mean_nothing(server: Server, data: bytes) -> None:
    server.use(Echo())
    with connect(server, LINE) as client:
        client.offer(data)
        assert client.bye() == (1002, "invalid frame")
    server.line()


@pytest.mark.parametrize("payload", [b"\xff", b"\x07", b"\xff" * 1000, LOREM[:100]])
def test_broken(server: Server, payload: bytes) -> None:
    app = Echo()
    server.use(app)
    with connect(server, LINE) as client:
        client.offer(text("before") + frame(BINARY, payload, rsv=4) + text("behind"))
        assert client.message() == "before"
        assert client.bye() == (1007, "invalid compressed data")
    server.line()
    assert app.only.messages == ["before"]


def test_text_is_checked_after_inflating(server: Server) -> None:
    """Also when the message is not over: a later fragment is not waited for."""
    server.use(Echo())
    for whole in (True, False):
        with Client(("127.0.0.1", server.port)) as client:
            squeeze = Squeeze(client.open(LINE))
            payload = squeeze.compress(b"ok \xed\xa0\x80 " + b"x" * 100)
            client.send(frame(TEXT, payload, rsv=4, fin=whole))
            assert client.bye() == (1007, "invalid UTF-8")
        server.line()


@pytest.mark.parametrize("final", [False, True], ids=["sync", "bfinal"])
def test_fragments_of_every_size(server: Server, final: bool) -> None:
    """A compressed message in fragments of one byte, two, and so on; some streams of it end with a final block."""
    server.use(echo)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -12)
    payload = squeeze.compress(LOREM[:400])
    payload += squeeze.flush() + b"\0" if final else squeeze.flush(zlib.Z_SYNC_FLUSH)[:-4]
    with Client(("127.0.0.1", server.port)) as client:
        opened = Squeeze(client.open(LINE + "; client_no_context_takeover"))
        for size in range(1, len(payload) + 1):
            pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
            client.send(
                b"".join(
                    frame(CONTINUATION if at else BINARY, piece, rsv=0 if at else 4, fin=at == len(pieces) - 1)
                    for at, piece in enumerate(pieces)
                )
            )
            assert opened.inflate(client.frame()) == LOREM[:400], size
        client.leave()


@pytest.mark.parametrize("settings", [{"ws_per_message_deflate": False}, {"ws_deflate_min_size": 10_000}, {"ws_deflate_window_bits": 15}, {"ws_deflate_level": 9}], ids=str)
def test_settings(settings: dict[str, Any]) -> None:
    with serve(echo, **settings) as server, Client(("127.0.0.1", server.port)) as client:
        head = client.open(LINE + "; client_max_window_bits")
        if "ws_per_message_deflate" in settings:
            assert offers(head) == []
            return client.leave()
        squeeze = Squeeze(head)
        assert squeeze.bits["client"] == settings.get("ws_deflate_window_bits", 12)
        for message in MESSAGES:
            client.send(squeeze.frame(message))
            got = client.frame()
            assert squeeze.inflate(got) == message
            size = len(message.encode() if isinstance(message, str) else message)
            assert got.compressed == (size >= settings.get("ws_deflate_min_size", 64))
        client.leave()


def test_at_every_split(server: Server) -> None:
    """Compressed, plain and in fragments: the same answers wherever the client's bytes are cut."""
    stream = Squeeze(type("Head", (), {"raw": b"", "header": lambda self, name: f"{NAME}; client_no_context_takeover"})())
    payload = stream.compress(b"over fragments " * 5)
    data = (
        stream.frame("first " * 20)
        + frame(TEXT, payload[:5], rsv=4, fin=False) + frame(PING, b"!") + frame(CONTINUATION, payload[5:])
        + binary(b"plain") + stream.frame(b"") + close()
    )  # fmt: skip
    wanted = ["first " * 20, "over fragments " * 5, b"plain", b""]
    app = Echo()
    server.use(app)
    for first in range(0, len(data), 64):
        clients = [(at, connect(server, f"{LINE}; client_no_context_takeover; server_no_context_takeover")) for at in range(first, min(first + 64, len(data)))]
        for at, client in clients:
            client.send(data[:at])
        server.settle()
        for at, client in clients:
            client.send(data[at:])
        for at, client in clients:
            with client:
                received = Squeeze(type("Head", (), {"raw": b"", "header": lambda self, name: f"{NAME}; server_no_context_takeover"})())
                got = [client.frame() for _ in range(5)]
                assert [received.inflate(one) for one in got if one.opcode != 10] == wanted, at
                assert client.bye() == (1000, "")
    server.idle()
    assert all(session.messages == wanted for session in app.seen.values())


# Other implementations


VARIANTS: list[dict[str, Any]] = [
    {},
    {"server_no_context_takeover": True},
    {"client_no_context_takeover": True},
    {"server_no_context_takeover": True, "client_no_context_takeover": True},
    {"server_max_window_bits": 9},
    {"client_max_window_bits": 10},
    {"server_max_window_bits": 15, "client_max_window_bits": 15},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_websockets(server: Server, variant: dict[str, Any]) -> None:
    deflate = pytest.importorskip("websockets.extensions.permessage_deflate", reason="websockets is not installed")
    from websockets.sync.client import connect as other

    server.use(echo)
    options = {"client_max_window_bits": True, **variant}
    extensions = [deflate.ClientPerMessageDeflateFactory(**options)]
    with other(server.url("ws"), ssl=server.context, extensions=extensions, max_size=None) as session:
        assert [extension.name for extension in session.protocol.extensions] == [NAME]
        for message in MESSAGES * 2:
            session.send(message)
            assert session.recv(5) == message
        session.send(iter(["frag", "ments ", "x" * 1000]))
        assert session.recv(5) == "fragments " + "x" * 1000
        assert session.ping(b"?").wait(5)
        session.close(3000, "bye")
        assert (session.close_code, session.close_reason) == (3000, "")


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_wsproto(server: Server, variant: dict[str, Any]) -> None:
    wsproto = pytest.importorskip("wsproto", reason="wsproto is not installed")
    from wsproto import events
    from wsproto.extensions import PerMessageDeflate

    server.use(echo)
    session = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    extension = PerMessageDeflate(**variant)
    with server.raw() as peer:
        peer.send(session.send(events.Request(host="h", target="/", extensions=[extension])))

        def gather() -> str | bytes | None:
            parts: list[Any] = []
            while True:
                for event in session.events():
                    if isinstance(event, events.Message):
                        parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
                        if event.message_finished:
                            return parts[0][:0].join(parts)
                    elif isinstance(event, events.CloseConnection):
                        return None
                    else:
                        assert isinstance(event, events.AcceptConnection), event
                        return ""
                session.receive_data(peer.socket.recv(65536))

        assert gather() == ""
        assert extension.enabled()
        for message in MESSAGES * 2:
            peer.send(session.send(events.Message(data=message)))
            assert gather() == message
        peer.send(session.send(events.CloseConnection(code=1000)))
        assert gather() is None
