"""pronghorn._core.frames: headers of frames, masking, payloads (RFC 6455 section 5)."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn._core.frames import (
    bytes_payload,
    is_legal_close,
    read_header,
    text_payload,
    unmask_pieces,
    write_header,
)

KEY = b"\x37\xfa\x21\x3d"

# (first two bytes and length, what is read: bytes used, opcode, final, compressed, length)
WHOLE = [
    (b"\x81\x85", (6, 1, True, False, 5)),
    (b"\x82\x80", (6, 2, True, False, 0)),
    (b"\x82\xfd", (6, 2, True, False, 125)),
    (b"\x01\x83", (6, 1, False, False, 3)),
    (b"\x00\x83", (6, 0, False, False, 3)),
    (b"\x80\x82", (6, 0, True, False, 2)),
    (b"\x88\x80", (6, 8, True, False, 0)),
    (b"\x88\xfd", (6, 8, True, False, 125)),
    (b"\x89\x85", (6, 9, True, False, 5)),
    (b"\x8a\x85", (6, 10, True, False, 5)),
    (b"\x82\xfe\x00\x7e", (8, 2, True, False, 126)),
    (b"\x82\xfe\x01\x00", (8, 2, True, False, 256)),
    (b"\x82\xfe\xff\xff", (8, 2, True, False, 65535)),
    (b"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00", (14, 2, True, False, 65536)),
    (b"\x02\xff\x00\x00\x00\x00\x01\x02\x03\x04", (14, 2, False, False, 0x01020304)),
    (b"\x82\xff\x00\x01\x00\x00\x00\x00\x00\x00", (14, 2, True, False, 2**48)),
    (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", (14, 2, True, False, 2**63 - 1)),
]
COMPRESSED = [
    (b"\xc1\x85", (6, 1, True, True, 5)),
    (b"\xc2\xfe\x01\x00", (8, 2, True, True, 256)),
    (b"\x41\x80", (6, 1, False, True, 0)),
]

# Each fails with its last byte and not before.
BROKEN = [
    b"\x91",  # RSV3
    b"\xa1",  # RSV2
    b"\xb2",
    b"\xc1",  # RSV1, nothing agreed
    b"\x83",  # reserved opcodes
    b"\x87",
    b"\x8b",
    b"\x8f",
    b"\x08",  # control frames in fragments
    b"\x09",
    b"\x0a",
    b"\x81\x05",  # no mask
    b"\x82\x7e",
    b"\x88\x00",
    b"\x88\xfe",  # control frames of more than 125 bytes
    b"\x89\xff",
    b"\x82\xfe\x00\x7d",  # a longer form than needed
    b"\x82\xfe\x00\x00",
    b"\x82\xff\x80",  # top bit
    b"\x82\xff\xff",
    b"\x82\xff\x00\x00\x00\x00\x00\x00",  # whatever the last two bytes are
]


@pytest.mark.parametrize("extension", [False, True])
@pytest.mark.parametrize(("start", "result"), WHOLE)
def test_header(start: bytes, result: tuple[int, ...], extension: bool) -> None:
    header = start + KEY
    assert len(header) == result[0]
    for length in range(len(header)):
        assert read_header(header[:length], extension) is None
    assert read_header(header, extension) == (*result, KEY)
    assert read_header(header + b"more", extension) == (*result, KEY)


@pytest.mark.parametrize(("start", "result"), COMPRESSED)
def test_compressed(start: bytes, result: tuple[int, ...]) -> None:
    header = start + KEY
    for length in range(len(header)):
        assert read_header(header[:length], True) is None
    assert read_header(header, True) == (*result, KEY)
    with pytest.raises(ValueError):
        read_header(header)


@pytest.mark.parametrize("start", BROKEN)
def test_broken_as_soon_as_it_shows(start: bytes) -> None:
    for length in range(len(start)):
        assert read_header(start[:length]) is None
    for more in (b"", b"\0", KEY, b"\xff" * 14):
        with pytest.raises(ValueError):
            read_header(start + more)


@pytest.mark.parametrize("extension", [False, True])
def test_every_first_byte(extension: bool) -> None:
    legal = {0x00, 0x80, 0x01, 0x81, 0x02, 0x82, 0x88, 0x89, 0x8A}
    if extension:
        legal |= {0x41, 0xC1, 0x42, 0xC2}
    for octet in range(256):
        if octet in legal:
            assert read_header(bytes([octet]), extension) is None
        else:
            with pytest.raises(ValueError):
                read_header(bytes([octet]), extension)


@pytest.mark.parametrize("first", [0x81, 0x00, 0x88, 0x8A])
def test_every_second_byte(first: int) -> None:
    for octet in range(256):
        if octet < 0x80 or (first >= 0x88 and octet > 0x80 | 125):
            with pytest.raises(ValueError):
                read_header(bytes([first, octet]))
        else:
            assert read_header(bytes([first, octet])) is None


def shortest(length: int) -> bytes:
    if length < 126:
        return bytes([0x80 | length])
    return b"\xfe" + length.to_bytes(2, "big") if length < 65536 else b"\xff" + length.to_bytes(8, "big")


@given(st.integers(0, 2**63 - 1) | st.integers(0, 2**17), st.sampled_from([0, 1, 2]), st.binary(min_size=4, max_size=4))
def test_lengths_read(length: int, opcode: int, key: bytes) -> None:
    start = bytes([0x80 | opcode]) + shortest(length)
    assert read_header(start + key) == (len(start) + 4, opcode, True, False, length, key)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 255, 256, 65535, 65536, 2**32, 2**40 + 5, 2**63 - 1])
@pytest.mark.parametrize("opcode", [0, 1, 2, 8, 9, 10])
def test_header_written(length: int, opcode: int) -> None:
    plain = bytearray(shortest(length))
    plain[0] &= 0x7F
    assert write_header(opcode, length) == bytes([0x80 | opcode]) + plain
    assert write_header(opcode, length, True) == bytes([0xC0 | opcode]) + plain


@pytest.mark.parametrize("length", [0, 5, 125, 126, 65535, 65536, 100_000])
def test_another_implementation_reads_and_writes(length: int) -> None:
    protocol = pytest.importorskip("wsproto.frame_protocol")
    payload = random.Random(length).randbytes(length)
    client = protocol.FrameProtocol(client=True, extensions=[])
    client.receive_bytes(write_header(2, length) + payload)
    frames = list(client.received_frames())
    assert b"".join(bytes(frame.payload) for frame in frames) == payload
    assert frames[-1].message_finished and frames[-1].opcode == 2
    wire = client.send_data(payload, fin=True)
    used, opcode, final, compressed, declared, key = read_header(wire) or pytest.fail("not whole")
    assert (opcode, final, compressed, declared, len(wire)) == (2, True, False, length, used + length)
    assert unmask_pieces([wire[used:]], key)[0] == payload


def masked(data: bytes, key: bytes = KEY) -> bytes:
    return bytes(octet ^ key[i % 4] for i, octet in enumerate(data))


def together(data: bytes) -> int:
    seen = 0
    for octet in data:
        seen |= octet
    return seen


@pytest.mark.parametrize("in_place", [False, True])
def test_unmask_every_length_and_phase(in_place: bool) -> None:
    for length in [*range(200), 1000, 4099]:
        for phase in range(5):
            data = random.Random(length).randbytes(phase + length)
            assert unmask_pieces([data[:phase], data[phase:]], KEY, in_place) == (masked(data), together(masked(data)))


@pytest.mark.parametrize("length", [1, 3, 7, 8, 9, 15, 16, 63, 64, 65, 100, 127, 128, 200])
def test_every_bit_is_seen(length: int) -> None:
    """Wherever one byte is not ASCII, unmask() says so."""
    for at in range(length):
        data = bytearray(length)
        data[at] = 0x80
        assert unmask_pieces([masked(data)], KEY) == (data, 0x80)


def test_unmask_byte_by_byte_and_at_every_split() -> None:
    data = os.urandom(150)
    whole = unmask_pieces([data], KEY)
    assert unmask_pieces([data[i : i + 1] for i in range(len(data))], KEY) == whole
    for split in range(len(data) + 1):
        assert unmask_pieces([data[:split], data[split:]], KEY) == whole
        assert unmask_pieces([data[:split], data[split:]], KEY, True) == whole


@given(st.lists(st.binary(max_size=300), max_size=6), st.binary(min_size=4, max_size=4), st.booleans())
def test_unmask(pieces: list[bytes], key: bytes, in_place: bool) -> None:
    plain = masked(b"".join(pieces), key)
    assert unmask_pieces(pieces, key, in_place) == (plain, together(plain))


@given(st.text(max_size=300) | st.text(st.characters(max_codepoint=127), max_size=300), st.binary(min_size=4, max_size=4))
def test_text(text: str, key: bytes) -> None:
    made = text_payload(masked(text.encode(), key), key)
    assert made == text
    assert made.isascii() == text.isascii()
    assert hash(made) == hash(text)


@pytest.mark.parametrize("length", [*range(20), 63, 64, 65, 1000])
def test_text_that_is_ascii(length: int) -> None:
    text = "".join(chr(32 + i % 95) for i in range(length))
    assert text_payload(masked(text.encode()), KEY) == text


@pytest.mark.parametrize(
    "broken", [b"\x80", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a" * 100 + b"\xff", b"\xe2\x82"]
)
def test_text_that_is_none(broken: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        text_payload(masked(broken), KEY)


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_bytes(data: bytes, key: bytes) -> None:
    assert bytes_payload(masked(data, key), key) == data


def test_objects_that_are_shared_stay_as_they_are() -> None:
    """Neither the empty objects nor those of one character are written to."""
    assert text_payload(b"", KEY) == ""
    assert bytes_payload(b"", KEY) == b""
    for octet in range(128):
        assert text_payload(masked(bytes([octet])), KEY) == chr(octet)
        assert bytes_payload(masked(bytes([octet])), KEY) == bytes([octet])
    assert [chr(octet) for octet in range(128)] == list(bytes(range(128)).decode())


def test_close_codes() -> None:
    legal = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, *range(3000, 5000)}
    assert {code for code in range(-1, 65537) if is_legal_close(code)} == legal


@pytest.mark.parametrize("key", [b"", b"abc", b"abcde"])
def test_a_key_is_four_bytes(key: bytes) -> None:
    for use in (text_payload, bytes_payload):
        with pytest.raises(ValueError):
            use(b"data", key)
    with pytest.raises(ValueError):
        unmask_pieces([b"data"], key)
