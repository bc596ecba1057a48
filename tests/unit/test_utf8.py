"""pronghorn._core.utf8: strict UTF-8 in pieces, which fails at the first byte that cannot continue it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronghorn._core.utf8 import check_pieces

# The bytes beside which a rule changes.
EDGES = bytes([0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF7, 0xF8, 0xFF])
CODE_POINTS = [0, 1, 0x7F, 0x80, 0x7FF, 0x800, 0xFFF, 0x1000, 0xCFFF, 0xD000, 0xD7FF, 0xE000, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x3FFFF, 0x40000, 0xFFFFF, 0x100000, 0x10FFFE, 0x10FFFF]


def decodes(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def expected(data: bytes) -> bool | None:
    """What Python's decoder says: True, None if what follows can make it text, False."""
    if decodes(data):
        return True
    completions = (bytes([second]) + b"\x80" * more for second in (0x80, 0x90, 0xA0) for more in range(3))
    return None if any(decodes(data + ending) for ending in completions) else False


def agree(data: bytes) -> None:
    wanted = expected(data)
    assert check_pieces([data]) is wanted, data
    assert check_pieces([data[i : i + 1] for i in range(len(data))]) is wanted, data
    # In the middle of much: where whole words and whole characters are looked at.
    assert check_pieces([b"0123456789abcdef" * 2 + data]) is wanted, data
    assert check_pieces([b"\xe2\x82\xac" + data + b"tail"]) is expected(b"\xe2\x82\xac" + data + b"tail"), data


def test_every_two_bytes() -> None:
    for pair in itertools.product(range(256), repeat=2):
        agree(bytes(pair))


def test_edges() -> None:
    for three in itertools.product(EDGES, repeat=3):
        data = bytes(three)
        assert check_pieces([data]) is expected(data), data
    for lead, second in itertools.product(b"\xe0\xe1\xed\xef\xf0\xf1\xf4\xf5", range(256)):
        for rest in (b"", b"\x80", b"\xbf", b"\x80\x80", b"\xbf\xbf", b"\x7f\x80", b"\x80\x7f", b"\x80\xc0", b"\xc0\x80"):
            agree(bytes([lead, second]) + rest)


def test_every_code_point() -> None:
    for first in range(0, 0x110000, 0x800):
        if 0xD800 <= first < 0xE000:
            for point in range(first, first + 0x800):
                assert check_pieces([chr(point).encode("utf-8", "surrogatepass")]) is False
        else:
            for point in range(first, first + 0x800):
                assert check_pieces([chr(point).encode()]) is True
            assert check_pieces(["".join(map(chr, range(first, first + 0x800))).encode()]) is True


@pytest.mark.parametrize("point", CODE_POINTS)
def test_boundaries_in_text(point: int) -> None:
    text = f"{chr(point)}a{chr(point)}{chr(point)}0123456789abcdefg{chr(point)}".encode()
    for split in range(len(text) + 1):
        agree(text[:split])
        assert check_pieces([text[:split], text[split:]]) is True


@pytest.mark.parametrize(
    ("data", "fails_with"),
    [
        (b"\x80", 1),
        (b"\xc0\x80", 1),
        (b"\xc1\xbf", 1),
        (b"\xe0\x9f\xbf", 2),
        (b"\xed\xa0\x80", 2),
        (b"\xf0\x8f\xbf\xbf", 2),
        (b"\xf4\x90\x80\x80", 2),
        (b"\xf5\x80\x80\x80", 1),
        (b"\xff", 1),
        (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited", 13),  # Autobahn 6.4
        (b"\xe2\x82a", 3),
        (b"\xf0\x90\x80a", 4),
    ],
)
def test_fails_as_early_as_it_can(data: bytes, fails_with: int) -> None:
    for length in range(len(data) + 1):
        assert (check_pieces([data[:length]]) is False) == (length >= fails_with)
        assert (check_pieces([data[:length], b""]) is False) == (length >= fails_with)


def test_a_failure_is_for_good() -> None:
    assert check_pieces([b"\xff", b"", b"fine"]) is False
    assert check_pieces([b"\xe2\x82", b"a", b"fine"]) is False


def test_ends_within_a_character() -> None:
    assert check_pieces([]) is True
    assert check_pieces([b"\xe2\x82"]) is None
    assert check_pieces([b"\xe2", b"", b"\x82", b""]) is None
    assert check_pieces([b"\xe2", b"", b"\x82", b"", b"\xac"]) is True


@pytest.mark.parametrize("length", range(70))
def test_a_bad_byte_anywhere(length: int) -> None:
    for at in range(length):
        data = bytearray(b"x" * length)
        data[at] = 0x80
        assert check_pieces([bytes(data)]) is False
        data[at] = 0xC3
        assert check_pieces([bytes(data)]) is (None if at == length - 1 else False)


@given(st.text(max_size=100), st.lists(st.integers(0, 400), max_size=5))
def test_text(text: str, cuts: list[int]) -> None:
    data = text.encode()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    assert check_pieces([data[a:b] for a, b in itertools.pairwise(places)]) is True
    for length in range(len(data)):
        assert check_pieces([data[:length]]) is expected(data[:length])


@given(st.binary(max_size=60) | st.lists(st.sampled_from(list(EDGES)), max_size=12).map(bytes))
def test_anything(data: bytes) -> None:
    agree(data)
