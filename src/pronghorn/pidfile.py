"""A file that names the process of the server, for scripts that send it signals."""

from __future__ import annotations

import contextlib
import os
import sys

from pronghorn.errors import StartupError

__all__ = ["PidFile"]


class PidFile:
    """Written once the addresses are bound, removed at the end; without a path nothing is done."""

    def __init__(self, path: str | None) -> None:
        self.path = os.path.join("" if os.path.isabs(path) else os.getcwd(), path) if path else None
        self.owner = 0  # the process that has written it

    def write(self, take: bool = False) -> None:
        """Put our process id there; a file that names no living process is replaced, with ``take`` any file is: the
        other server has given way, or gone."""
        if self.path is None or (self.owner and not take):
            return
        pid = os.getpid()
        whole = f"{self.path}.{pid}"  # so that nobody reads half of it
        try:
            with open(whole, "w") as file:
                file.write(f"{pid}\n")
            try:
                os.link(whole, self.path)
            except FileExistsError:
                if not take:
                    self._refuse_living()
                os.replace(whole, self.path)
            self.owner = pid
        except OSError as error:
            raise StartupError(f"cannot write the pid file {self.path}: {error.strerror or error}") from None
        finally:
            with contextlib.suppress(OSError):
                os.unlink(whole)

    def remove(self) -> None:
        """Remove it, if it is still ours."""
        if self.path is None or self.owner != os.getpid():
            return
        self.owner = 0
        with contextlib.suppress(OSError):
            if read(self.path) == os.getpid():
                os.unlink(self.path)

    def _refuse_living(self) -> None:
        assert self.path is not None
        other = read(self.path)
        if other in (0, os.getpid()) or sys.platform == "win32":  # where os.kill() would end it
            return
        try:
            os.kill(other, 0)
        except ProcessLookupError:
            return
        except OSError:
            pass  # somebody else's, but alive
        raise StartupError(f"cannot write the pid file {self.path}: process {other}, which it names, is running")


def read(path: str) -> int:
    """The process id in a file, 0 when there is none."""
    with open(path, "rb") as file:
        text = file.read(32).strip()
    return int(text) if text.isdigit() and len(text) < 10 else 0
