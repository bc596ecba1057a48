"""pronghorn.sources: defaults < file < environment < command line."""

import os
from pathlib import Path

import pytest

from pronghorn.errors import ConfigError
from pronghorn.settings import table
from pronghorn.sources import COMMAND_LINE, Given, collect, known


def test_everything_can_be_given() -> None:
    assert set(known()) == {"app", "app_dir", *(one.name for one in table() if one.form.option != "-")}


def test_nothing_given() -> None:
    assert collect({}, {}, None) == {}


def test_each_source_replaces_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("backlog = 1\nroot-path = '/f'\nlifespan = 'on'\n")
    environ = {"PRONGHORN_BACKLOG": "2", "PRONGHORN_ROOT_PATH": "/e", "UVICORN_BACKLOG": "9", "PRONGHORN_LIFESPAN": ""}
    assert collect({"backlog": 3}, environ, str(file)) == {
        "backlog": Given(3, COMMAND_LINE),
        "root_path": Given("/e", "PRONGHORN_ROOT_PATH"),
        "lifespan": Given("on", str(file)),
    }


def test_the_file_may_be_named_by_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("backlog = 1\n")
    assert collect({}, {"PRONGHORN_CONFIG": str(file)}, None) == {"backlog": Given(1, str(file))}
    assert collect({}, {"PRONGHORN_CONFIG": ""}, None) == {}


def test_one_way_of_saying_where_replaces_the_others() -> None:
    binds = {"PRONGHORN_BIND": ":1 :2"}
    assert collect({"port": 3}, binds, None) == {"port": Given(3, COMMAND_LINE)}
    assert collect({"backlog": 3}, binds, None)["bind"] == Given([":1", ":2"], "PRONGHORN_BIND")
    places = {"PRONGHORN_HOST": "::", "UVICORN_PORT": "1", "PRONGHORN_UDS": "s", "PRONGHORN_FD": "3"}
    assert collect({"bind": [":4"]}, places, None) == {"bind": Given([":4"], COMMAND_LINE)}
    with pytest.raises(ConfigError, match=r"^bind: cannot be combined with fd \(PRONGHORN_BIND\)$"):
        collect({}, binds | places, None)


def test_sockets_of_a_service_manager_are_weakest() -> None:
    """What they come to is in tests/process/test_bind.py: they have the numbers from 3."""
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"}
    assert collect({"port": 1}, environ, None) == {"port": Given(1, COMMAND_LINE)}
    with pytest.raises(ConfigError, match="^LISTEN_FDS: expected a number of descriptors"):
        collect({}, environ, None)
    assert environ == {}
    assert collect({}, {"LISTEN_PID": "1", "LISTEN_FDS": "many"}, None) == {}
