"""pronghorn._core.deflate: permessage-deflate, the server's side (RFC 7692)."""

from __future__ import annotations

import gc
import itertools
import json
import os
import random
import subprocess
import sys
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pronghorn._core import deflate
from pronghorn._core.deflate import Deflate, DeflateOptions, compress_message, inflate_pieces, negotiate

END = b"\x00\x00\xff\xff"
OPTIONS = DeflateOptions()
NO_TAKEOVER = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def agree(offer: bytes = b"permessage-deflate", options: DeflateOptions = OPTIONS) -> Deflate:
    agreed = negotiate([offer], options)
    assert agreed is not None
    return agreed


def inflate(agreed: Deflate, *pieces: bytes, most: int = 65536) -> bytes:
    return b"".join(inflate_pieces(agreed, list(pieces), most))


class Client:
    """The other side, with the standard library's zlib."""

    def __init__(self, bits: int = 15, takeover: bool = True, level: int = 6) -> None:
        self.bits, self.takeover, self.level = bits, takeover, level
        self.compressor = self.new()
        self.decompressor = zlib.decompressobj(-15)

    def new(self):
        return zlib.compressobj(self.level, zlib.DEFLATED, -self.bits)

    def compress(self, data: bytes) -> bytes:
        if not self.takeover:
            self.compressor = self.new()
        payload = self.compressor.compress(data) + self.compressor.flush(zlib.Z_SYNC_FLUSH)
        return payload[:-4] or b"\0"

    def inflate(self, payload: bytes) -> bytes:
        return self.decompressor.decompress(payload + END)


