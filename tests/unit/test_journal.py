"""pronghorn._core.journal: what a test can reach without an exchange."""

import os
from pathlib import Path

import pytest

from pronghorn._core.journal import Lines, write_lines


@pytest.fixture
def pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    return reader, writer


def test_nothing_to_take() -> None:
    lines = Lines([], lambda: None, lambda: None)
    assert lines.take() == b""
    assert (lines.late, lines.sessions, lines.missed) == (False, False, 0)


@pytest.mark.parametrize(("atom", "late"), [("s", False), ("t", False), ("B", True), ("b", True), ("L", True), ("D", True)])
def test_a_line_that_has_to_wait_for_the_end(atom: str, late: bool) -> None:
    assert Lines([(atom, b"", False)], lambda: None, lambda: None).late is late


def test_an_unknown_atom() -> None:
    with pytest.raises(KeyError):
        Lines([("nothing", b"", False)], lambda: None, lambda: None)


def test_a_file_takes_all(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        assert write_lines(file.fileno(), b"one\ntwo\n", 4, 0, 0) == (8, 0)
    assert (tmp_path / "log").read_bytes() == b"two\n"


def test_a_pipe_gets_whole_lines(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    batch = b"".join(b"%d\n" % number * 3 for number in range(100_000))
    start, code = write_lines(writer, batch, 0, 512, 0)
    assert code == 0 and 0 < start < len(batch)
    assert batch[start - 1 : start] == b"\n"
    assert os.read(reader, 1 << 20) == batch[:start]
    assert write_lines(writer, batch, start, 512, 0)[0] > start
    os.close(reader)
    os.close(writer)


def test_a_line_longer_than_a_piece_is_written_as_one(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    batch = b"a" * 3000 + b"\nb\n"
    assert write_lines(writer, batch, 0, 512, 0) == (len(batch), 0)
    assert os.read(reader, 1 << 20) == batch
    os.close(reader)
    os.close(writer)


def test_errors_are_numbers(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    start, code = write_lines(writer, b"a\n", 0, 512, 0)
    assert start == 0 and os.strerror(code) == "Broken pipe"
    os.close(writer)
