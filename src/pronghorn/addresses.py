"""Where to listen, as text: ``--bind``, and the permissions and the owner of a unix socket."""

from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple

from pronghorn.forms import Form, Number, Text, shown

__all__ = ["DEFAULT_PORT", "Bind", "Descriptor", "Mode", "Owner", "Tcp", "Unix", "parse", "written"]

FORMS = "host:port, [IPv6]:port, :port, unix:PATH or fd://N"
DEFAULT_PORT = 8000
PORT = Number("PORT", "a port", 0, 65535)
DESCRIPTOR = Number("FD", "a file descriptor")


class Tcp(NamedTuple):
    """Every address that ``host`` stands for; None, and an empty one, is every address of the machine."""

    host: str | None
    port: int


class Unix(NamedTuple):
    """A unix socket: a path, or ``@name`` in Linux's abstract namespace."""

    path: str


class Descriptor(NamedTuple):
    """A socket that is open already."""

    fd: int


def parse(text: str) -> Tcp | Unix | Descriptor:
    """The place that a ``--bind`` names; ValueError for what names none."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        path = path.removeprefix("//") if path.startswith("///") else path
        if path in ("", "@") or "\0" in path:
            raise ValueError("expected a path after unix:")
        if path.startswith("@") and sys.platform != "linux":
            raise ValueError(f"{path}: abstract unix sockets are Linux's")
        return Unix(path)
    if text.startswith("fd://"):
        return Descriptor(DESCRIPTOR.parse(text.removeprefix("fd://")))
    if text.isdigit():
        raise ValueError(f"{text} may be a host or a port; write :{text} for the port on every address")
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host = text
    if not text or "/" in host or "\0" in host:
        raise ValueError(f"expected {FORMS}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"an IPv6 address goes in brackets, as in [::1]:{DEFAULT_PORT}")
    if "[" in host or "]" in host:
        raise ValueError(f"expected {FORMS}")
    return Tcp("" if host == "*" else host, PORT.parse(port) if colon else DEFAULT_PORT)


def written(place: Tcp | Unix | Descriptor) -> str:
    """The place as ``parse()`` takes it, always the same for the same one; a relative path becomes an absolute one."""
    match place:
        case Tcp(host, port):
            return f"[{host}]:{port}" if host and ":" in host else f"{host or ''}:{port}"
        case Unix(path):
            return f"unix:{path if path.startswith('@') else os.path.abspath(path)}"
        case Descriptor(fd):
            return f"fd://{fd}"


class Bind(Form):
    """What ``parse()`` understands."""

    metavar: str = "ADDRESS"
    optional: bool = False
    words = FORMS

    def check(self, value: Any) -> Any:
        if value is None and self.optional:
            return None
        if not isinstance(value, str):
            raise self.refuse(value)
        try:
            parse(value)
        except ValueError as error:
            raise ValueError(f"{shown(value)}: {error}") from None
        return value


class Mode(Form):
    """Permissions of a file: octal digits as text, a plain number in Python."""

    metavar: str = "OCTAL"
    words = "permissions in octal, as 660"

    def check(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.parse(value)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777):
            return value
        raise self.refuse(value)

    def parse(self, text: str) -> Any:
        digits = text.removeprefix("0o")
        if not digits or len(digits) > 4 or set(digits) - set("01234567") or int(digits, 8) > 0o777:
            raise self.refuse(text)
        return int(digits, 8)

    def plain(self, value: Any) -> Any:
        return value if value is None else f"{value:03o}"


class Owner(Text):
    """A user, a group, or both, each by name or number."""

    metavar: str = "USER[:GROUP]"
    optional: bool = True
    words = "USER, USER:GROUP or :GROUP"

    def check(self, value: Any) -> Any:
        if value in ("", ":") or (isinstance(value, str) and value.count(":") > 1):
            raise self.refuse(value)
        return super().check(value)
