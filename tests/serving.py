"""A server in this process: its loop runs in a thread of its own, its application is a callable of the test.

    with serve(app, loop="uvloop") as server:
        with server.raw() as peer:
            peer.send(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
            assert peer.response().status == 200

Leaving the block stops the server and checks what must hold after any test: it stopped, the log is clean, and no
task and no connection object is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import ssl
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import nesting
from encrypted import SERVERS, authority, server_certificate
from peer import Peer, Response

import pronghorn
from pronghorn._core import sockets

__all__ = ["BYTES", "EAGER", "LOOPS", "Gate", "Server", "modes", "serve"]

App = Callable[..., Awaitable[Any]]
EAGER = sys.version_info >= (3, 12)
# transports: uvloop again, without sockets of our own; tls: uvloop again, over TLS. ci/test leaves some out on further interpreters.
LOOPS = os.environ.get("PRONGHORN_TEST_LOOPS", "uvloop transports tls asyncio").split()
# nested, nested-sockets, nested-tls: loops that can be run inside of themselves, for those who ask for them by name.
# (loop, task) for a module about bytes alone, whichever way they come and go: the first loop, another one on each interpreter.
BYTES = [(loop, "auto") for loop in (LOOPS if os.environ.get("PRONGHORN_TEST_ALL") else LOOPS[:1])]
PATIENCE = 30.0
LOGGERS = ("pronghorn.error", "pronghorn.access", "pronghorn.asgi", "pronghorn", "asyncio", "")


def modes(*tasks: str) -> list[tuple[str, str]]:
    """(loop, task) pairs: both loops, with each of the task modes this interpreter has; uvloop's transports with one.
    TLS makes no difference to tasks, and clients that are not ours would have to be told of it."""
    pairs = [(loop, task) for loop in ("uvloop", "asyncio") for task in tasks if task != "eager" or EAGER]
    return [pair for pair in (*pairs, ("transports", tasks[0])) if pair[0] in LOOPS]


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    if name.startswith("nested"):
        return nesting.Loop() if name == "nested" else nesting.LoopWithSockets()
    if name != "asyncio":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


class Gate:
    """Opened once, from either side; waited for by the test with wait() and by the application with passed()."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.outside = threading.Event()
        self.inside = asyncio.Event()

    def open(self) -> None:
        self.outside.set()
        self.loop.call_soon_threadsafe(self.inside.set)

    async def passed(self) -> None:
        await self.inside.wait()

    def wait(self, within: float = 5.0) -> None:
        assert self.outside.wait(within), f"the application did not get there within {within} s"

    @property
    def is_open(self) -> bool:
        return self.outside.is_set()


