"""The thread that writes batches of lines, so that the event loop never waits for a disk, a pipe or a terminal.

A batch is on its way 50 ms after its first line at the latest, and at once when it is whole. What waits is limited:
lines beyond that are dropped and counted, as are those that cannot be written, and the log tells how many.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TextIO

from pronghorn._core.journal import write_lines
from pronghorn.loggers import server_log

__all__ = ["STOP_LIMIT", "Target", "Writer"]


INTERVAL = 0.05  # seconds from the first line of a batch until it is written
STOP_LIMIT = 1.0  # seconds for what is left when the server stops
PATIENCE = 100  # milliseconds to wait for room before looking whether the server stops
TELL_INTERVAL = 1.0  # seconds between two reports of dropped lines
PIECE = getattr(select, "PIPE_BUF", 512)  # bytes that a pipe takes as a whole, also from several processes
MODE = 0o666  # less the umask

BEGUN, REOPEN, END = object(), object(), object()


class Target:
    """Where the lines go: a file, opened again by ``reopen``, or standard output: its descriptor and its stream."""

    def __init__(self, path: str | None, descriptor: int = -1, stream: TextIO | None = None) -> None:
        self.path = path
        self.stream = stream
        self.name = path or "standard output"
        self.descriptor = self._open() if path else os.dup(descriptor)
        self._look()

    def _open(self) -> int:
        assert self.path is not None
        # A pipe without a reader must not hold up the start. On files this means nothing.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
        return os.open(self.path, flags, MODE)

    def _look(self) -> None:
        mode = os.fstat(self.descriptor).st_mode
        whole = stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not os.isatty(self.descriptor))
        self.piece = 0 if whole else PIECE

    def reopen(self) -> None:
        """Open the file by its name again, after it was moved away."""
        if self.path is None:
            return
        fresh = self._open()
        os.close(self.descriptor)
        self.descriptor = fresh
        self._look()

    def flush(self) -> None:
        """Take what the application has printed along, as each record of a StreamHandler does.

        Printed lines show up in a pipe or a file only because of that, where Python buffers them.
        """
        if self.stream is not None:
            with contextlib.suppress(OSError, ValueError):
                self.stream.flush()

    def close(self) -> None:
        os.close(self.descriptor)


class Writer:
    """Takes batches from the event loop's thread and writes them in one of its own, which starts with the first line.

    ``take`` gives the lines there are, or None when this is not the moment; it is called in both threads.
    """

    def __init__(self, target: Target, limit: int) -> None:
        self.target = target
        self.limit = limit
        self.take: Callable[[], bytes | None] = bytes
        self.finished: Callable[[], object] = bytes  # called in the thread, at its end
        self.refused = 0  # lines for which there was no room; counted by the loop's thread
        self.failed = 0  # lines that could not be written; counted by ours
        self.accepted = self.done = 0  # bytes that came, and that are dealt with; likewise
        self._queue: SimpleQueue[object] = SimpleQueue()
        self._taking = threading.Lock()  # held for moments only: lines are written in the order in which they are taken
        self._thread: threading.Thread | None = None
        self._armed = False
        self._stop_by: float | None = None
        self._failing = self._torn = False
        self._told, self._told_at = 0, 0.0

    # In the event loop's thread.

    def begin(self) -> None:
        """A batch has its first line: see to it that it leaves in time."""
        if not self._armed:
            self._armed = True
            self._order(BEGUN)

    def put(self) -> None:
        """A batch is whole."""
        with self._taking:
            batch = self.take()
            if not batch:
                return
            if self.accepted - self.done + len(batch) > self.limit:
                self.refused += batch.count(b"\n")
            else:
                self.accepted += len(batch)
                self._order(batch)

    def reopen(self) -> None:
        """Open the file again, behind the lines there are."""
        self.put()
        self._order(REOPEN)

    def close(self) -> None:
        """Write what there is within STOP_LIMIT, then end; returns at once."""
        self.put()
        self._stop_by = time.monotonic() + STOP_LIMIT
        if self._thread is None:
            self._end()
        else:
            self._order(END)

    @property
    def dropped(self) -> int:
        """Lines that were not written, and will not be."""
        return self.refused + self.failed

    def _order(self, item: object) -> None:
        self._queue.put(item)
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="pronghorn access log", daemon=True)
            with contextlib.suppress(RuntimeError):  # there are too many; the next order tries again
                thread.start()
                self._thread = thread

    # In ours.

    def _run(self) -> None:
        due: float | None = None
        while True:
            try:
                item = self._queue.get(timeout=self._wait(due))
            except Empty:
                if due is not None and time.monotonic() >= due:
                    due = self._take_begun()
            else:
                if item is END:
                    break
                if item is BEGUN:
                    due = time.monotonic() + INTERVAL
                elif item is REOPEN:
                    self._reopen()
                elif isinstance(item, bytes):
                    self._write(item)
                    self.done += len(item)
            self._tell()
        self._tell(at_last=True)
        self._end()

    def _end(self) -> None:
        self.target.close()
        self.finished()

    def _wait(self, due: float | None) -> float | None:
        """Seconds until there is something to do without an order."""
        if self.dropped != self._told and not self._failing:
            tell_at = self._told_at + TELL_INTERVAL
            due = tell_at if due is None else min(due, tell_at)
        return None if due is None else max(due - time.monotonic(), 0)

    def _take_begun(self) -> float | None:
        """Write the lines of a batch that did not become whole in time; returns when to look again, if at all."""
        with self._taking:
            if not self._queue.empty():
                return time.monotonic()  # what came before has to be written before
            self._armed = False  # first: a line that comes now begins a batch, or is among those that are taken
            batch = self.take()
        if batch is None:
            self._armed = True
            return time.monotonic() + INTERVAL
        if batch:
            self._write(batch)
        return None

    def _write(self, batch: bytes) -> None:
        if self._torn:
            batch = b"\n" + batch  # what was cut off must not run into another line
        start = 0
        while start < len(batch):
            patience, late = PATIENCE, False
            if self._stop_by is not None:
                patience = max(min(PATIENCE, int((self._stop_by - time.monotonic()) * 1000)), 0)
                late = patience == 0
            stopped, code = write_lines(self.target.descriptor, batch, start, self.target.piece, patience)
            if stopped != start:
                self._torn = False
            start = stopped
            if code or (late and start < len(batch)):
                self._give_up(batch, start, code)
                return
        self._failing = False
        self.target.flush()

    def _give_up(self, batch: bytes, start: int, code: int) -> None:
        self.failed += batch.count(b"\n", max(start, self._torn))
        self._torn = self._torn or (start > 0 and batch[start - 1 : start] != b"\n")
        if code and not self._failing:
            self._failing = True
            why = f"{self.target.name}: {os.strerror(code).lower()}"
            server_log().error("Cannot write the access log to %s. Lines are dropped until it works.", why)

    def _reopen(self) -> None:
        try:
            self.target.reopen()
        except OSError as error:
            why = os.strerror(error.errno or errno.EIO).lower()
            server_log().error("Cannot open %s again, the access log stays where it is: %s", self.target.name, why)

    def _tell(self, at_last: bool = False) -> None:
        """Log how many lines were dropped, when writing works again: at most once a second."""
        dropped, now = self.dropped, time.monotonic()
        if dropped == self._told or not (at_last or (not self._failing and now - self._told_at >= TELL_INTERVAL)):
            return
        with contextlib.suppress(Exception):  # the end of the thread would be the end of the access log
            server_log().error("%d line(s) of the access log were dropped", dropped - self._told)
        self._told, self._told_at = dropped, now
