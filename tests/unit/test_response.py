"""The parts of a response head that are made ahead, and those that are checked while they are copied."""

from __future__ import annotations

import locale
from email.utils import formatdate

import pytest

from pronghorn._core.octets import token_characters
from pronghorn._core.response import Defaults, date_of, render
from pronghorn.errors import MessageError

DAY = 86_400


def test_dates_are_the_standard_librarys() -> None:
    """Each day of three years, one of them with a 29th of February; and before and after these years."""
    for second in [0, 784111777, 2**31 + 1, *(1_700_000_000 + day * (DAY + 61) for day in range(3 * 366))]:
        assert date_of(second) == formatdate(second, usegmt=True).encode()
    assert date_of(784111777) == b"Sun, 06 Nov 1994 08:49:37 GMT"


def test_dates_are_no_matter_of_the_locale() -> None:
    before = locale.setlocale(locale.LC_ALL)
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C"):  # where the machine has them
        try:
            locale.setlocale(locale.LC_ALL, name)
        except locale.Error:
            continue
        assert date_of(0.9) == b"Thu, 01 Jan 1970 00:00:00 GMT"
    locale.setlocale(locale.LC_ALL, before)


def written(name: bytes, value: bytes) -> bytes | None:
    """The line that a header comes to, None if it is refused."""
    try:
        return render(200, [(name, value)], Defaults(False, False, [])).removeprefix(b"HTTP/1.1 200 OK\r\n")
    except MessageError:
        return None


# Eight octets are looked at together, and some of the last eight twice.
@pytest.mark.parametrize("length", [*range(1, 26), 64])
def test_every_octet_at_every_place(length: int) -> None:
    token = token_characters()
    for at in range(length):
        before, behind = b"az-"[: at % 3 + 1] * length, b"-za" * length
        for number in range(256):
            octet = bytes([number])
            name = before[:at] + octet + behind[: length - at - 1]
            assert written(name, b"v") == (name.lower() + b": v\r\n" if octet in token else None), name
            value = b" " * at + octet + b"~" * (length - at - 1)
            bad = (number < 0x20 and number != 9) or number == 0x7F
            assert written(b"x", value) == (None if bad else b"x: " + value + b"\r\n"), value
