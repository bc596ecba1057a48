"""The lifespan protocol: one call of the application that spans the life of the server.

What can end the start-up, and what it then comes to:

    lifespan.startup.complete        started
    lifespan.startup.failed          the server does not start
    exception, or return, before     auto: the application does not speak lifespan, go on;  on: does not start
    sys.exit()                       the server does not start
    none of these within the limit   the server does not start
    a stop signal                    the call is cancelled; the server stops
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pronghorn.errors import MessageError, StartupError
from pronghorn.loggers import server_log
from pronghorn.types import Message
from pronghorn.waiting import first

if TYPE_CHECKING:
    from pronghorn.config import Config

__all__ = ["Lifespan"]

WARN_AFTER = 5.0  # seconds without an answer to lifespan.startup until a warning says what is missing
END_WITHIN = 1.0  # seconds for the call to return after its last message, and again after it is cancelled
FORCED_LIMIT = 5.0  # seconds the shutdown may take once somebody has asked twice to stop
FAILED = "Application startup failed. Exiting."


class Lifespan:
    """One application's lifespan: ``startup()`` once, then ``shutdown()`` once."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.state: dict[str, Any] = {}
        # Requests start from a copy of it, so that they see what the application set at its start.
        self.context = contextvars.copy_context()
        self._task: asyncio.Task[None] | None = None
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._received = 0
        self._answers: dict[str, Message] = {}
        self._started = asyncio.Event()
        self._stopped = asyncio.Event()
        self._error: BaseException | None = None

    async def startup(self, stop: asyncio.Event | None = None) -> None:
        """Start the application; StartupError when it must not be served, quietly back when ``stop`` came first."""
        stop = stop or asyncio.Event()
        if self.config.lifespan == "off":
            return
        server_log().info("Waiting for application startup.")
        self._messages.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.get_running_loop().create_task(self._call(), context=self.context)
        await self._wait_for_start(stop, self.config.timeout_lifespan_startup or None)
        if self._started.is_set():
            self._judge_start()
            server_log().info("Application startup complete.")
            return
        await self._end(0)
        if not stop.is_set():
            limit = self.config.timeout_lifespan_startup
            raise StartupError(
                f"The application has not sent 'lifespan.startup.complete' within {limit:g} seconds "
                "(timeout_lifespan_startup). Exiting."
            )

    async def shutdown(self, force: asyncio.Event | None = None) -> None:
        """Tell the application to stop and wait for it, within its limit, which ``force`` shortens."""
        force = force or asyncio.Event()
        if self._task is None or self._task.done():
            return
        if not self._started.is_set():  # whoever waited for the start has gone
            await self._end(0)
            return
        server_log().info("Waiting for application shutdown.")
        self._messages.put_nowait({"type": "lifespan.shutdown"})
        limit = self.config.timeout_lifespan_shutdown or None
        await first(limit, self._stopped.wait(), force.wait())
        if not self._stopped.is_set() and force.is_set():
            await first(FORCED_LIMIT if limit is None else min(limit, FORCED_LIMIT), self._stopped.wait())
        if not self._stopped.is_set():
            server_log().error("Application shutdown takes too long (timeout_lifespan_shutdown). Exiting without it.")
        elif "lifespan.shutdown.failed" in self._answers or self._error is not None:
            self._log_message("lifespan.shutdown.failed")
            server_log().error("Application shutdown failed. Exiting.")
        else:
            server_log().info("Application shutdown complete.")
        await self._end(END_WITHIN)

    async def receive(self) -> Message:
        """The application's receive()."""
        message = await self._messages.get()
        self._received += 1
        return message

    async def send(self, message: Message) -> None:
        """The application's send()."""
        if not isinstance(message, Mapping):
            raise MessageError(f"a lifespan message must be a mapping, not {type(message).__name__}")
        kind = message.get("type")
        match kind:
            case "lifespan.startup.complete" | "lifespan.startup.failed":
                asked, answered = True, self._started
            case "lifespan.shutdown.complete" | "lifespan.shutdown.failed":
                asked, answered = self._received > 1, self._stopped
            case _:
                raise MessageError(
                    "the lifespan scope takes 'lifespan.startup.complete', 'lifespan.startup.failed', "
                    f"'lifespan.shutdown.complete' and 'lifespan.shutdown.failed', not {kind!r}"
                )
        if not asked:
            raise MessageError(f"{kind!r} sent before 'lifespan.shutdown' was received")
        if answered.is_set():
            raise MessageError(f"{kind!r} sent after {kind.rpartition('.')[0]!r} was already answered")
        if not isinstance(message.get("message", ""), str):
            raise MessageError(f"{kind!r}: 'message' must be str, not {type(message['message']).__name__}")
        self._answers[kind] = message
        answered.set()

    async def _call(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": self.config.asgi_version, "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self.config.loaded_app(scope, self.receive, self.send)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # sys.exit() of an application is a failure of it, not the loop's end
            self._error = error
            if self._answers and "lifespan.startup.failed" not in self._answers:
                server_log().error("Exception in 'lifespan' protocol\n", exc_info=error)
        finally:
            self._started.set()
            self._stopped.set()

    async def _wait_for_start(self, stop: asyncio.Event, limit: float | None) -> None:
        warn_after = WARN_AFTER if limit is None else min(WARN_AFTER, limit)
        await first(warn_after, self._started.wait(), stop.wait())
        if self._started.is_set() or stop.is_set() or limit == warn_after:
            return
        server_log().warning(
            "The application has not sent 'lifespan.startup.complete' yet, %g seconds after 'lifespan.startup'. An "
            "application that handles the lifespan scope must send it%s; --lifespan off does without.",
            warn_after,
            "" if limit is None else f", within {limit:g} seconds (timeout_lifespan_startup)",
        )
        await first(None if limit is None else limit - warn_after, self._started.wait(), stop.wait())

    def _judge_start(self) -> None:
        if "lifespan.startup.complete" in self._answers:
            return
        if "lifespan.startup.failed" in self._answers:
            self._log_message("lifespan.startup.failed")
            raise StartupError(FAILED)
        if self._error is not None and not isinstance(self._error, Exception):
            raise StartupError(f"Application startup ended with {self._error!r}. Exiting.")
        if self.config.lifespan == "on":
            if self._error is None:
                raise StartupError("The application returned without 'lifespan.startup.complete'. Exiting.")
            server_log().error("Exception in 'lifespan' protocol\n", exc_info=self._error)
            raise StartupError(FAILED)
        if self._error is not None and self._received:  # it took the message, so it does speak lifespan
            text = "Exception in 'lifespan' protocol, ignored without --lifespan on\n"
            server_log().warning(text, exc_info=self._error)
        server_log().info("ASGI 'lifespan' protocol appears unsupported.")

    def _log_message(self, kind: str) -> None:
        if text := self._answers.get(kind, {}).get("message"):
            server_log().error(text)

    async def _end(self, patience: float) -> None:
        """See the call off: wait for it, cancel it, wait again, and leave it when even that does not end it."""
        if self._task is None:
            return
        await asyncio.wait({self._task}, timeout=patience)
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=END_WITHIN)
