"""Unix sockets: making room for one, binding it, and giving it its permissions and its owner."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys

from pronghorn.errors import StartupError

if sys.platform != "win32":
    import grp
    import pwd

__all__ = ["FAMILY", "bind", "name"]

FAMILY = getattr(socket, "AF_UNIX", None)
MODE = 0o666  # who may connect is decided by the directory, as with uvicorn


def bind(path: str, mode: int | None = None, owner: str | None = None) -> socket.socket:
    """A bound socket; without ``mode`` with the permissions of the one it replaces, or those that let everybody in.

    They are set before it listens: until then nobody gets in, whatever the umask made of it.
    """
    if FAMILY is None:
        raise StartupError("cannot listen on a unix socket: this system has none")
    abstract = path.startswith("@")
    former = None if abstract else remove_stale(path)
    sock = socket.socket(FAMILY, socket.SOCK_STREAM)
    try:
        sock.bind("\0" + path[1:] if abstract else path)
    except OSError as error:
        sock.close()
        raise refusal(path, why(error)) from None
    if abstract:
        return sock
    try:
        if owner is not None:
            os.chown(path, *numbers(owner))
        os.chmod(path, next(wanted for wanted in (mode, former, MODE) if wanted is not None))
    except (OSError, LookupError, OverflowError) as error:
        sock.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        raise refusal(path, f"owner {owner}: {why(error)}" if owner else why(error)) from None
    return sock


def name(sock: socket.socket) -> str | None:
    """The path of a unix socket, ``@name`` of an abstract one; None when it has neither."""
    bound = sock.getsockname()
    if isinstance(bound, bytes):
        return "@" + os.fsdecode(bound[1:]) if bound else None
    return bound or None


def numbers(owner: str) -> tuple[int, int]:
    """The user's and the group's number, -1 for what is not named; LookupError when there is no such."""
    user, _, group = owner.partition(":")
    return number(user, "user"), number(group, "group")


def number(text: str, kind: str) -> int:
    if not text:
        return -1
    if text.isascii() and text.isdigit():
        return int(text)
    if sys.platform == "win32":
        raise LookupError("files have no owner here")
    try:
        return pwd.getpwnam(text).pw_uid if kind == "user" else grp.getgrnam(text).gr_gid
    except KeyError:
        raise LookupError(f"no such {kind}: {text}") from None


def remove_stale(path: str) -> int | None:
    """Make room for a unix socket; the permissions of the one that was there.

    A socket nobody listens on is left over from a server that was killed. A live one, or any other kind of file,
    is never touched.
    """
    try:
        found = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISSOCK(found.st_mode):
        raise refusal(path, "a file of another kind is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a live server whose backlog is full must not hold up, nor pass for dead
        answer = probe.connect_ex(path)
    if answer != errno.ECONNREFUSED:
        raise refusal(path, describe(answer))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return stat.S_IMODE(found.st_mode)


def describe(code: int) -> str:
    return "another server is listening on it" if code in (0, errno.EAGAIN) else os.strerror(code).lower()


def refusal(path: str, reason: str) -> StartupError:
    return StartupError(f"cannot listen on unix socket {path}: {reason}")


def why(error: Exception) -> str:
    return ((error.strerror if isinstance(error, OSError) else None) or str(error)).lower()
