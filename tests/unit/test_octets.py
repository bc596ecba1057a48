"""pronghorn._core.octets: the classes of octets that every parser and the response head rely on."""

import string

import pytest

from pronghorn._core.octets import content_length, token_characters


def test_token_is_what_the_grammar_says() -> None:
    assert set(token_characters()) == set((string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode())


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"0", 0),
        (b"00042", 42),
        (b"9223372036854775807", 2**63 - 1),
        (b"9223372036854775808", -1),
        (b"10000000000000000000", -1),
        (b"", -1),
        (b"+1", -1),
        (b"-0", -1),
        (b"1_0", -1),
        (b"1 ", -1),
        (b"0x1", -1),
        ("٣".encode(), -1),
    ],
)
def test_content_length(text: bytes, number: int) -> None:
    assert content_length(text) == number
