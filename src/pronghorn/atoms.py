"""The format of an access line: literal text and atoms, gunicorn's and a few of our own.

    %(h)s "%(r)s" %(s)s %(D)s %({x-forwarded-for}i)s

A format that begins with ``{`` makes lines of JSON: values are escaped as JSON wants it, and one that is not there is
``null`` where the format puts it in quotation marks.
"""

from __future__ import annotations

import logging
import os
import re

from pronghorn.logs import ACCESS_FORMAT

__all__ = ["FORMATS", "Segment", "compile_format", "is_json"]

COMMON = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s'
JSON = (
    '{"time": "%(time)s", "client": "%(client_addr)s", "method": "%(m)s", "path": "%(U)s", "query": "%(q)s", '
    '"protocol": "%(H)s", "status": %(s)s, "bytes": %(B)s, "duration": %(L)s, "referer": "%(f)s", '
    '"user_agent": "%(a)s", "request_id": "%(request_id)s"}'
)
FORMATS = {"default": ACCESS_FORMAT, "common": COMMON, "combined": COMMON + ' "%(f)s" "%(a)s"', "json": JSON}

# What the compiled layer fills in for each request.
COMPILED = frozenset(
    "client_addr h u t time r request_line m U q H s status_code B b T M D L request_id".split()  # noqa: SIM905
)
OPTIONAL = frozenset({"client_addr", "h", "u", "i", "o"})  # may not be there
HEADERS = {"f": b"referer", "a": b"user-agent"}
ATOM = r"%(?:(%)|\((?:\{([^{}]+)\}([ioe])|(\w+))\)s)?"

Segment = tuple[str, bytes, bool]  # name of the atom, its text or its header, whether it brings quotation marks


def is_json(text: str) -> bool:
    """Whether the lines of a format, or of the one with this name, are JSON."""
    return FORMATS.get(text, text).startswith("{")


def compile_format(text: str) -> list[Segment]:
    """The segments of a format, or of the one with this name; ValueError names what is not understood."""
    text = FORMATS.get(text, text)
    if not text or not text.replace("\t", " ").isprintable():
        raise ValueError(f"expected a line of printable text, got {text!r}")
    segments: list[Segment] = []
    at = 0
    for found in re.finditer(ATOM, text):
        add_literal(segments, text[at : found.start()])
        at = found.end()
        percent, header, kind, name = found.groups()
        if percent:
            add_literal(segments, "%")
        elif header and kind == "e":
            add_literal(segments, printable(os.environ.get(header, "-"), "\\u00" if is_json(text) else "\\x"))
        elif header:
            segments.append((kind, header.lower().encode("utf-8"), False))
        elif name in HEADERS:
            segments.append(("i", HEADERS[name], False))
        elif name in COMPILED:
            segments.append((name, b"", False))
        elif name == "l":
            add_literal(segments, "-")
        elif name == "p":
            add_literal(segments, f"<{os.getpid()}>")
        elif name == "levelprefix":
            level = logging.getLevelName(logging.INFO)
            add_literal(segments, f"{level}:{' ' * (8 - len(level))}")
        else:
            raise ValueError(f"{found[0] + text[at : at + 12]!r} is not an atom; %% is a percent sign")
    add_literal(segments, text[at:])
    return quote(segments) if is_json(text) else segments


def add_literal(segments: list[Segment], text: str) -> None:
    """Add literal text, to the last segment if that is literal as well."""
    literal = text.encode("utf-8")
    if segments and segments[-1][0] == "literal":
        literal = segments.pop()[1] + literal
    if literal:
        segments.append(("literal", literal, False))


def printable(text: str, escape: str) -> str:
    """A value from outside, which must not break the line."""
    octets = text.encode("utf-8", "surrogateescape").decode("latin-1").replace("\\", "\\\\").replace('"', '\\"')
    return "".join(c if " " <= c <= "~" else f"{escape}{ord(c):02X}" for c in octets)


def quote(segments: list[Segment]) -> list[Segment]:
    """Give the quotation marks around a value that may not be there to the value."""
    for at in range(1, len(segments) - 1):
        (_, before, _), (name, text, _), (_, after, _) = segments[at - 1 : at + 2]
        if name in OPTIONAL and before.endswith(b'"') and after.startswith(b'"'):
            segments[at - 1] = ("literal", before[:-1], False)
            segments[at] = (name, text, True)
            segments[at + 1] = ("literal", after[1:], False)
    return segments
