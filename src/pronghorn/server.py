"""One server in one event loop: start, serve, stop."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from pronghorn import banner, eventloop, listeners, loading, loggers, logs, stopping
from pronghorn._core.edge import Connections
from pronghorn._core.sockets import Sockets, usable
from pronghorn.accepting import Accepting
from pronghorn.accesslog import AccessLog, open_access_log
from pronghorn.companions import Companions
from pronghorn.config import Config
from pronghorn.errors import StartupError
from pronghorn.exits import HANDLED_SIGNALS, Exits
from pronghorn.lifespan import Lifespan
from pronghorn.listeners import Listener
from pronghorn.loggers import server_log
from pronghorn.logstream import nonblocking
from pronghorn.signals import widen_stack
from pronghorn.state import ServerState
from pronghorn.waiting import first

__all__ = ["HANDLED_SIGNALS", "Server"]

TICK = 0.1  # seconds between two calls of on_tick(), where somebody has a use for it
DAY = 864_000  # ticks until their number begins again


class Server(Exits):
    """Serves the application of a `Config`.

    ``run()`` makes its own event loop, ``await serve()`` uses the running one, and ``async with Server(config)``
    serves while its block runs. Only the first two listen to signals.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.started = False
        self.servers: list[Accepting] = []
        self.connections: Connections | None = None
        self.requests_before = 0  # responses completed on connections that are gone
        self.server_state = ServerState(self)
        self.limit_max_requests = config.requests_to_serve()
        self.last_notified = 0.0
        self._share: tuple[object, int] | tuple[()] = ()  # the memory of several processes, and our place in it
        self.when_finished: Callable[[], None] | None = None
        self._announced = False
        self._capturing: contextlib.ExitStack | None = None
        self._listeners: list[Listener] = []
        self.companions = Companions(self)
        self._access_log: AccessLog | None = None
        self._streams = contextlib.ExitStack()  # puts those of the log's handlers back
        self._begin()

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to make the same server: its settings, and what a subclass has added."""
        base = vars(Server(self.config))
        return {name: value for name, value in vars(self).items() if name == "config" or name not in base}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Server.__init__(self, state["config"])
        vars(self).update(state)

    @property
    def port(self) -> int | None:
        """The TCP port it listens on, also when port 0 was asked for; None before start-up and on a unix socket."""
        return next((listener.port for listener in self._listeners if listener.port), None)

    def run(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Serve in an event loop of its own until stopped. A signal that stopped it counts as dealt with."""
        self._run(lambda: self.serve(sockets))
        self._leave()

    def check(self) -> bool:
        """Load the application as ``run()`` would, and no more; whether that went well."""
        self._run(lambda: self._start(None, serving=False))
        return self.failure is None and self.config.loaded

    async def serve(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Serve in the running event loop until stopped.

        A start-up that fails is logged and leaves ``started`` False and the reason in ``failure``. A signal that
        stopped the server is raised again for whoever else waits for it, as uvicorn does.
        """
        capturing = self._capturing
        with capturing or self.capture_signals():
            await self._serve(sockets)
        if capturing is None:
            self._leave()

    async def __aenter__(self) -> Server:
        await self._start(None)
        if self.failure is not None:
            await self._end()
            raise self.failure
        return self

    async def __aexit__(self, *_: object) -> None:
        self.should_exit = True
        await self._end()

    async def _end(self) -> None:
        await self.shutdown()
        self._streams.close()

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Bind, start the application, then listen. What keeps it from starting is logged and in ``failure``."""
        self._loop = asyncio.get_running_loop()
        with self._failing():
            self._load()
            if self._should_exit:
                return
            self._streams.enter_context(nonblocking(loggers.every()))
            self._listeners = listeners.adopt(sockets) if sockets else listeners.bind(self.config)
            await self.companions.bound()
            server_log().info("Started server process [%d]", os.getpid())
            self._announced = True
            await self.lifespan.startup(self._stop)
            if self._stop.is_set():
                return
            await self._listen()
            self.started = True
            self.companions.started()
            self._announce()

    def _announce(self) -> None:
        banner.show(self.config, self._listeners)

    async def main_loop(self) -> None:
        """Wait until the server shall stop; tick meanwhile if ``on_tick`` was replaced or there is a notification."""
        if self.config.callback_notify is None and getattr(self.on_tick, "__func__", None) is plain_tick:
            await self._stop.wait()
            return
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % DAY
            await asyncio.sleep(TICK)

    async def on_tick(self, counter: int) -> bool:
        """What is done with every tick; True stops the server."""
        notify, interval, now = self.config.callback_notify, self.config.timeout_notify, time.time()
        if notify is not None and interval and not 0 <= now - self.last_notified < interval:
            self.last_notified = now
            await notify()
        return self.should_exit

    async def shutdown(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Stop gracefully; nothing is left open or running when it returns, also when another call has begun it."""
        async with self._ending:
            await self._shut_down(sockets)

    async def _shut_down(self, sockets: Sequence[socket.socket] | None) -> None:
        self.companions.stopping()
        if self.servers:
            server_log().info("Shutting down")
            await stopping.empty_backlog(self._listeners, self._force, self.servers)
        for server in self.servers:
            server.close()
        for listener in self._listeners:
            listener.close()
        for sock in sockets or ():
            sock.close()
        self.servers, self._listeners = [], []
        try:
            if self.connections is not None:
                await stopping.close_connections(
                    self.connections,
                    self.config.timeout_graceful_shutdown,
                    self._force,
                    prompt=signal.SIGINT in self._captured_signals,
                )
                self.requests_before += self.connections.total_requests
                self.connections = None
        finally:
            if self._access_log is not None:
                access_log, self._access_log = self._access_log, None
                await access_log.close()
        self.companions.served()
        try:
            await self.lifespan.shutdown(self._force)
        finally:
            await self.companions.stopped()

    def reload_certificates(self) -> None:
        """Read the files of TLS again: new connections get what is in them now, open ones keep what they have."""
        self.companions.renew_certificates()

    def refresh(self) -> None:
        """Read the certificates again, and open the log again: what a reload can do without another process."""
        self.reload_certificates()
        self.reopen_logs()

    def reopen_logs(self) -> None:
        """Open the file of the access log by its name again, after it was moved away."""
        if self._access_log is not None:
            self._access_log.reopen()

    def _begin(self) -> None:
        self.lifespan: Lifespan = self.config.lifespan_class(self.config)
        self._ending = asyncio.Lock()
        self._renew_events()

    async def _serve(self, sockets: Sequence[socket.socket] | None = None) -> None:
        try:
            await self._start(sockets)
            if self.started:
                await self.main_loop()
                await self._stand_by()
        finally:
            await self.shutdown(sockets=sockets)
            if self._announced and self.failure is None:
                server_log().info("Finished server process [%d]", os.getpid())
            self._streams.close()
            if self.when_finished is not None:
                self.when_finished()

    async def _stand_by(self) -> None:
        """After SIGTERM, serve on until those who send requests here have had time to hear of it."""
        delay = self.config.shutdown_delay
        if delay and signal.SIGTERM in self._captured_signals:
            self.companions.leaving()
            server_log().info("Shutting down in %g seconds (shutdown_delay)", delay)
            await first(delay, self._force.wait())

    async def _start(self, sockets: Sequence[socket.socket] | None, serving: bool = True) -> None:
        self._loop = asyncio.get_running_loop()
        self._begin()
        with self._failing():
            self._load()
            if serving and not self._should_exit:
                await self.startup(sockets=sockets)

    def _load(self) -> None:
        """Load the application, unless a signal comes: it ends that here, and never on its way through a loop."""
        try:
            self._loading = not self._should_exit
            try:
                if self._loading:
                    loading.load_once(self.config)
            finally:
                self._loading = False
                widen_stack()  # the application may have enabled faulthandler
        except KeyboardInterrupt:
            self._loading = False
            if not self._captured_signals:
                raise  # somebody else's handler

    def _run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run in a loop of its own what ends the capture of signals. It begins here: uvloop stands no exception yet."""
        self._raise_signals_again = False
        with contextlib.ExitStack() as self._capturing:
            self._capturing.enter_context(self.capture_signals())
            self.companions.listening()
            eventloop.run(work, self.config.get_loop_factory())
        self._capturing = None

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self.connections = Connections(
            loop,
            self.config.loaded_app,
            self.config,
            state=self.lifespan.state,
            access=self._access(),
            error=server_log(),
            on_limit=self._on_limit,
            limit=self.limit_max_requests,
            context=contextvars.Context() if self.config.reset_contextvars else self.lifespan.context,
        )
        sockets = Sockets(self.connections, *self._share) if usable(loop) else None
        for listener in self._listeners:
            try:
                server = await listener.serve(self.connections, sockets, self.config.backlog, self.config.certificates)
            except OSError as error:
                raise StartupError(f"cannot listen on {listener.name}: {listeners.reason(error)}") from None
            self.servers.append(server)

    def _access(self) -> Any:
        """What the connections tell of each request, if anything."""
        self._access_log = log = open_access_log(self.config)
        records = logs.make_access(loggers.access_log()) if self.config.access_log else None
        return records if log is None else log.lines

    def _on_limit(self) -> None:
        server_log().warning("Maximum request limit of %s exceeded. Terminating process.", self.limit_max_requests)
        self.should_exit = True


plain_tick = Server.on_tick
