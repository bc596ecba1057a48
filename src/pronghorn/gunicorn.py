"""A worker class for gunicorn: `gunicorn -k pronghorn.gunicorn.Worker main:app`.

gunicorn's arbiter binds the sockets, starts the workers and replaces them; each runs a `Server` on these sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import signal
import sys
import traceback
import weakref
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.workers import base

from pronghorn import gunicornlogs
from pronghorn.board import Board
from pronghorn.config import Config
from pronghorn.errors import ConfigError
from pronghorn.gunicornsettings import settings_from, their_name, without_meaning
from pronghorn.loggers import server_log
from pronghorn.server import Server
from pronghorn.settings import table
from pronghorn.types import Receive, Scope, Send

__all__ = ["Worker"]

BEAT = 1.0  # seconds between two signs of life, or less where gunicorn's timeout is short
HURRY = 0.5  # seconds for what is under way when a file has changed


class Worker(base.Worker):  # type: ignore[misc]
    """A process of gunicorn's. A subclass may set ``CONFIG_KWARGS``: settings of `Config` that win over gunicorn's."""

    CONFIG_KWARGS: dict[str, Any] = {}
    board: Board | None = None  # of the arbiter, and of all its workers

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """In the arbiter, before the fork."""
        super().__init__(*args, **kwargs)
        self.server: WorkerServer | None = None
        self.status = 0
        if Worker.board is None:
            Worker.board = Board()
        with contextlib.suppress(StopIteration):  # so many that they have to do without
            slot = Worker.board.take()
            self.share = (Worker.board.page, slot)
            weakref.finalize(self, Worker.board.free, slot).atexit = False

    share: tuple[object, int] | tuple[()] = ()

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """What gunicorn asks when it starts and when it reloads; RuntimeError, which it shows as one line."""
        gunicornlogs.attach(log)
        if names := without_meaning(cfg):
            log.warning("Settings without a meaning for %s, not used: %s", cls.__name__, ", ".join(names))
        try:
            cls.configure(None, cfg, log, sys.maxsize)
        except ConfigError as error:
            raise RuntimeError(str(error)) from None

    @classmethod
    def configure(cls, app: Any, cfg: Any, log: Any, max_requests: int) -> Config:
        """gunicorn's settings, and ``CONFIG_KWARGS``; ConfigError has one line that names the setting."""
        known = {setting.name for setting in table()}
        if unknown := sorted(set(cls.CONFIG_KWARGS) - known):
            raise ConfigError(f"CONFIG_KWARGS: there is no setting {unknown[0]!r}")
        settings = settings_from(cfg, max_requests) | gunicornlogs.access_settings(cfg, log)
        try:
            return Config(app, **settings | cls.CONFIG_KWARGS)
        except ConfigError as error:
            raise ConfigError(their_name(str(error))) from None

    def load_wsgi(self) -> None:
        """Load the application; with reload, one with a syntax error in it is one that shows the error."""
        gunicornlogs.attach(self.log)
        try:
            self.wsgi = self.app.wsgi()
        except SyntaxError as error:
            if not self.cfg.reload:
                raise
            self.log.exception(error)
            if self.reloader is not None and error.filename is not None:
                self.reloader.add_extra_file(error.filename)
            self.wsgi = Broken("".join(traceback.format_exception(error)))

    def run(self) -> None:
        """Serve until told to stop. The exit status of a start that failed keeps gunicorn from trying again."""
        try:
            config = self.configure(self.wsgi, self.cfg, self.log, self.max_requests)
            config.load_certificates()
        except ConfigError as error:
            self.log.error("%s", their_name(str(error)))
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
        self.server = WorkerServer(config, self)
        if self.alive:
            self.server.run([one.sock for one in self.sockets])
        if self.server.failure is not None:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
        sys.exit(self.status)

    # Signals: the methods that gunicorn makes their handlers.

    def init_signals(self) -> None:
        """As of any worker, but the pipe is left to the reloader: the event loop is told of signals by itself."""
        super().init_signals()
        signal.set_wakeup_fd(-1)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: stop gracefully."""
        self.alive = False
        if self.server is not None:
            self.server.handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """SIGINT and SIGQUIT: stop at once, which leaves the application the time to end what it has begun."""
        if self.server is None:
            super().handle_quit(sig, frame)
            return
        self.alive = False
        if not self.server.force_exit:  # a Ctrl-C comes from the terminal and from the arbiter
            self._call("worker_int")
        self.server.handle_exit(sig, frame)
        self.server.force_exit = True

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """SIGABRT: the arbiter has not seen a sign of life for `timeout`. Show where that was, and end."""
        self.alive = False
        self.status = 1
        with contextlib.suppress(Exception):
            faulthandler.dump_traceback(sys.stderr)
        self._call("worker_abort")
        if self.server is not None:
            self.server.should_exit = self.server.force_exit = True
        sys.exit(self.status)  # ends the call that blocks; the server itself outlives it, and stops

    def handle_usr1(self, sig: int, frame: FrameType | None) -> None:
        """SIGUSR1: open the files of the logs again."""
        super().handle_usr1(sig, frame)
        if self.server is not None:
            self.server.reopen_logs()

    def _call(self, hook: str) -> None:
        """Call one of gunicorn's hooks from a signal handler, out of which nothing may come."""
        try:
            getattr(self.cfg, hook)(self)
        except Exception:
            self.log.exception("Exception in %s hook", hook)


class WorkerServer(Server):
    """A server whose listening sockets, logs and signals are gunicorn's."""

    exits_on_failure = False

    def __init__(self, config: Config, worker: Worker) -> None:
        super().__init__(config)
        self.worker = worker
        if not worker.cfg.reuse_port:  # else each has a queue of its own, and nobody can take over
            self._share = worker.share

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They are the worker's."""
        yield

    async def startup(self, sockets: Sequence[Any] | None = None) -> None:
        """As of any server; from then on the arbiter is shown that the event loop turns."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self.worker.PIPE[0], self._file_changed)
        await super().startup(sockets)
        if self.started:
            self._show_life()

    def _announce(self) -> None:
        """The arbiter has."""

    def _access(self) -> Any:
        if self.config.access_log:
            return super()._access()
        return gunicornlogs.reports(self.worker)

    def _show_life(self) -> None:
        worker = self.worker
        worker.notify()
        if worker.share and Worker.board is not None:
            Worker.board.show_life(worker.share[1])
        if worker.ppid != os.getppid() and not self.should_exit:
            server_log().error("The parent process has gone: worker [%d] stops", os.getpid())
            self.should_exit = True
        asyncio.get_running_loop().call_later(min(BEAT, worker.timeout / 2 or BEAT), self._show_life)

    def _file_changed(self) -> None:
        """gunicorn's reloader writes to the pipe. It is development: streams must not hold the next start up."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.worker.PIPE[0])
        self.should_exit = True
        loop.call_later(HURRY, self._hurry)

    def _hurry(self) -> None:
        self.force_exit = True


class Broken:
    """Stands in for an application that cannot be compiled."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer every request with the error."""
        if scope["type"] == "http":
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 500, "headers": headers})
            await send({"type": "http.response.body", "body": self.text})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
