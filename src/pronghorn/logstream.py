"""Streams of log handlers that never wait: a pipe or a terminal that nobody reads must not stop who logs.

What can be written at once is, so that a line is there before the process can come to an end. What the descriptor does
not take is kept, up to `LIMIT`, and written by a thread as soon as there is room; lines beyond that are dropped and
counted, and the log says how many. Regular files always take what is written, and are left alone.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import select
import socket
import stat
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from pronghorn.loggers import server_log

__all__ = ["NonBlockingStream", "drain", "draining", "nonblocking"]

LIMIT = 262_144  # bytes that wait for room
PIECE = getattr(select, "PIPE_BUF", 512)  # bytes that a pipe takes as a whole, also from several processes
LOOK = 100  # milliseconds between two looks whether there is room, should the system not say so
DRAIN_LIMIT = 1.0  # seconds for what is left when the process ends

STREAMS: weakref.WeakSet[NonBlockingStream] = weakref.WeakSet()


class NonBlockingStream:
    """Takes the place of a text stream in a ``logging.StreamHandler``. OSError when the stream has no descriptor."""

    def __init__(self, underlying: io.TextIOWrapper) -> None:
        self.underlying = underlying
        self.name = getattr(underlying, "name", "?")
        self.encoding = underlying.encoding
        self.errors = underlying.errors or "backslashreplace"
        self._socket: socket.socket | None = None
        self._at_once = True  # the descriptor can be written to without waiting
        self._pipe = False
        self._descriptor = -1
        self._descriptor = self._open(underlying.fileno())
        self._begin()
        STREAMS.add(self)

    def _begin(self) -> None:
        self._lock = threading.RLock()  # a finaliser may log in the middle of it
        self._waiting = bytearray()
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def _open(self, descriptor: int) -> int:
        """A descriptor of our own that does not wait. The mode cannot simply be changed: others share the open file."""
        kind = os.fstat(descriptor).st_mode
        self._pipe = stat.S_ISFIFO(kind)
        if stat.S_ISSOCK(kind):
            blocking = os.get_blocking(descriptor)
            self._socket = socket.socket(fileno=os.dup(descriptor))
            self._socket.settimeout(None)  # the application may have set one for all sockets
            os.set_blocking(descriptor, blocking)  # which others share, and is not ours to change
            return self._socket.fileno()
        with contextlib.suppress(OSError):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
        self._at_once = False
        return os.dup(descriptor)

    def write(self, text: str) -> int:
        """Write the text, or as much as there is room for and the rest later; returns its length."""
        data = text.encode(self.encoding, self.errors)
        with self._lock:
            if self._at_once and not self._waiting:
                with memoryview(data) as view:
                    written = self._put(view)
                if written is None:
                    self._dropped += 1
                    return len(text)
                if written == len(data):
                    return len(text)
                self._waiting += data[written:]  # what has begun is finished
            elif len(self._waiting) + len(data) > LIMIT:
                self._dropped += 1
            else:
                self._waiting += data
            self._start()
        return len(text)

    def flush(self) -> None:
        """Let what was printed to the stream itself go, unless that would have to wait as well."""
        if not self._waiting and self._room(0):
            self.underlying.flush()

    def fileno(self) -> int:
        return self.underlying.fileno()

    def isatty(self) -> bool:
        return self.underlying.isatty()

    def close(self) -> None:
        """Nothing: the stream below is somebody else's."""

    def __del__(self) -> None:
        if self._socket is not None:
            self._socket.close()
        elif self._descriptor >= 0:
            os.close(self._descriptor)

    def drain(self, until: float) -> bool:
        """Wait until nothing waits any more, or the time has come (on the monotonic clock); whether nothing does."""
        thread = self._thread
        if thread is not None:
            thread.join(max(until - time.monotonic(), 0))
        return not self._waiting

    @property
    def draining(self) -> bool:
        return self._thread is not None

    def after_fork(self) -> None:
        """In the child: what waits is the parent's to write, and its thread is not here."""
        self._begin()

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="pronghorn log", daemon=True)
            with contextlib.suppress(RuntimeError):  # the system refuses a thread: the next line tries again
                thread.start()
                self._thread = thread

    def _put(self, data: memoryview) -> int | None:
        """Write without waiting as much as there is room for; None when nothing can be written any more."""
        start, end = 0, len(data)
        try:
            while start < end:
                stop = min(end, start + PIECE) if self._pipe else end
                if stop < end:  # whole lines, so that those of several processes do not mix
                    stop = start + (bytes(data[start:stop]).rfind(b"\n") + 1 or stop - start)
                if self._socket is not None:
                    start += self._socket.send(data[start:stop], socket.MSG_DONTWAIT)
                else:
                    start += os.write(self._descriptor, data[start:stop])
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:  # nobody can read it any more
            return None
        return start

    def _room(self, patience: int) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(patience))

    def _run(self) -> None:
        """In the thread: write what waits, and end when nothing does."""
        while True:
            with self._lock:
                piece = bytes(self._waiting[:PIECE] if not self._at_once else self._waiting)
                if not piece:
                    self._thread = None
                    dropped, self._dropped = self._dropped, 0
                    break
            written: int | None = 0
            if self._room(LOOK):
                with memoryview(piece) as view:  # not under the lock: where it cannot be avoided, this waits
                    written = self._put(view)
            with self._lock:
                if written is None:
                    self._dropped += self._waiting.count(b"\n")
                    self._waiting.clear()
                else:
                    del self._waiting[:written]
        if dropped and written is not None:
            server_log().warning("%d record(s) of the log were dropped: nobody read %s", dropped, self.name)


def reset() -> None:
    for stream in STREAMS:
        stream.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reset)


def handlers(loggers: Iterable[logging.Logger]) -> Iterator[logging.StreamHandler[Any]]:
    """The plain stream handlers that records of these loggers come to, each once."""
    found: dict[int, logging.StreamHandler[Any]] = {}
    for logger in loggers:
        each: logging.Logger | None = logger
        while each is not None:
            for handler in each.handlers:
                if type(handler) in (logging.StreamHandler, logging.FileHandler):
                    found[id(handler)] = handler  # type: ignore[assignment]
            each = each.parent if each.propagate else None
    yield from found.values()


def nonblocking(loggers: Iterable[logging.Logger]) -> contextlib.ExitStack:
    """Let no handler of these loggers wait for a reader; closing what is returned puts the streams back."""
    undo = contextlib.ExitStack()
    if not hasattr(select, "poll"):  # Windows
        return undo
    made = {id(stream.underlying): stream for stream in STREAMS}
    for handler in handlers(loggers):
        before = handler.stream
        if type(before) is not io.TextIOWrapper:
            continue
        with contextlib.suppress(OSError, ValueError):  # it is closed, or nothing with a descriptor
            if stat.S_ISREG(os.fstat(before.fileno()).st_mode):
                continue
            stream = made.get(id(before)) or NonBlockingStream(before)
            made[id(before)] = stream
            handler.setStream(stream)
            undo.callback(put_back, handler, stream)
    return undo


def put_back(handler: logging.StreamHandler[Any], stream: NonBlockingStream) -> None:
    """Give a handler its stream again, unless it has been given another one meanwhile."""
    if handler.stream is stream:
        handler.setStream(stream.underlying)


def draining() -> bool:
    """Whether a thread of ours is at work."""
    return any(stream.draining for stream in STREAMS)


def drain(limit: float = DRAIN_LIMIT) -> None:
    """Wait for what the logs still have to write, but no longer than that (seconds)."""
    until = time.monotonic() + limit
    for stream in list(STREAMS):
        stream.drain(until)
