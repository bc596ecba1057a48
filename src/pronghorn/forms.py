"""The forms a setting's value may take: what is accepted, said in words, checked once for Python and command line.

A form's ``check`` takes what Python code passed to ``Config`` and returns the value to keep; its ``parse`` takes the
text of a command-line option. Both raise ``ValueError`` with one line that names the accepted form.
"""

from __future__ import annotations

import logging
import math
import os
import re
from dataclasses import dataclass
from typing import Any

from pronghorn.logs import LOG_LEVELS

__all__ = [
    "Choice", "Flag", "Form", "Function", "Headers", "Hosts", "Level", "LogConfig", "Names", "Number", "Text", "Truth",
    "Words",
]  # fmt: skip

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110, 5.5: no CR, LF, NUL or other control
MADE_BY_SERVER = frozenset({b"connection", b"content-length", b"transfer-encoding"})


class Form:
    """One accepted form: ``words`` says it in a message and in the documentation, ``metavar`` in ``--help``."""

    metavar = "TEXT"
    repeated = False  # the option may be given several times, each time with one of the values
    option = ""  # the option's name where it is not the setting's; "-": there is none

    @property
    def words(self) -> str:
        raise NotImplementedError

    def check(self, value: Any) -> Any:
        raise NotImplementedError

    def parse(self, text: str) -> Any:
        return self.check(text)

    def refuse(self, value: Any) -> ValueError:
        return ValueError(f"expected {self.words}, got {value!r}")


@dataclass(frozen=True)
class Text(Form):
    """Text without NUL, or None where ``optional``; a path is text as well."""

    metavar: str = "TEXT"
    optional: bool = False

    @property
    def words(self) -> str:
        return "text or None" if self.optional else "text"

    def check(self, value: Any) -> Any:
        if value is None and self.optional:
            return None
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, str) or "\0" in value:
            raise self.refuse(value)
        return value


@dataclass(frozen=True)
class Flag(Form):
    """True or False, or None where ``optional``."""

    optional: bool = False

    @property
    def words(self) -> str:
        return "True, False or None" if self.optional else "True or False"

    def check(self, value: Any) -> Any:
        if isinstance(value, bool) or (value is None and self.optional):
            return value
        raise self.refuse(value)


@dataclass(frozen=True)
class Truth(Form):
    """True or False, as a word on the command line rather than as two options."""

    metavar = "true|false"
    words = "true or false"

    def check(self, value: Any) -> Any:
        if isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.parse(value)
        raise self.refuse(value)

    def parse(self, text: str) -> Any:
        if text.lower() in {"true", "1", "yes", "on"}:
            return True
        if text.lower() in {"false", "0", "no", "off"}:
            return False
        raise self.refuse(text)


@dataclass(frozen=True)
class Number(Form):
    """A number from ``minimum`` to ``maximum``; where ``off`` says what None means, None is accepted."""

    metavar: str = "INTEGER"
    unit: str = "a whole number"
    minimum: float = 0
    maximum: float | None = None
    off: str = ""
    whole: bool = True
    option: str = ""

    @property
    def words(self) -> str:
        text = f"{self.unit} from {self.minimum:g}"
        if self.maximum is not None:
            text += f" to {self.maximum:g}"
        return f"{text}, or None ({self.off})" if self.off else text

    def check(self, value: Any) -> Any:
        if value is None and self.off:
            return None
        if isinstance(value, str):
            return self.parse(value)
        accepted = int if self.whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, accepted) or not math.isfinite(value):
            raise self.refuse(value)
        if value < self.minimum or (self.maximum is not None and value > self.maximum):
            raise self.refuse(value)
        return value

    def parse(self, text: str) -> Any:
        try:
            value = int(text) if self.whole else float(text)
        except ValueError:
            raise self.refuse(text) from None
        return self.check(value)


@dataclass(frozen=True)
class Choice(Form):
    """One of a few words; where ``importable``, also ``module:attribute``."""

    values: tuple[str, ...]
    importable: bool = False

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return "|".join(self.values)

    @property
    def words(self) -> str:
        text = "one of " + ", ".join(self.values)
        return text + ", or module:attribute" if self.importable else text

    def check(self, value: Any) -> Any:
        if isinstance(value, str) and (value in self.values or (self.importable and ":" in value)):
            return value
        raise self.refuse(value)


