"""For development: another worker as soon as a file has changed, whatever the old one is still at."""

from __future__ import annotations

import fnmatch
import json
import os
import select
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from pronghorn.config import Config
from pronghorn.estate import Estate
from pronghorn.forking import fork
from pronghorn.loggers import server_log
from pronghorn.supervisor import Supervisor
from pronghorn.worker import Child, State

__all__ = ["Reloader", "Watch"]

INCLUDED = ["*.py"]
EXCLUDED = [".*", ".py[cod]", ".sw.*", "~*"]
LEAVE_AFTER = 0.5  # seconds for the old worker; its streams and WebSockets do not hold up the new one
SKIPPED = {"__pycache__", "node_modules", ".git", ".hg", ".svn", ".tox", ".venv", "venv", ".mypy_cache", ".ruff_cache"}


class Watch:
    """Looks at directories in a process of its own, which tells what has changed there: workers are forked from the
    supervisor, which therefore must not have threads.

    With watchfiles installed the system tells; without, the times of all files are compared every ``delay`` seconds.
    """

    def __init__(self, folders: Iterable[str], includes: list[str], excludes: list[str], delay: float) -> None:
        self.folders = [Path(folder).resolve() for folder in folders]
        self.includes = [*INCLUDED, *includes]
        self.excludes = [one for one in EXCLUDED if one not in includes] + excludes
        self.delay = delay
        self.out, self.into = socket.socketpair()
        self.heard = b""
        self.over = False  # nobody looks any more
        self.pid = 0
        self.owner = os.getpid()
        self.before: dict[Path, int] = {}

    def start(self) -> None:
        """Before there is a worker. The process ends with ours."""
        self.before = dict(self._times())  # what changes before the system begins to tell is a change, too
        self.pid = fork()
        if self.pid:
            self.into.close()
            self.out.setblocking(False)
            return
        try:
            self.out.close()
            self._run()
        finally:
            os._exit(0)

    def fileno(self) -> int:
        return self.out.fileno()

    def close(self) -> None:
        """End it; in a worker, only let go of it."""
        self.out.close()
        if self.pid and self.owner == os.getpid():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def taken(self) -> set[Path]:
        """The files that have changed since the last time."""
        if self.over:
            return set()
        try:
            said = self.out.recv(65536)
        except BlockingIOError:
            return set()
        self.over = not said
        self.heard += said
        *lines, self.heard = self.heard.split(b"\n")
        return {Path(path) for line in lines for path in json.loads(line)}

    def wants(self, path: Path) -> bool:
        """Whether a change of this file counts."""
        folder = next((folder for folder in self.folders if path.is_relative_to(folder)), None)
        if any(part in SKIPPED for part in path.relative_to(folder or path.root).parts):
            return False
        if path.name in self.includes:  # .env, say, which .* excludes
            return True
        if any(matches(path, pattern) for pattern in self.excludes):
            return False
        return any(matches(path, pattern) for pattern in self.includes)

    def _run(self) -> None:
        for some in self._changes():
            wanted = sorted(str(path) for path in some if self.wants(path))
            if wanted:
                self.into.sendall(json.dumps(wanted).encode() + b"\n")

    def _changes(self) -> Iterator[set[Path]]:
        try:
            from watchfiles import watch
        except ImportError:
            yield from self._compare()
            return
        step = max(int(self.delay * 1000), 1)
        try:
            turns = watch(
                *self.folders, debounce=step, step=min(step, 50), watch_filter=None, raise_interrupt=False,
                rust_timeout=200, yield_on_timeout=True,
            )  # fmt: skip
            for number, found in enumerate(turns):
                if self._alone(0):
                    return
                yield {Path(path) for _, path in found} | (self._differing() if number == 0 else set())
        except (OSError, RuntimeError) as error:  # the system allows each user so many directories
            server_log().warning("The system does not tell of changes (%s): the files are looked at.", error)
            yield from self._compare()

    def _alone(self, wait: float) -> bool:
        """Whether the supervisor has gone: it never writes to us."""
        return bool(select.select([self.into], [], [], wait)[0])

    def _compare(self) -> Iterator[set[Path]]:
        while not self._alone(self.delay):
            yield self._differing()

    def _differing(self) -> set[Path]:
        before, self.before = self.before, dict(self._times())
        return {path for path in self.before.keys() | before.keys() if self.before.get(path) != before.get(path)}

    def _times(self) -> Iterator[tuple[Path, int]]:
        for folder in self.folders:
            for place, folders, files in os.walk(folder):
                folders[:] = [one for one in folders if one not in SKIPPED and not one.startswith(".")]
                for name in files:
                    path = Path(place, name)
                    try:
                        yield path, path.stat().st_mtime_ns
                    except OSError:
                        continue


