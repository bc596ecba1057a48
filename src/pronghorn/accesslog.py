"""The access log in its compiled form: lines made by the compiled layer, written by a thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from typing import Protocol

from pronghorn import logs
from pronghorn._core.journal import Lines
from pronghorn.atoms import compile_format, is_json
from pronghorn.errors import StartupError
from pronghorn.loggers import access_log, server_log
from pronghorn.writer import STOP_LIMIT, Target, Writer

__all__ = ["AccessLog", "open_access_log"]


LEEWAY = 0.5  # seconds beyond the writer's own limit until it counts as stuck


class Settings(Protocol):
    """The settings that the access log is made from."""

    access_log: bool
    access_log_format: str | None
    access_log_file: str | None
    access_log_buffer: int


class AccessLog:
    """Lines, and the writer that takes them away. ``lines`` is what the connections write to."""

    def __init__(self, target: Target, text: str, limit: int) -> None:
        self.writer = Writer(target, limit)
        self.lines = Lines(
            compile_format(text),
            self.writer.begin,
            self.writer.put,
            sessions=text != "default",
            json=is_json(text),
            prefix=os.urandom(6).hex().encode() + b"-",
        )
        self.writer.take = self.lines.take

    def reopen(self) -> None:
        """Open the file by its name again, after it was moved away; a signal handler may call it."""
        self.writer.reopen()

    async def close(self) -> None:
        """Write what is there, within a second or so; what cannot be written is counted, and the log tells."""
        loop, finished = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(finished.set)

        self.writer.finished = tell
        self.writer.close()
        try:
            await asyncio.wait_for(finished.wait(), STOP_LIMIT + LEEWAY)
        except TimeoutError:
            server_log().error(
                "The access log's last lines were not written: %s does not take them", self.writer.target.name
            )


def open_access_log(settings: Settings) -> AccessLog | None:
    """The access log, if the settings ask for this form of it or nothing in the logging configuration for records.

    StartupError when its file cannot be opened. What changes in the logging configuration afterwards is not seen.
    """
    if not settings.access_log:
        return None
    path = None if settings.access_log_file == "-" else settings.access_log_file
    chosen = settings.access_log_format is not None or settings.access_log_file is not None
    if not chosen and not is_plain(access_log()):
        return None
    try:
        target = Target(path) if path else Target(None, standard_output(), sys.stdout)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartupError(f"cannot write the access log to {path or 'standard output'}: {reason}") from None
    return AccessLog(target, settings.access_log_format or "default", settings.access_log_buffer)


def standard_output() -> int:
    """The descriptor of standard output, also where ``sys.stdout`` is closed, or something without one."""
    try:
        return sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return 1


def is_plain(logger: logging.Logger) -> bool:
    """Whether a record of this logger would end on standard output as one plain line of ours, and nowhere else.

    Not so where anything asks for the record itself: another handler, formatter, filter, level, class or factory, a
    parent that is told, colours, or a method that somebody has replaced, as tracers and error reporters do.
    """
    if type(logger) is not logging.Logger or logger.propagate or logger.filters or len(logger.handlers) != 1:
        return False
    handler = logger.handlers[0]
    formatter = handler.formatter
    if (
        not logger.isEnabledFor(logging.INFO)
        or type(handler) is not logging.StreamHandler
        or handler.filters
        or handler.level > logging.INFO
        or type(formatter) is not logs.AccessFormatter
        or type(formatter._style) is not logging.PercentStyle
        or formatter._fmt != logs.ACCESS_FORMAT
        or formatter.use_colors
        or logging.getLogRecordFactory() is not logging.LogRecord
        or not all(is_original(logger, name) for name in ("filter", "handle", "callHandlers"))
        or not all(is_original(handler, name) for name in ("filter", "handle", "format", "emit"))
        or not all(is_original(formatter, name) for name in ("format", "formatMessage", "add_fields"))
    ):
        return False
    # Another object in the place of standard output may be there to see what is written.
    return getattr(handler.stream, "underlying", handler.stream) is sys.stdout is sys.__stdout__


def is_original(thing: object, name: str) -> bool:
    """Whether a method is the standard library's, or ours."""
    code = getattr(getattr(thing, name), "__code__", None)
    return getattr(code, "co_filename", None) in (
        logging.addLevelName.__code__.co_filename,
        logs.duplicate.__code__.co_filename,
    )
