"""uvicorn.supervisors.basereload: for programs that do by themselves what ``uvicorn.run(reload=True)`` does."""

import os
import select
import signal
import socket
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from pronghorn.config import Config
from pronghorn.loggers import server_log
from pronghorn.reloader import LEAVE_AFTER, Watch, shorten
from pronghorn.signals import Inbox

from .._subprocess import get_subprocess

__all__ = ["BaseReload", "ChangeReload"]

FORCED_LIMIT = 10.0  # seconds for a server that was told twice


class BaseReload:
    """Calls ``target(sockets=...)`` in a process, and in another one when a file has changed, until a signal comes."""

    def __init__(self, config: Config, target: Callable[..., Any], sockets: Sequence[socket.socket]) -> None:
        self.config = config
        self.target = target
        self.sockets = sockets
        self.process: SpawnProcess | None = None

    def run(self) -> None:
        """Return when a signal has ended it."""
        config, inbox = self.config, Inbox()
        watch = Watch(
            config.reload_dirs or [os.getcwd()], config.reload_includes, config.reload_excludes, config.reload_delay
        )
        names = ", ".join(repr(str(folder)) for folder in watch.folders)
        server_log().info("Will watch for changes in these directories: [%s]", names)
        watch.start()
        try:
            with inbox.listening([signal.SIGINT, signal.SIGTERM]):
                server_log().info("Started reloader process [%d]", os.getpid())
                self.startup()
                while not inbox.taken():
                    sources: list[Inbox | Watch] = [inbox] if watch.over else [inbox, watch]
                    select.select(sources, [], [])
                    if changed := watch.taken():
                        self.restart(changed)
                self.shutdown()
        finally:
            watch.close()
            inbox.close()
            for sock in self.sockets:
                sock.close()
        server_log().info("Stopping reloader process [%d]", os.getpid())

    def startup(self) -> None:
        """Start the process."""
        self.process = get_subprocess(self.config, self.target, self.sockets)
        self.process.start()

    def restart(self, changed: Iterable[Path] = ()) -> None:
        """Start another one instead, on the same sockets."""
        names = ", ".join(f"'{shorten(path)}'" for path in sorted(changed))
        server_log().warning("Reloader detected changes in %s. Reloading...", names)
        self.end(LEAVE_AFTER)
        self.startup()

    def shutdown(self) -> None:
        """Stop it, within the limit of the settings."""
        self.end(self.config.timeout_graceful_shutdown)

    def end(self, patience: float | None) -> None:
        """Stop the process gracefully, then at once, then by force."""
        process = self.process
        if process is None or process.pid is None:
            return
        process.terminate()
        process.join(patience)
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGINT)  # after the other signal it counts as the second
            process.join(FORCED_LIMIT)
        if process.exitcode is None:
            process.kill()
            process.join()


class ChangeReload(BaseReload):
    """As uvicorn's: with watchfiles where it is installed, and by looking at the files otherwise."""