def matches(path: Path, pattern: str) -> bool:
    """Whether a pattern means this file: by the end of its path, as a path, or because it is below such a directory."""
    if (pattern.strip(".") and path.match(pattern)) or fnmatch.fnmatch(str(path), pattern):
        return True
    folder = Path(pattern)
    return folder.is_dir() and path.is_relative_to(folder.resolve())


class Reloader(Supervisor):
    """A supervisor of one worker, which is replaced when a file has changed."""

    def __init__(self, config: Config, estate: Estate | None = None) -> None:
        super().__init__(config, estate=estate)
        self.wanted = 1
        if config.processes > 1:
            server_log().warning("workers: %s is not used, as --reload has one worker", config.workers)
        self.watch = Watch(
            config.reload_dirs or [os.getcwd()],
            config.reload_includes,
            config.reload_excludes,
            config.reload_delay,
        )
        self.own = [self.watch]
        self.imported: set[str] | None = None  # None: nobody knows, every change counts

    def begin(self) -> None:
        names = ", ".join(repr(str(folder)) for folder in self.watch.folders)
        server_log().info("Will watch for changes in these directories: [%s]", names)
        self.watch.start()

    def more(self) -> None:
        changed = {path for path in self.watch.taken() if self.counts(path)}
        if self.watch.over and self.watch in self.own:
            self.own.remove(self.watch)
            self.selector.unregister(self.watch)
            self.watch.close()
            server_log().error("The process that watches the files has ended: changes are not noticed any more.")
        if changed and not self.stopping:
            names = ", ".join(f"'{shorten(path)}'" for path in sorted(changed))
            server_log().warning("Reloader detected changes in %s. Reloading...", names)
            self.restart()

    def upgrade(self) -> None:
        self.succession.refuse("that is for production, and not for --reload")

    def change_number(self, by: int) -> None:
        if self.resting:
            super().change_number(by)
            return
        server_log().warning("Not %s workers: --reload has one", "more" if by > 0 else "fewer")

    def counts(self, path: Path) -> bool:
        """Modules count once they are imported, other files always; while nothing runs, anything may help."""
        return self.imported is None or path.suffix != ".py" or str(path) in self.imported

    def restart(self) -> None:
        """The new one starts at once, on the same sockets; the old one leaves, whoever is connected to it."""
        for child in self.children:
            if child.state is not State.STOPPING:
                self.stop_one(child, signal.SIGTERM)
                child.kill_at = time.monotonic() + LEAVE_AFTER + 1
                child.hurry_at = time.monotonic() + LEAVE_AFTER
        self.imported = None
        self.backoff.succeeded()

    def hear(self, child: Child, line: str) -> None:
        if line.startswith("modules "):
            self.imported = set(json.loads(line.removeprefix("modules ")))
        super().hear(child, line)

    def start_failed(self, child: Child) -> None:
        """Nothing to be done before the next change."""
        server_log().error("The application did not start; waiting for a change of its files.")
        self.imported = None
        self.backoff.give_up()


def shorten(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