def documents(count: int, size: int = 600) -> list[bytes]:
    rnd = random.Random(count * size)
    records = [{"id": i, "name": f"user{rnd.randrange(50)}", "ok": rnd.random() < 0.5} for i in range(size // 30)]
    made = []
    for _ in range(count):
        records[rnd.randrange(len(records))]["id"] = rnd.randrange(10**6)
        made.append(json.dumps(records).encode()[:size])
    return made


def far(size: int, seed: int = 1) -> bytes:
    """What refers back as far as a window lets it."""
    rnd = random.Random(seed)
    out = bytearray(rnd.randbytes(50))
    while len(out) < size:
        start = len(out) - rnd.randrange(1, min(len(out), 40_000) + 1)
        out += out[start : start + rnd.randrange(3, 300)] if rnd.random() < 0.7 else rnd.randbytes(rnd.randrange(1, 20))
    return bytes(out[:size])


# The offer, and the answer with the default options (12 bits); None: nothing is agreed.
OFFERS = [
    ("permessage-deflate", "permessage-deflate"),
    ("permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=12"),
    ("permessage-deflate; client_max_window_bits=15", "permessage-deflate; client_max_window_bits=12"),
    ("permessage-deflate; client_max_window_bits=12", "permessage-deflate; client_max_window_bits=12"),
    ("permessage-deflate; client_max_window_bits=10", "permessage-deflate; client_max_window_bits=10"),
    ("permessage-deflate; client_max_window_bits=8", "permessage-deflate; client_max_window_bits=8"),
    ("permessage-deflate; server_max_window_bits=15", "permessage-deflate; server_max_window_bits=12"),
    ("permessage-deflate; server_max_window_bits=11", "permessage-deflate; server_max_window_bits=11"),
    ("permessage-deflate; server_max_window_bits=8", "permessage-deflate; server_max_window_bits=8"),
    ('permessage-deflate; server_max_window_bits="9"', "permessage-deflate; server_max_window_bits=9"),
    ('permessage-deflate; server_max_window_bits="\\1\\0"', "permessage-deflate; server_max_window_bits=10"),
    ("permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover"),
    ("permessage-deflate; client_no_context_takeover", "permessage-deflate; client_no_context_takeover"),
    (
        "permessage-deflate;client_no_context_takeover;client_max_window_bits;server_no_context_takeover;server_max_window_bits=9",
        "permessage-deflate; client_no_context_takeover; client_max_window_bits=12; server_no_context_takeover; server_max_window_bits=9",
    ),
    ("  permessage-deflate \t;\tclient_max_window_bits = 9 ", "permessage-deflate; client_max_window_bits=9"),
    (", ,permessage-deflate,", "permessage-deflate"),
    ("", None),
    (" , ", None),
    ("x-webkit-deflate-frame", None),
    ("permessage-bzip2; level=9, permessage-deflate", "permessage-deflate"),
    ('foo; bar="baz"; bar, permessage-deflate', "permessage-deflate"),
    ("PerMessage-Deflate", None),
    # What makes an offer unacceptable, and only that one.
    ("permessage-deflate; server_max_window_bits", None),
    ("permessage-deflate; server_max_window_bits=0", None),
    ("permessage-deflate; server_max_window_bits=7", None),
    ("permessage-deflate; server_max_window_bits=16", None),
    ("permessage-deflate; server_max_window_bits=08", None),
    ("permessage-deflate; server_max_window_bits=010", None),
    ("permessage-deflate; server_max_window_bits=+9", None),
    ("permessage-deflate; server_max_window_bits=1", None),
    ("permessage-deflate; server_max_window_bits=99999999999999999999", None),
    ("permessage-deflate; server_max_window_bits=ten", None),
    ("permessage-deflate; client_max_window_bits=0", None),
    ("permessage-deflate; client_max_window_bits=7", None),
    ("permessage-deflate; client_max_window_bits=16", None),
    ("permessage-deflate; client_max_window_bits=08", None),
    ("permessage-deflate; client_max_window_bits=text", None),
    ('permessage-deflate; client_max_window_bits="text"', None),
    ("permessage-deflate; server_no_context_takeover=true", None),
    ("permessage-deflate; client_no_context_takeover=1", None),
    ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
    ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
    ("permessage-deflate; client_max_window_bits=9; client_max_window_bits=10", None),
    ("permessage-deflate; unknown", None),
    ("permessage-deflate; Server_No_Context_Takeover", None),
    # The first that is acceptable.
    ("permessage-deflate; server_max_window_bits=7, permessage-deflate", "permessage-deflate"),
    (
        "permessage-deflate; unknown, permessage-deflate; client_max_window_bits, permessage-deflate",
        "permessage-deflate; client_max_window_bits=12",
    ),
    ("permessage-deflate, permessage-deflate; server_no_context_takeover", "permessage-deflate"),
]


@pytest.mark.parametrize(("offer", "answer"), OFFERS)
def test_offer(offer: str, answer: str | None) -> None:
    agreed = negotiate([offer.encode()], OPTIONS)
    assert (agreed and agreed.response.decode()) == answer


@pytest.mark.parametrize(("offer", "answer"), OFFERS)
def test_offers_on_several_lines(offer: str, answer: str | None) -> None:
    agreed = negotiate([line.encode() for line in offer.split(",")], OPTIONS)
    assert (agreed and agreed.response.decode()) == answer


def test_no_offer() -> None:
    assert negotiate([], OPTIONS) is None


@pytest.mark.parametrize(
    "line",
    [
        "permessage-deflate;",
        "permessage-deflate;;",
        "; client_max_window_bits",
        "=",
        "permessage-deflate=1",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; client_max_window_bits= ,",
        "permessage-deflate; =9",
        "permessage-deflate; client_max_window_bits=9=9",
        'permessage-deflate; client_max_window_bits=""',
        'permessage-deflate; client_max_window_bits="9',
        'permessage-deflate; client_max_window_bits="9\\',
        'permessage-deflate; client_max_window_bits="9\\"',
        'permessage-deflate; client_max_window_bits="9 "',
        'permessage-deflate; client_max_window_bits="9"9',
        'permessage-deflate; "client_max_window_bits"',
        '"permessage-deflate"',
        "permessage-deflate client_max_window_bits",
        "permessage-deflate; a b",
        "permessage-deflate, /",
        "permessage-d\u00e9flate",
        "permessage-deflate\0",
        "permessage-deflate\r\n",
    ],
)
def test_what_is_no_list_of_extensions(line: str) -> None:
    """The connection is to fail then, whatever else was offered (RFC 6455 section 9.1)."""
    for lines in ([line], ["permessage-deflate", line], [line, "permessage-deflate"]):
        with pytest.raises(ValueError, match="Sec-WebSocket-Extensions"):
            negotiate([each.encode("latin-1") for each in lines], OPTIONS)


@given(st.lists(st.text(st.sampled_from('a;=",\\ 9\t-')), max_size=3))
def test_any_line(lines: list[str]) -> None:
    try:
        assert negotiate([line.encode() for line in lines], OPTIONS) is None
    except ValueError as error:
        assert "Sec-WebSocket-Extensions" in str(error)


def test_what_is_agreed() -> None:
    agreed = agree(b"permessage-deflate", DeflateOptions(min_size=10))
    assert (agreed.server_takeover, agreed.client_takeover, agreed.server_bits, agreed.client_bits) == (True, True, 12, 15)
    assert agreed.min_size == 10
    agreed = agree(NO_TAKEOVER + b"; client_max_window_bits; server_max_window_bits=9")
    assert (agreed.server_takeover, agreed.client_takeover, agreed.server_bits, agreed.client_bits) == (False, False, 9, 12)
    assert agree(b"permessage-deflate; client_max_window_bits", DeflateOptions(15)).client_bits == 15


def test_options() -> None:
    options = DeflateOptions(window_bits=9, memory_level=1, level=9, min_size=0)
    assert (options.window_bits, options.memory_level, options.level, options.min_size) == (9, 1, 9, 0)
    for wrong in ({"window_bits": 8}, {"window_bits": 16}, {"memory_level": 0}, {"memory_level": 10}, {"level": -1}, {"level": 10}):
        with pytest.raises(ValueError):
            DeflateOptions(**wrong)


MODES = [
    b"permessage-deflate",
    b"permessage-deflate; client_max_window_bits",
    b"permessage-deflate; client_max_window_bits=8; server_max_window_bits=8",
    b"permessage-deflate; server_no_context_takeover",
    b"permessage-deflate; client_no_context_takeover",
    NO_TAKEOVER,
    NO_TAKEOVER + b"; client_max_window_bits=9; server_max_window_bits=9",
]


@pytest.mark.parametrize("offer", MODES)
def test_sessions(offer: bytes) -> None:
    """Both ways, message after message, two sessions with the same options at the same time."""
    pairs = []
    for _ in range(2):
        agreed = agree(offer)
        pairs.append((agreed, Client(max(agreed.client_bits, 9), agreed.client_takeover)))
    messages = [*documents(12), b"", b"", b"a", b"", far(150_000), os.urandom(70_000), bytes(300_000), *documents(3)]
    for message in messages:
        for agreed, client in pairs:
            payload = compress_message(agreed, message)
            assert not payload.endswith(END)
            assert client.inflate(payload) == message
            assert inflate(agreed, client.compress(message)) == message


@pytest.mark.parametrize("level", [0, 1, 2, 6, 9])
@pytest.mark.parametrize("offer", MODES)
def test_window_is_kept(offer: bytes, level: int) -> None:
    """A client that has the window that was agreed."""
    agreed = agree(offer, DeflateOptions(level=level))
    messages = [far(12_000, seed) for seed in range(2)]
    payload = b"".join(compress_message(agreed, message) + END for message in messages)
    assert inflate_strictly(payload, agreed.server_bits) == b"".join(messages)


def inflate_strictly(payload: bytes, bits: int) -> bytes:
    """Byte by byte, so that zlib has nothing but its window."""
    decompressor, out = zlib.decompressobj(-bits), bytearray()
    for i in range(len(payload)):
        given = payload[i : i + 1]
        while (got := decompressor.decompress(given, 1)) or decompressor.unconsumed_tail:
            out += got
            given = decompressor.unconsumed_tail
    return bytes(out)


def test_window_is_kept_by_sessions_that_share() -> None:
    options = DeflateOptions(15)
    for bits in (15, 9, 12, 8, 10, 15, 9):
        agreed = agree(NO_TAKEOVER + b"; server_max_window_bits=%d" % bits, options)
        message = far(12_000, bits)
        assert inflate_strictly(compress_message(agreed, message) + END, bits) == message


def test_context_is_taken_over() -> None:
    message = documents(1)[0]
    agreed, client = agree(), Client()
    assert len(compress_message(agreed, message)) > 5 * len(compress_message(agreed, message))
    first, second = client.compress(message), client.compress(message)
    assert inflate(agreed, first) + inflate(agreed, second) == 2 * message
    with pytest.raises(ValueError):
        inflate(agree(), second)


def test_context_is_not_taken_over() -> None:
    """Every message stands alone, also when it follows another session's."""
    agreed = [agree(NO_TAKEOVER) for _ in range(3)]
    for message in documents(6):
        payloads = {compress_message(session, message) for session in agreed}
        assert len(payloads) == 1
        assert zlib.decompressobj(-12).decompress(payloads.pop() + END) == message
    client = Client()
    message = documents(1)[0]
    first, second = client.compress(message), client.compress(message)
    assert inflate(agreed[0], first) == message
    with pytest.raises(ValueError):
        inflate(agreed[0], second)


# RFC 7692 section 7.2.3
EXAMPLES = [
    ("f248cdc9c90700", b"Hello"),
    ("000500faff48656c6c6f00", b"Hello"),  # no compression
    ("f348cdc9c9070000", b"Hello"),  # BFINAL
    ("f248050000 00ffffcac9c90700", b"Hello"),  # two blocks
    ("00", b""),
]


@pytest.mark.parametrize("offer", MODES)
@pytest.mark.parametrize(("payload", "message"), EXAMPLES)
def test_examples_in_every_cut(payload: str, message: bytes, offer: bytes) -> None:
    data = bytes.fromhex(payload)
    agreed = agree(offer)
    assert inflate(agreed, data) == message
    assert inflate(agreed, *(data[i : i + 1] for i in range(len(data)))) == message
    for split in range(len(data) + 1):
        assert inflate(agreed, data[:split], data[split:]) == message
        assert inflate(agreed, data[:split], b"", data[split:], b"", most=1) == message


def test_example_of_a_context() -> None:
    agreed = agree()
    assert inflate(agreed, bytes.fromhex("f248cdc9c90700")) == b"Hello"
    assert inflate(agreed, bytes.fromhex("f200110000")) == b"Hello"


def test_empty_messages() -> None:
    """The canonical form goes out; what a simple client makes of the second in a row comes in as well."""
    agreed, client = agree(), Client()
    for message in (b"", b"", b"text" * 30, b"", b"text" * 30):
        payload = compress_message(agreed, message)
        assert (payload == b"\0") == (not message)
        assert client.inflate(payload) == message
    for message in (b"text" * 30, b"", b"text" * 30):
        assert inflate(agreed, client.compress(message)) == message
        assert inflate(agreed, b"") == b""
        assert inflate(agreed, b"", b"") == b""


@pytest.mark.parametrize("most", [1, 2, 100, 1000, 65536, 10**9])
def test_steps_are_bounded(most: int) -> None:
    agreed, client = agree(), Client()
    for message in [documents(1)[0], bytes(200_000) if most > 1 else bytes(2000), documents(1)[0]]:
        steps = list(inflate_pieces(agreed, [client.compress(message)], most))
        assert b"".join(steps) == message
        assert max(map(len, steps)) <= min(most, 65536)


def test_no_allowance_is_one_byte() -> None:
    """zlib takes 0 for no limit at all."""
    assert [*inflate_pieces(agree(), [Client().compress(b"ab")], 0)][:2] == [b"a", b"b"]


@pytest.mark.parametrize(("offer", "mebibytes"), [(MODES[0], 1024), (NO_TAKEOVER, 64)])
def test_bomb(offer: bytes, mebibytes: int) -> None:
    """1 GiB of zeros in 1 MB."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    once = compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    total = steps = 0
    for step in inflate_pieces(agree(offer), [(once * mebibytes)[:-4]]):
        assert len(step) <= 65536
        total += len(step)
        steps += 1
    assert total == mebibytes << 20
    assert steps < total / 65536 * 1.01


def test_nothing_comes_of_much() -> None:
    """Empty blocks: every step is short, whatever comes out."""
    payload = b"\x00\x00\x00\xff\xff" * 200_000 + b"\0"
    steps = list(inflate_pieces(agree(), [payload]))
    assert set(steps) == {b""}
    assert len(steps) >= len(payload) / 65536


@pytest.mark.parametrize("size", [65530, 65531, 65532, 65533, 65535, 65536, 65537, 131072, 131073, 400_000])
def test_pieces_around_the_step(size: int) -> None:
    """Incompressible, so that the payload is about as long as the message."""
    message = random.Random(size).randbytes(size)
    agreed, client = agree(), Client(level=0)
    payload = client.compress(message)
    assert inflate(agreed, payload) == message
    stored = client.compress(message)
    for cut in (size - 65536, 65532, 65536, 65540):
        if 0 <= cut <= len(stored):
            assert inflate(agree(), stored[:cut], stored[cut:]) == message
    # Payloads of just these lengths: a stored block, then nothing but its header less the end.
    exact = b"\x00\xf6\xff\x09\x00" + message[:65526] + b"\0"
    assert inflate(agreed, exact) == message[:65526]


def final(message: bytes) -> bytes:
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    return compressor.compress(message) + compressor.flush()


@pytest.mark.parametrize("offer", [MODES[0], NO_TAKEOVER])
@pytest.mark.parametrize("ending", [b"\0", b""])
def test_final_blocks(offer: bytes, ending: bytes) -> None:
    """With the empty block behind, as the RFC has it, or without; alone, in a row, mixed with others."""
    one, two = documents(2)
    agreed = agree(offer)
    for _ in range(2):
        assert inflate(agreed, final(one) + ending) == one
        data = final(one) + final(two) + ending
        assert inflate(agreed, data) == one + two
        assert inflate(agreed, data, most=1) == one + two
        for split in range(0, len(data) + 1, 7):
            assert inflate(agreed, data[:split], data[split:]) == one + two
        large = far(200_000)
        assert inflate(agreed, final(large) + final(one) + ending) == large + one
    client = Client()
    assert inflate(agreed, client.compress(one)) == one
    assert inflate(agreed, final(b"") + ending) == b""


@pytest.mark.parametrize("size", [*range(65520, 65536), 100_000])
def test_final_block_around_the_step(size: int) -> None:
    message = random.Random(size).randbytes(size)
    compressor = zlib.compressobj(0, zlib.DEFLATED, -15)
    payload = compressor.compress(message) + compressor.flush()
    agreed = agree()
    for ending in (b"", b"\0"):
        assert inflate(agreed, payload + ending) == message
        assert inflate(agreed, payload[:-3], payload[-3:] + ending) == message
        assert inflate(agreed, Client().compress(b"what follows")) == b"what follows"


def test_final_block_ends_the_context() -> None:
    agreed, client = agree(), Client()
    message = documents(1)[0]
    first, second = client.compress(message), client.compress(message)
    assert inflate(agreed, first) == message
    assert inflate(agreed, final(b"x") + b"\0") == b"x"
    with pytest.raises(ValueError):
        inflate(agreed, second)


def test_many_final_blocks_are_refused() -> None:
    """Two bytes on the wire would each cost a new stream."""
    empty = final(b"")
    assert inflate(agree(), empty * 16 + b"\0") == b""
    for payload in (empty * 17 + b"\0", empty * 30_000, empty * 100_000):
        with pytest.raises(ValueError, match="final"):
            inflate(agree(), payload)
    # As many again for every 4,096 bytes.
    message = random.Random(1).randbytes(5000)
    assert inflate(agree(), final(message) * 60 + b"\0") == message * 60


@pytest.mark.parametrize("offer", MODES)
def test_broken(offer: bytes) -> None:
    for payload in (b"\x06", b"\xff\xff\xff", b"\x07" * 10, b"\x00\x01\x00\x00\x00", b"\x03", b"\x4b\x04\x00"[:2]):
        agreed = agree(offer)
        with pytest.raises(ValueError, match="broken"):
            inflate(agreed, payload + b"\xff" * 100)
        assert inflate(agreed, Client(9).compress(b"as new")) == b"as new"


@pytest.mark.parametrize("missing", [1, 2, 3, 4])
def test_a_stream_that_takes_the_end_for_its_own_is_broken(missing: int) -> None:
    """A final block that was cut short and ends in the four bytes that are appended."""
    stored = bytes([1, missing, 0, 255 - missing, 255])
    for pieces in ([stored], [stored[:2], stored[2:]], [stored, b""]):
        with pytest.raises(ValueError, match="broken"):
            inflate(agree(), *pieces)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_like(kind: type) -> None:
    message = documents(1)[0]
    assert Client().inflate(compress_message(agree(), kind(message))) == message


def test_what_is_not_bytes() -> None:
    agreed, client = agree(), Client()
    message = documents(1)[0]
    assert client.inflate(compress_message(agreed, message)) == message
    for wrong in ("text", [1]):
        with pytest.raises(TypeError):
            compress_message(agreed, wrong)  # type: ignore[arg-type]
    assert client.inflate(compress_message(agreed, message)) == message


def streams(agreed: Deflate) -> list[str]:
    names = (type(each).__name__.lower() for each in gc.get_referents(agreed))
    return sorted(name for name in names if "compress" in name)


@pytest.mark.parametrize("offer", MODES)
def test_what_a_session_holds(offer: bytes) -> None:
    """Nothing before the first message; afterwards the streams with context, no others, and no message."""
    agreed = agree(offer)
    assert streams(agreed) == []
    assert (compress_message(agreed, b""), inflate(agreed, b"")) == (b"\0", b"")
    assert streams(agreed) == []
    message = documents(1)[0]
    compress_message(agreed, message)
    assert inflate(agreed, Client(9).compress(message)) == message
    assert streams(agreed) == ["compress"] * agreed.server_takeover + ["decompress"] * agreed.client_takeover
    assert message not in gc.get_referents(agreed)


@settings(max_examples=50)
@given(
    st.lists(st.binary(max_size=400) | st.text(st.sampled_from("ab{}:"), max_size=2000).map(str.encode), max_size=8),
    st.sampled_from(MODES),
    st.integers(1, 500),
    st.lists(st.integers(0, 300), max_size=4),
)
def test_round_trips(messages: list[bytes], offer: bytes, most: int, cuts: list[int]) -> None:
    agreed = agree(offer)
    client = Client(max(agreed.client_bits, 9), agreed.client_takeover)
    for message in messages:
        assert client.inflate(compress_message(agreed, message)) == message
        payload = client.compress(message)
        places = sorted({0, len(payload), *(cut for cut in cuts if cut < len(payload))})
        pieces = [payload[a:b] for a, b in itertools.pairwise(places)]
        assert inflate(agreed, *pieces, most=most) == message


@settings(max_examples=200)
@given(st.binary(max_size=200), st.sampled_from(MODES))
def test_anything(payload: bytes, offer: bytes) -> None:
    try:
        inflate(agree(offer), payload)
    except ValueError as error:
        assert "compressed message" in str(error)


@pytest.mark.parametrize(
    ("offer", "arguments"),
    [
        (b"permessage-deflate; client_max_window_bits", {}),
        (b"permessage-deflate; server_no_context_takeover", {"server_no_context_takeover": True}),
        (b"permessage-deflate; client_no_context_takeover; server_max_window_bits=9", {"server_max_window_bits": 9}),
        (NO_TAKEOVER, {"client_no_context_takeover": True, "server_no_context_takeover": True}),
    ],
)
def test_another_implementation(offer: bytes, arguments: dict[str, bool | int]) -> None:
    extensions = pytest.importorskip("wsproto.extensions")
    frames = pytest.importorskip("wsproto.frame_protocol")
    agreed = agree(offer)
    extension = extensions.PerMessageDeflate(**arguments)
    extension.offer()
    extension.finalize(agreed.response.decode())
    client = frames.FrameProtocol(client=True, extensions=[extension])
    for message in [*documents(5), b"x", far(30_000), *documents(2)]:
        payload = compress_message(agreed, message)
        size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
        client.receive_bytes(b"\xc2" + size + payload)
        assert b"".join(bytes(frame.payload) for frame in client.received_frames()) == message
        wire = client.send_data(message, fin=True)
        start = {254: 4, 255: 10}.get(wire[1], 2)
        key, data = wire[start : start + 4], wire[start + 4 :]
        assert inflate(agreed, bytes(octet ^ key[i % 4] for i, octet in enumerate(data))) == message


def test_backend() -> None:
    try:
        import zlib_ng  # noqa: F401
    except ImportError:
        assert deflate.backend == "zlib"
    else:
        assert deflate.backend == "zlib-ng"


def test_without_zlib_ng() -> None:
    program = """
import sys, zlib
sys.modules["zlib_ng"] = None
from pronghorn._core import deflate
assert deflate.backend == "zlib"
agreed = deflate.negotiate([sys.argv[1].encode()], deflate.DeflateOptions())
for _ in range(3):
    payload = deflate.compress_message(agreed, b"Hello" * 30)
    assert zlib.decompressobj(-12).decompress(payload + bytes.fromhex("0000ffff")) == b"Hello" * 30
    assert b"".join(deflate.inflate_pieces(agreed, [payload])) == b"Hello" * 30
"""
    subprocess.run([sys.executable, "-c", program, NO_TAKEOVER.decode()], check=True, timeout=60)
