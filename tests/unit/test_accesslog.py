"""pronghorn.accesslog: when there is one, and where it goes; what it does is in tests/process and tests/asgi."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pronghorn import Config, ConfigError, StartupError
from pronghorn.accesslog import open_access_log


def config(**settings: Any) -> Config:
    return Config(None, **({"log_config": None} | settings))


def test_none_without_an_access_log() -> None:
    assert open_access_log(config(access_log=False, access_log_format="json", access_log_file="-")) is None


def test_none_where_the_logging_module_has_to_do_it() -> None:
    assert open_access_log(config()) is None


def test_a_file(tmp_path: Path) -> None:
    access_log = open_access_log(config(access_log_file=tmp_path / "log", access_log_buffer=5))
    assert access_log is not None
    assert (access_log.lines.late, access_log.lines.sessions) == (False, False)
    assert access_log.writer.limit == 5
    asyncio.run(access_log.close())
    assert (tmp_path / "log").read_bytes() == b""


def test_a_format_has_sessions_as_well(tmp_path: Path) -> None:
    access_log = open_access_log(config(access_log_file=tmp_path / "log", access_log_format="json"))
    assert access_log is not None
    assert (access_log.lines.late, access_log.lines.sessions) == (True, True)
    asyncio.run(access_log.close())


def test_standard_output_also_without_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    access_log = open_access_log(config(access_log_file="-"))
    assert access_log is not None
    assert os.fstat(access_log.writer.target.descriptor) == os.fstat(1)
    asyncio.run(access_log.close())


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"^cannot write the access log to .*: is a directory$"):
        open_access_log(config(access_log_file=tmp_path))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"access_log_format": "%(x)s"}, r"^access_log_format: '%\(x\)s' is not an atom"),
        ({"access_log_format": 1}, "^access_log_format: expected default, common, combined, json, a line with atoms"),
        ({"access_log_buffer": 0}, "^access_log_buffer: expected bytes from 1"),
        ({"access_log_file": 1}, "^access_log_file: expected text or None"),
    ],
)
def test_bad_settings(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        config(**settings)
