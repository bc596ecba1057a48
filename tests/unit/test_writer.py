"""pronghorn.writer: batches, from one thread to a file or a pipe in another."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pronghorn import writer
from pronghorn.writer import Target, Writer


class Source:
    """Lines that wait to be taken."""

    def __init__(self, target: Target, limit: int = 1 << 20) -> None:
        self.waiting = b""
        self.busy = 0
        self.ended = threading.Event()
        self.writer = Writer(target, limit)
        self.writer.take = self.take
        self.writer.finished = self.ended.set

    def take(self) -> bytes | None:
        if self.busy:
            self.busy -= 1
            return None
        taken, self.waiting = self.waiting, b""
        return taken

    def write(self, text: bytes) -> None:
        if not self.waiting:
            self.waiting = text
            self.writer.begin()
        else:
            self.waiting += text

    def close(self) -> None:
        self.writer.close()
        assert self.ended.wait(10)


def until(condition: Callable[[], bool]) -> None:
    turn = threading.Event()
    for _ in range(2000):
        if condition():
            return
        turn.wait(0.005)
    raise AssertionError("not in time")


def test_a_batch_that_nobody_asks_for_is_written(tmp_path: Path) -> None:
    source = Source(Target(str(tmp_path / "log")))
    source.write(b"one\n")
    source.write(b"two\n")
    until(lambda: (tmp_path / "log").read_bytes() == b"one\ntwo\n")
    source.write(b"three\n")
    until(lambda: (tmp_path / "log").read_bytes().endswith(b"three\n"))
    source.close()


def test_the_thread_starts_with_the_first_line(tmp_path: Path) -> None:
    before = threading.active_count()
    source = Source(Target(str(tmp_path / "log")))
    assert threading.active_count() == before
    source.close()
    assert threading.active_count() == before
    assert (tmp_path / "log").read_bytes() == b""


def test_lines_that_cannot_be_taken_now_are_taken_later(tmp_path: Path) -> None:
    source = Source(Target(str(tmp_path / "log")))
    source.busy = 2
    source.write(b"one\n")
    until(lambda: (tmp_path / "log").read_bytes() == b"one\n")
    source.close()


def test_the_end_writes_everything_in_order(tmp_path: Path) -> None:
    source = Source(Target(str(tmp_path / "log")))
    for number in range(100):
        source.waiting = b"%d\n" % number * 100
        source.writer.put()
    source.waiting = b"last\n"
    source.close()
    lines = (tmp_path / "log").read_bytes().splitlines()
    assert lines == [b"%d" % number for number in range(100) for _ in range(100)] + [b"last"]
    assert source.writer.dropped == 0


def test_what_is_beyond_the_limit_is_dropped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "STOP_LIMIT", 0.05)
    reader, end = os.pipe()
    source = Source(Target(None, end), limit=100_000)
    os.close(end)
    for _ in range(1000):
        source.waiting = b"a line\n" * 100
        source.writer.put()
    refused = source.writer.refused
    assert 50_000 < refused < 100_000
    source.close()
    written = os.read(reader, 1 << 20)
    assert written and written.replace(b"a line\n", b"") == b""
    assert written.count(b"\n") + source.writer.dropped == 100_000
    assert [record.getMessage() for record in caplog.records][-1].endswith("line(s) of the access log were dropped")
    os.close(reader)


def test_a_line_that_was_cut_off_does_not_run_into_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a disk becomes full in the middle of one."""
    path = tmp_path / "log"
    source = Source(Target(str(path)))
    original, failures = writer.write_lines, [1]

    def write_lines(fd: int, batch: bytes, start: int, piece: int, patience: int) -> tuple[int, int]:
        if failures.pop() if failures else 0:
            return os.write(fd, batch[:6]), 28
        return original(fd, batch, start, piece, patience)

    monkeypatch.setattr(writer, "write_lines", write_lines)
    source.waiting = b"one\ntwo\nthree\n"
    source.writer.put()
    source.waiting = b"four\n"
    source.close()
    assert path.read_bytes() == b"one\ntw\nfour\n"
    assert source.writer.dropped == 2


def test_reopening_a_file_that_cannot_be_opened_keeps_the_old_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    source = Source(Target(str(folder / "log")))
    source.write(b"one\n")
    folder.rename(tmp_path / "moved")
    source.writer.reopen()
    source.write(b"two\n")
    source.close()
    assert (tmp_path / "moved" / "log").read_bytes() == b"one\ntwo\n"
    assert "the access log stays where it is: no such file or directory" in caplog.text


def test_standard_output_is_not_reopened(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        source = Source(Target(None, file.fileno()))
        source.writer.reopen()
        source.write(b"one\n")
        source.close()
    assert (tmp_path / "log").read_bytes() == b"one\n"


def test_a_descriptor_of_its_own(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        target = Target(None, file.fileno())
        assert target.descriptor != file.fileno()
    source = Source(target)
    source.write(b"one\n")
    source.close()
    assert (tmp_path / "log").read_bytes() == b"one\n"


def test_lines_stay_in_order(tmp_path: Path) -> None:
    """A batch becomes whole in one thread while the other is about to take what follows it."""
    about_to, whole = threading.Event(), threading.Event()

    class Late(Source):
        def take(self) -> bytes | None:
            if threading.current_thread() is not threading.main_thread():
                about_to.set()
                whole.wait(0.2)
            return super().take()

    source = Late(Target(str(tmp_path / "log")))
    source.write(b"one\n")
    assert about_to.wait(10)
    source.write(b"two\n")
    source.writer.put()
    source.write(b"three\n")
    whole.set()
    until(lambda: b"three" in (tmp_path / "log").read_bytes())
    source.close()
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\nthree\n"
