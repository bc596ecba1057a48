"""pronghorn.settings: the table that configuration, command line and documentation are made from."""

import inspect
import resource
import runpy
from pathlib import Path
from typing import Any

import pytest

from pronghorn import Config
from pronghorn.errors import ConfigError
from pronghorn.settings import Settings, default_text, table
from pronghorn.subjects import Setting

UVICORN_ORDER = [
    "host", "port", "uds", "fd", "loop", "http", "http2", "ws", "ws_max_size", "ws_max_queue", "ws_ping_interval",
    "ws_ping_timeout", "ws_per_message_deflate", "lifespan", "env_file", "log_config", "log_level", "access_log",
    "use_colors", "interface", "reload", "reload_dirs", "reload_delay", "reload_includes", "reload_excludes",
    "workers", "proxy_headers", "server_header", "date_header", "forwarded_allow_ips", "root_path",
    "limit_concurrency", "limit_max_requests", "limit_max_requests_jitter", "backlog", "timeout_keep_alive",
    "timeout_notify", "timeout_graceful_shutdown", "timeout_worker_healthcheck", "callback_notify", "ssl_keyfile",
    "ssl_certfile", "ssl_keyfile_password", "ssl_version", "ssl_cert_reqs", "ssl_ca_certs", "ssl_ciphers",
    "ssl_context_factory", "headers", "factory", "h11_max_incomplete_event_size", "reset_contextvars",
]  # fmt: skip

DEFAULTS = {
    "host": "127.0.0.1",
    "port": 8000,
    "loop": "auto",
    "ws": "auto",
    "ws_max_size": 16_777_216,
    "ws_max_queue": 32,
    "ws_ping_interval": 20.0,
    "ws_ping_timeout": 20.0,
    "ws_per_message_deflate": True,
    "lifespan": "auto",
    "interface": "auto",
    "reset_contextvars": False,
    "limit_max_requests_jitter": 0,
    "timeout_notify": 30,
    "callback_notify": None,
    "task": "auto",
    "backlog": 2048,
    "limit_concurrency": None,
    "limit_max_requests": None,
    "timeout_keep_alive": 65,
    "timeout_graceful_shutdown": 30,
    "timeout_first_byte": 10,
    "timeout_request_head": 10,
    "timeout_request_body": 30,
    "timeout_write_stall": 30,
    "timeout_linger": 2,
    "timeout_lifespan_startup": 60,
    "timeout_lifespan_shutdown": 30,
    "body_rate_minimum": 240,
    "body_rate_grace": 5,
    "limit_request_line": 8192,
    "limit_request_field_size": 16384,
    "limit_request_head": 65536,
    "limit_request_fields": 100,
    "limit_request_body": None,
    "limit_trailer_fields": 64,
    "limit_trailer_size": 8192,
    "limit_chunk_extension": 256,
    "limit_chunk_extensions": 16384,
    "limit_requests_per_connection": 10000,
    "body_high_water": 65536,
    "write_high_water": 65536,
    "header_map": "drop",
}


def test_the_settings_of_uvicorn_come_first_and_in_its_order() -> None:
    names = [setting.name for setting in table()]
    assert names[: len(UVICORN_ORDER)] == UVICORN_ORDER
    assert [*inspect.signature(Config).parameters] == ["app", *names]
    assert str(inspect.signature(Config)).startswith("(app, host='127.0.0.1', port=8000, uds=None, ")


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items())
def test_default(name: str, value: object) -> None:
    assert getattr(Settings("app"), name) == value


@pytest.mark.parametrize("setting", table(), ids=lambda setting: setting.name)
def test_every_default_is_of_its_own_form(setting: Setting) -> None:
    assert setting.form.check(setting.make()) == setting.make()


@pytest.mark.parametrize("setting", table(), ids=lambda setting: setting.name)
def test_every_setting_says_what_it_is_in_one_line(setting: Setting) -> None:
    meaning = setting.meaning
    assert meaning.endswith(".") and "\n" not in meaning and len(meaning) < 90
    assert default_text(setting)


@pytest.mark.parametrize("name", [name for name in DEFAULTS if name.startswith(("limit_", "timeout_", "body_rate"))])
def test_every_limit_and_time_out_can_be_switched_off(name: str) -> None:
    for off in (None, 0):
        given: dict[str, Any] = {name: off}
        assert getattr(Settings("app", **given), name) == off


def test_a_wrong_value_names_the_setting_and_the_form() -> None:
    with pytest.raises(ConfigError) as error:
        Settings("app", port=70000)
    assert str(error.value) == "port: expected a port from 0 to 65535, got 70000"


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(TypeError, match="nonsense"):
        Settings("app", nonsense=1)  # type: ignore[call-arg]


def test_arguments_that_no_call_may_have() -> None:
    with pytest.raises(TypeError, match="lacks its argument 'app'"):
        Settings()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="two values for argument 'host'"):
        Settings("app", "::1", host="::1")  # type: ignore[misc]
    with pytest.raises(TypeError, match="arguments at most, got 300"):
        Settings(*["app"] * 300)  # type: ignore[arg-type]


def test_connections_stay_below_the_limit_on_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
        assert Settings("app").limit_connections == 236
        resource.setrlimit(resource.RLIMIT_NOFILE, (60, hard))
        assert Settings("app").limit_connections == 1
        if hard == resource.RLIM_INFINITY or hard >= 20_000:
            resource.setrlimit(resource.RLIMIT_NOFILE, (20_000, hard))
            assert Settings("app").limit_connections == 10_000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_page_of_settings_is_up_to_date() -> None:
    docs = Path(__file__).parents[2] / "docs"
    if not docs.exists():
        pytest.skip("not in a source tree")
    made = runpy.run_path(str(docs / "make_settings.py"))
    assert (docs / "settings.md").read_text(encoding="utf-8") == made["page"](), "run docs/make_settings.py"
    keywords = docs.parent / "src" / "pronghorn" / "keywords.py"
    assert keywords.read_text(encoding="utf-8") == made["keywords"](), "run docs/make_settings.py"
