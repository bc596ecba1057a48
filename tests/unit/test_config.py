"""pronghorn.config: what the settings come to."""

import asyncio
import logging
import socket
import sys
from pathlib import Path

import pytest

from pronghorn import loggers
from pronghorn.config import Config
from pronghorn.errors import ConfigError, StartupError


async def application(scope: object, receive: object, send: object) -> None: ...


def quiet(app: object = application, **settings: object) -> Config:
    return Config(app, log_config=None, **settings)  # type: ignore[arg-type]


def test_a_wrong_setting_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match="^backlog: expected a whole number from 1, got 0$"):
        quiet(backlog=0)


def test_headers_are_encoded() -> None:
    assert quiet(headers=[("X-A", "b")]).encoded_headers == [(b"x-a", b"b")]


@pytest.mark.parametrize(("name", "attribute"), [("Server", "server_header"), ("DATE", "date_header")])
def test_a_header_of_ones_own_replaces_the_servers(name: str, attribute: str) -> None:
    assert getattr(quiet(), attribute) is True
    assert getattr(quiet(headers=[(name, "mine")]), attribute) is False


def test_load_finds_the_application_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "counting.py").write_text("made = []\ndef make():\n    made.append(1)\n    return make_none\n"
                                          "def make_none(scope, receive, send): ...\n")  # fmt: skip
    monkeypatch.syspath_prepend(tmp_path)
    config = quiet("counting:make", factory=True)
    assert not config.loaded
    config.load()
    config.load()
    counting = sys.modules.pop("counting")
    assert config.loaded
    assert counting.made == [1]
    assert config.loaded_app is counting.make_none


def test_an_application_given_as_an_object_is_that_object() -> None:
    config = quiet()
    config.load()
    assert config.loaded_app is application


@pytest.mark.parametrize("name", ["auto", "uvloop"])
def test_uvloop_is_the_loop_where_it_is_installed(name: str) -> None:
    uvloop = pytest.importorskip("uvloop")
    assert quiet(loop=name).get_loop_factory() is uvloop.new_event_loop


@pytest.mark.parametrize("name", ["auto", "uvloop"])
def test_without_uvloop_auto_is_asyncio_and_uvloop_an_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    if name == "auto":
        assert quiet(loop=name).get_loop_factory() is asyncio.SelectorEventLoop
    else:
        with pytest.raises(ConfigError, match="^loop: uvloop is not installed$"):
            quiet(loop=name).get_loop_factory()


def test_other_loops() -> None:
    assert quiet(loop="asyncio").get_loop_factory() is asyncio.SelectorEventLoop
    assert quiet(loop="asyncio:new_event_loop").get_loop_factory() is asyncio.new_event_loop
    assert quiet(loop="none").get_loop_factory() is None


@pytest.mark.parametrize("name", ["nowhere:loop", "asyncio:nothing"])
def test_a_loop_that_cannot_be_imported_is_one_line(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^loop: cannot import '{name}'"):
        quiet(loop=name).get_loop_factory()


def test_bind_socket_binds_without_listening() -> None:
    with quiet(port=0).bind_socket() as sock:
        assert sock.getsockname()[0] == "127.0.0.1"
        assert sock.getsockname()[1] > 0
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0


def test_bind_socket_of_a_port_in_use_is_one_line() -> None:
    with quiet(port=0).bind_socket() as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=f"^cannot listen on http://127.0.0.1:{port}: address already in use$"):
            quiet(port=port).bind_socket()


def test_logging_is_configured_at_once_or_left_alone() -> None:
    logger = logging.getLogger("pronghorn.error")
    before = [(each, each.level) for each in loggers.every()]
    try:
        Config(application, log_level="debug")
        assert logger.level == logging.DEBUG
        assert logging.getLogger("pronghorn").handlers
        logger.setLevel(logging.CRITICAL)
        quiet()
        assert logger.level == logging.CRITICAL
    finally:
        for each, level in before:
            each.setLevel(level)
        logging.getLogger("pronghorn").handlers = []
        logging.getLogger("pronghorn.access").handlers = []


def test_it_speaks_asgi_3_without_tls() -> None:
    assert quiet().asgi_version == "3.0"
    assert quiet().is_ssl is False