class Records(logging.Handler):
    """Collects every record of the server's loggers, once each; other servers have threads of their own."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[logging.LogRecord] = []
        self.thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self.thread and not any(record is other for other in self.seen[-len(LOGGERS) :]):
            self.seen.append(record)


class Server:
    """The running server, as the tests see it."""

    running = 0

    def __init__(self, app: App | None, loop: str, task: str, settings: dict[str, Any]) -> None:
        self.app = app
        self.loop_name, self.task = loop, task
        self.calls: list[dict[str, Any]] = []
        self.port = 0
        self.thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        if "bind" not in settings:
            settings = {"host": "127.0.0.1", "port": 0} | settings
        settings.setdefault("lifespan", "off")
        settings.setdefault("access_log", False)
        settings.setdefault("log_config", None)
        settings.setdefault("loop_stall_log", None)  # a busy machine may let it stand still
        settings.setdefault("limit_refusal_log", None)  # a line for each, to be compared
        settings.setdefault("timeout_graceful_shutdown", 1)
        self.settings = settings

    def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Awaitable[Any]:
        """The application the server is given: counts the call, then hands over to the test's own."""
        self.calls.append(snapshot(scope))
        assert self.app is not None, "the test has set no application"
        return self.app(scope, receive, send)

    # --- the server's thread ---

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: new_loop(self.loop_name)) as runner:
                runner.run(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.stopping = asyncio.Event()
        self.records = Records()
        loop_name = "asyncio" if self.loop_name in ("asyncio", "nested") else "uvloop"
        own_sockets = self.loop_name in ("uvloop", "tls", "nested-sockets", "nested-tls")
        if self.loop_name.endswith("tls"):
            self.settings["ssl_certfile"] = server_certificate()
        config = pronghorn.Config(self, loop=loop_name, task=self.task, **self.settings)
        with self._logging():
            sockets.enabled = self.loop_name != "transports"
            async with pronghorn.Server(config) as self.server:
                self.port = self.server.port
                assert sockets.usable(self.loop) == (own_sockets and sockets.available)
                sockets.enabled = True
                if "ssl_certfile" in self.settings:
                    SERVERS["127.0.0.1", self.port] = authority().client()
                self._ready.set()
                await self.stopping.wait()
            self.left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    @contextlib.contextmanager
    def _logging(self) -> Iterator[None]:
        loggers = [logging.getLogger(name) for name in LOGGERS]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.addHandler(self.records)
            if logger.name.startswith("pronghorn"):
                logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.removeHandler(self.records)
                logger.setLevel(level)

    # --- the test's thread ---

    def start(self) -> None:
        Server.running += 1
        self.thread.start()
        assert self._ready.wait(PATIENCE), "the server did not start"
        if self._failure:
            raise self._failure

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.stopping.set)
        self.thread.join(PATIENCE)
        Server.running -= 1
        SERVERS.pop(("127.0.0.1", self.port), None)
        assert not self.thread.is_alive(), "the server did not stop"
        if self._failure:
            raise self._failure
        assert not self.left, f"tasks left behind: {self.left}"
        del self.server
        gc.collect()
        if Server.running == 0:  # another one may still run, in the fixture of a module
            objects = [one for one in gc.get_objects() if is_connection(one)]
            assert not objects, f"{len(objects)} connection objects left behind: {[type(one) for one in objects[:3]]}"

    def use(self, app: App) -> Server:
        self.app = app
        self.calls.clear()
        return self

    def gate(self) -> Gate:
        return Gate(self.loop)

    @property
    def context(self) -> ssl.SSLContext | None:
        """That of a client, where the server speaks TLS."""
        return SERVERS.get(("127.0.0.1", self.port))

    def url(self, scheme: str = "http") -> str:
        """For clients that are not ours; scheme: http or ws."""
        return f"{scheme}s://localhost:{self.port}/" if self.context else f"{scheme}://127.0.0.1:{self.port}/"

    def raw(self, timeout: float = 5.0) -> Peer:
        return Peer(("127.0.0.1", self.port), timeout)

    def ask(self, request: bytes, method: str = "GET") -> Response:
        """One request on a connection of its own."""
        with self.raw() as peer:
            return peer.send(request).response(method)

    def get(self, target: str = "/", *headers: str, method: str = "GET", body: bytes = b"") -> Response:
        lines = [f"{method} {target} HTTP/1.1", "Host: test", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return self.ask("\r\n".join([*lines, "", ""]).encode("latin-1") + body, method)

    def settle(self) -> None:
        """Return when the loop has handled all that was sent before: three turns, each with a look at the sockets."""
        for _ in range(3):
            turn = threading.Event()
            self.loop.call_soon_threadsafe(turn.set)
            assert turn.wait(PATIENCE), "the loop is blocked"

    def run(self, work: Coroutine[Any, Any, Any], within: float = PATIENCE) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(within)

    def until(self, condition: Callable[[], bool], what: str, within: float = 3.0) -> None:
        """Wait, turn by turn of the loop, until the condition holds."""
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, f"not within {within} s: {what}"
            self.settle()

    @property
    def open(self) -> int:
        return self.server.connections.open

    @property
    def active(self) -> int:
        return self.server.connections.active

    def idle(self, within: float = 3.0) -> None:
        """Wait until every application call has returned."""
        self.until(lambda: self.active == 0, "every application call has returned", within)

    def take_log(self) -> list[logging.LogRecord]:
        """Warnings and errors since the last look; who takes them has expected them."""
        self.idle()
        self.settle()
        taken = [record for record in self.records.seen if record.levelno >= logging.WARNING]
        self.records.seen = [record for record in self.records.seen if record.levelno < logging.WARNING]
        return taken

    def traceback(self, kind: type[BaseException] | None = None) -> BaseException:
        """Take the one record that must be in the log: one exception of the application, with its traceback."""
        log = self.take_log()
        assert len(log) == 1, f"expected one record: {[describe(record) for record in log]}"
        assert log[0].exc_info and log[0].exc_info[1], f"expected a traceback: {describe(log[0])}"
        error = log[0].exc_info[1]
        assert kind is None or isinstance(error, kind), f"expected {kind}: {describe(log[0])}"
        return error

    def line(self) -> str:
        """Take the one record that must be in the log: one line without a traceback."""
        log = self.take_log()
        assert len(log) == 1 and not log[0].exc_info, f"expected one line: {[describe(record) for record in log]}"
        assert "\n" not in log[0].getMessage().strip("\n")
        return log[0].getMessage()

    def check(self, report: bool = True) -> None:
        """What must hold after every test; a failed one is only cleared away."""
        try:
            self.until(lambda: self.active == 0, "every application call has returned")
            self.until(lambda: self.open == 0, "every connection is closed")
            log = self.take_log()
        except AssertionError:
            self.loop.call_soon_threadsafe(self.server.connections.abort)
            self.loop.call_soon_threadsafe(self.server.connections.cancel, "the test is over")
            self.records.seen.clear()
            if report:
                raise
            return
        assert not (log and report), "not a clean log:\n" + "\n".join(describe(record) for record in log)


def snapshot(scope: dict[str, Any]) -> dict[str, Any]:
    """A copy with parts of its own: the server must be free to use again what the application has not kept."""
    return {key: value.copy() if isinstance(value, dict | list) else value for key, value in scope.items()}


def is_connection(one: object) -> bool:
    kind = type(one)
    return str(kind.__module__).startswith("pronghorn._core") and "Connection" in kind.__name__


def describe(record: logging.LogRecord) -> str:
    return logging.Formatter("%(levelname)s %(name)s: %(message)s").format(record)


@contextlib.contextmanager
def serve(app: App | None = None, *, loop: str = "uvloop", task: str = "auto", **settings: Any) -> Iterator[Server]:
    server = Server(app, loop, task, settings)
    server.start()
    try:
        yield server
        server.check()
    finally:
        server.stop()