@dataclass(frozen=True)
class Level(Form):
    """A log level by name, or, in Python, by number."""

    metavar: str = "|".join(LOG_LEVELS)

    @property
    def words(self) -> str:
        return "one of " + ", ".join(LOG_LEVELS)

    def check(self, value: Any) -> Any:
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        if isinstance(value, str) and value.lower() in LOG_LEVELS:
            return value.lower()
        if isinstance(value, str) and isinstance(logging.getLevelName(value), int):
            return logging.getLevelName(value)
        raise self.refuse(value)


@dataclass(frozen=True)
class LogConfig(Form):
    """A dictionary for ``logging.config``, or the path of a file with one."""

    metavar: str = "PATH"

    @property
    def words(self) -> str:
        return "a logging dictionary, the path of a .json, .yaml or .ini file, or None"

    def check(self, value: Any) -> Any:
        if value is None or isinstance(value, dict):
            return value
        if isinstance(value, str | os.PathLike):
            return os.fspath(value)
        raise self.refuse(value)


@dataclass(frozen=True)
class Headers(Form):
    """Response headers: (name, value) pairs of text or bytes; on the command line ``Name:Value``."""

    metavar: str = "NAME:VALUE"
    repeated = True
    option = "--header"

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


@dataclass(frozen=True)
class Names(Form):
    """Certificates by server name: (name, certificate, key or None); on the command line ``NAME=CERTIFICATE[,KEY]``."""

    metavar: str = "NAME=CERT[,KEY]"
    repeated = True

    @property
    def words(self) -> str:
        return "(name, certificate path, key path or None) triples"

    def check(self, value: Any) -> list[tuple[str, str, str | None]]:
        if value is None:
            return []
        triples: list[tuple[str, str, str | None]] = []
        try:
            for name, certificate, key in value:
                triples.append((name, os.fspath(certificate), key and os.fspath(key)))
        except (TypeError, ValueError):
            raise self.refuse(value) from None
        if not all(isinstance(name, str) and name for name, _, _ in triples):
            raise self.refuse(value)
        return triples

    def parse(self, text: str) -> tuple[str, str, str | None]:
        name, equals, paths = text.partition("=")
        certificate, _, key = paths.partition(",")
        if not name or not equals or not certificate:
            raise ValueError(f"expected {self.metavar}, got {text!r}")
        return name, certificate, key or None


@dataclass(frozen=True)
class Words(Form):
    """Some of a few words, as a list or as text with commas between them."""

    values: tuple[str, ...]

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return "LIST"

    @property
    def words(self) -> str:
        return "some of " + ", ".join(self.values)

    def check(self, value: Any) -> list[str]:
        found = value.split(",") if isinstance(value, str) else value
        try:
            found = [word.strip() for word in found if word.strip()]
        except (TypeError, AttributeError):
            raise self.refuse(value) from None
        if not set(found) <= set(self.values):
            raise self.refuse(value)
        return found


@dataclass(frozen=True)
class Hosts(Form):
    """Hosts to trust, as a list or as text with commas between them."""

    metavar: str = "LIST"
    optional: bool = True

    @property
    def words(self) -> str:
        return "addresses, networks, unix or *, with commas between them"

    def check(self, value: Any) -> list[str] | str | None:
        if value is None and self.optional:
            return None
        if not isinstance(value, str):
            try:
                value = list(value)
            except TypeError:
                raise self.refuse(value) from None
            if not all(isinstance(host, str) for host in value):
                raise self.refuse(value)
        return value  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Function(Form):
    """Something to call, or None. There is no option for it."""

    option = "-"

    @property
    def words(self) -> str:
        return "a callable or None"

    def check(self, value: Any) -> Any:
        if value is None or callable(value):
            return value
        raise self.refuse(value)


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
        if TOKEN.fullmatch(raw_name) is None:
            raise ValueError(f"header name {name!r} is not a token of RFC 9110")
        if FIELD_VALUE.fullmatch(raw_value) is None:
            raise ValueError(f"header value {value!r} has control characters")
        if raw_name in MADE_BY_SERVER:
            raise ValueError(f"header {name!r} is made by the server itself for each response")
        encoded.append((raw_name, raw_value))
    return encoded
