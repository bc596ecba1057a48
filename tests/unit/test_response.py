"""The parts of a response head that are made ahead."""

from __future__ import annotations

import locale
from email.utils import formatdate

from pronghorn._core.response import date_of

DAY = 86_400


def test_dates_are_the_standard_librarys() -> None:
    """Each day of three years, one of them with a 29th of February; and before and after these years."""
    for second in [0, 784111777, 2**31 + 1, *(1_700_000_000 + day * (DAY + 61) for day in range(3 * 366))]:
        assert date_of(second) == formatdate(second, usegmt=True).encode()
    assert date_of(784111777) == b"Sun, 06 Nov 1994 08:49:37 GMT"


def test_dates_are_no_matter_of_the_locale() -> None:
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C"):  # where the machine has them
        try:
            locale.setlocale(locale.LC_ALL, name)
        except locale.Error:
            continue
        assert date_of(0.9) == b"Thu, 01 Jan 1970 00:00:00 GMT"
    locale.setlocale(locale.LC_ALL, "C")
