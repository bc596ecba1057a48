"""What a supervisor leaves to the one that takes its place: its sockets, and the line between the two.

It is described in a variable of the environment, as a service manager describes what it hands over, but with the place
that each socket was asked for at: what is asked for now is matched with that.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, MutableMapping
from typing import Any

from pronghorn.errors import ConfigError
from pronghorn.forking import inherited
from pronghorn.listeners import Listener, leave

__all__ = ["VARIABLE", "Estate", "described"]

VARIABLE = "PRONGHORN_ESTATE"


def described(bound: Iterable[Listener], line: socket.socket, pid: int) -> str:
    """For the process ``pid``, which inherits the descriptors of these."""
    import json  # which not every server needs

    return json.dumps({
        "pid": pid,
        "line": line.fileno(),
        "sockets": [
            {
                "fd": listener.socket.fileno(), "name": listener.name,
                "written": listener.written, "asked": listener.asked,
                "path": listener.path and os.path.abspath(listener.path), "inode": listener.inode,
                "own": listener.own,
            }
            for listener in bound
        ],
    })  # fmt: skip


class Piece:
    """A socket. It, and its path if it has one, belong to the other supervisor until that has given way."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.listener = Listener(inherited(said["fd"]), said["name"])
        self.listener.written, self.listener.asked = said["written"], said["asked"]
        self.path: str | None = said["path"]
        self.inode: int | None = said["inode"]
        self.own: bool = said["own"]
        self.claimed = False

    def settle(self) -> None:
        self.listener.path, self.listener.inode, self.listener.own = self.path, self.inode, self.own
        if not self.claimed:
            leave([self.listener])


class Estate:
    """As the one sees it that takes it over."""

    def __init__(self, line: socket.socket, pieces: list[Piece]) -> None:
        self.line = line
        self.pieces = pieces

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Estate | None:
        """What the environment tells of, if it tells this process. Neither that nor the sockets reach a child."""
        text = environ.pop(VARIABLE, None)
        if text is None:
            return None
        import json

        try:
            said = json.loads(text)
            if said["pid"] != os.getpid():
                return None
            return cls(inherited(said["line"]), [Piece(one) for one in said["sockets"]])
        except (ValueError, TypeError, LookupError, OSError) as error:
            raise ConfigError(f"{VARIABLE}: what another server has left cannot be taken over: {error!r}") from None

    def claim(self, written: str) -> list[Listener]:
        """What was bound for this place, or, where it was asked for several times, the first of it that is left."""
        left = [piece for piece in self.pieces if not piece.claimed and piece.listener.written == written]
        found = [piece for piece in left if piece.listener.asked == left[0].listener.asked]
        for piece in found:
            piece.claimed = True
        return [piece.listener for piece in found]

    def claim_address(self, family: int, place: tuple[object, ...]) -> Listener | None:
        """What is bound to this address, whatever it was called when it was asked for."""
        for piece in self.pieces:
            sock = piece.listener.socket
            if not piece.claimed and sock.family == family and sock.getsockname()[:2] == place[:2]:
                piece.claimed = True
                return piece.listener
        return None

    def close(self) -> None:
        """Let go of what nobody has asked for; in a worker, too."""
        self.line.close()
        for piece in self.pieces:
            if not piece.claimed:
                piece.listener.socket.close()

    def settle(self) -> None:
        """The other one has given way: the paths are ours, and what nobody has asked for is closed."""
        for piece in self.pieces:
            piece.settle()
