"""What goes on beside the serving, in the same process: from the start of a server to its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pronghorn.admin import Admin
from pronghorn.deadline import Deadline
from pronghorn.notify import Manager
from pronghorn.pidfile import PidFile
from pronghorn.stall import StallLog
from pronghorn.standing import Standing, follow
from pronghorn.terminal import Terminal
from pronghorn.tls import Renewal

if TYPE_CHECKING:
    from pronghorn.server import Server

__all__ = ["Companions"]

LOOK = 1.0  # seconds between two looks at the terminal


class Companions:
    """Those of one server. Each call is a point in its life; any of them may be left out, or come twice."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.renewal: Renewal | None = None
        self.stall_log: StallLog | None = None
        self.manager = Manager()
        self.pid_file = PidFile(None)
        self.answers = True  # /livez and /readyz; in a worker, somebody else does
        self.admin: Admin | None = None
        self.heart: asyncio.TimerHandle | None = None
        self.terminal: Terminal | None = None
        self.deadline: Deadline | None = None
        self.view: asyncio.TimerHandle | None = None
        self.standing = Standing.STARTING

    def listening(self) -> None:
        """Signals stop the server from now on."""
        if self.deadline is not None:
            self.deadline.listen()

    async def bound(self) -> None:
        """The addresses are the server's; StartupError when there cannot be what should be beside it."""
        self.pid_file.write()
        if self.server.config.admin and self.answers:
            self.admin = Admin(self.server.config, lambda: (True, self.standing.unready))
            await self.admin.serve()

    def started(self) -> None:
        """The server serves."""
        config, connections = self.server.config, self.server.connections
        if config.certificates is not None:
            self.renewal = Renewal(config.certificates, config.ssl_reload_interval)
        if config.loop_stall_log and connections is not None:
            self.stall_log = StallLog(connections, config.loop_stall_log)
        self._change(Standing.READY)
        self._beat()
        self._look()

    def leaving(self) -> None:
        """The server will stop; nobody should send anything new."""
        self._change(Standing.STOPPING)

    def stopping(self) -> None:
        """The server stops."""
        if self.renewal is not None:
            self.renewal.stop()
            self.renewal = None
        if self.deadline is not None:
            self.deadline.stopping()
        self._change(Standing.STOPPING)

    def served(self) -> None:
        """No connection is there any more."""
        if self.deadline is not None:
            self.deadline.served()

    async def stopped(self) -> None:
        """Nothing is served any more, and the application has been told."""
        if self.deadline is not None:
            self.deadline.stopped()
        if self.admin is not None:
            admin, self.admin = self.admin, None
            await admin.close()
        if self.stall_log is not None:
            self.stall_log.stop()
            self.stall_log = None
        if self.heart is not None:
            self.heart.cancel()
            self.heart = None
        if self.view is not None:
            self.view.cancel()
            self.view = None

    def renew_certificates(self) -> None:
        if self.renewal is not None:
            self.renewal.renew()

    def _change(self, standing: Standing) -> None:
        before, self.standing = self.standing, standing
        follow(self.manager, before, standing, "Serving")

    def _beat(self) -> None:
        """From inside the loop: a watchdog is not to hear of life when that is blocked."""
        if self.manager.interval:
            self.manager.alive()
            self.heart = asyncio.get_running_loop().call_later(self.manager.interval / 2, self._beat)

    def _look(self) -> None:
        if self.terminal is not None and self.terminal.there:
            self.terminal.look()
            self.view = asyncio.get_running_loop().call_later(LOOK, self._look)
