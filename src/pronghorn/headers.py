"""Response headers of one's own: the form of the setting, and their bytes."""

from __future__ import annotations

import re
from typing import Any

from pronghorn.forms import Form

__all__ = ["Headers", "encode"]

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110, 5.6.2
FIELD_VALUE = rb"[\t\x20-\x7e\x80-\xff]*"  # RFC 9110, 5.5: no CR, LF, NUL or other control
MADE_BY_SERVER = frozenset({b"connection", b"content-length", b"transfer-encoding"})


class Headers(Form):
    """Response headers: (name, value) pairs of text or bytes; on the command line ``Name:Value``."""

    metavar: str = "NAME:VALUE"
    repeated = True

    @property
    def words(self) -> str:
        return "(name, value) pairs of str or bytes"

    def check(self, value: Any) -> list[tuple[str | bytes, str | bytes]]:
        if value is None:
            return []
        pairs: list[tuple[str | bytes, str | bytes]] = []
        try:
            for name, text in value:
                pairs.append((name, text))
        except (TypeError, ValueError):
            raise self.refuse(value) from None
        encode(pairs)
        return pairs

    def parse(self, text: str) -> tuple[str, str]:
        name, colon, value = text.partition(":")
        if not colon:
            raise ValueError(f"expected Name:Value, got {text!r}")
        encode([(name, value)])
        return name, value.strip(" \t")

    def read(self, value: Any) -> Any:
        return self.read_each(value, '"Name:Value"')

    def plain(self, value: Any) -> Any:
        return [":".join(part if isinstance(part, str) else part.decode("latin-1") for part in pair) for pair in value]


def encode(pairs: list[tuple[str | bytes, str | bytes]]) -> list[tuple[bytes, bytes]]:
    """The bytes of each pair, name in lower case; ValueError when a pair cannot be sent as a header."""
    encoded = []
    for name, value in pairs:
        if not isinstance(name, str | bytes) or not isinstance(value, str | bytes):
            raise ValueError(f"expected a header as two of str or bytes, got {(name, value)!r}")
        try:
            raw_name = name if isinstance(name, bytes) else name.encode("ascii")
            raw_value = value if isinstance(value, bytes) else value.encode("latin-1")
        except UnicodeEncodeError:
            raise ValueError(f"header {name!r}: {value!r} has characters that no header can carry") from None
        raw_name, raw_value = raw_name.lower(), raw_value.strip(b" \t")
        if re.fullmatch(TOKEN, raw_name) is None:
            raise ValueError(f"header name {name!r} is not a token of RFC 9110")
        if re.fullmatch(FIELD_VALUE, raw_value) is None:
            raise ValueError(f"header value {value!r} has control characters")
        if raw_name in MADE_BY_SERVER:
            raise ValueError(f"header {name!r} is made by the server itself for each response")
        encoded.append((raw_name, raw_value))
    return encoded
