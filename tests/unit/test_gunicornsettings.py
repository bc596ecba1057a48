"""pronghorn.gunicornsettings: each of gunicorn's settings has its place."""

from __future__ import annotations

import sys
from typing import Any

import pytest

pytest.importorskip("gunicorn", reason="gunicorn is not installed")

from gunicorn.config import Config as GunicornConfig

from pronghorn import Config, gunicornsettings
from pronghorn.gunicornsettings import is_given, settings_from, their_name, without_meaning
from pronghorn.settings import table

# What gunicorn does with these is done before a worker runs, around it, or by its logger.
THEIRS = set("""
    config wsgi_app bind workers worker_class reload reload_engine reload_extra_files spew check_config print_config
    preload_app reuse_port chdir daemon raw_env pidfile worker_tmp_dir user group umask initgroups pythonpath paste
    raw_paste_global_conf proc_name default_proc_name enable_stdio_inheritance
    errorlog loglevel capture_output logger_class syslog_addr syslog_prefix syslog_facility dogstatsd_tags statsd_prefix
    enable_backlog_metric
    on_starting on_reload when_ready pre_fork post_fork post_worker_init worker_int worker_abort pre_exec child_exit
    worker_exit nworkers_changed on_exit
    dirty_apps dirty_workers dirty_timeout dirty_threads dirty_graceful_timeout on_dirty_starting dirty_post_fork
    dirty_worker_init dirty_worker_exit control_socket control_socket_mode control_socket_disable
""".split())  # fmt: skip  # noqa: SIM905
# Ours, in this module, in gunicornlogs and in gunicorn.
USED = set("""
    timeout max_requests_jitter forwarded_allow_ips proxy_protocol header_map protocol ssl_context
    accesslog access_log_format disable_redirect_access_to_syslog logconfig logconfig_dict logconfig_json syslog statsd_host
    pre_request post_request
""".split())  # fmt: skip  # noqa: SIM905


def settings(**changes: Any) -> dict[str, Any]:
    cfg = GunicornConfig()
    for name, value in changes.items():
        cfg.set(name, value)
    return settings_from(cfg, sys.maxsize)


def test_every_setting_has_its_place() -> None:
    """A version of gunicorn with a new one is noticed here."""
    mapped = set(gunicornsettings.THEIRS.values()) | USED
    unknown = set(GunicornConfig().settings) - mapped - THEIRS - set(gunicornsettings.WITHOUT_MEANING)
    assert unknown == set()


def test_ours_exist() -> None:
    assert set(gunicornsettings.THEIRS) <= {setting.name for setting in table()}


def test_defaults_make_a_configuration() -> None:
    config = Config("a:b", **settings())
    assert (config.timeout_keep_alive, config.timeout_graceful_shutdown, config.limit_max_requests) == (2, 28, None)
    assert (config.limit_request_line, config.limit_request_head, config.limit_connections) == (4094, 65536, 1000)
    assert (config.proxy_protocol, config.is_ssl, config.header_map) == ("off", False, "drop")
    assert without_meaning(GunicornConfig()) == []


@pytest.mark.parametrize(("theirs", "ours"), [(30, 28), (4, 2), (3, 1.5), (0, 0)])
def test_graceful_timeout(theirs: int, ours: float) -> None:
    assert settings(graceful_timeout=theirs)["timeout_graceful_shutdown"] == ours


@pytest.mark.parametrize(("line", "field", "head"), [(100, 100, 65536), (4094, 70_000, 74_094), (0, 10, 0), (10, 0, 0)])
def test_whole_head(line: int, field: int, head: int) -> None:
    assert settings(limit_request_line=line, limit_request_field_size=field)["limit_request_head"] == head


def test_keepalive_of_nothing() -> None:
    found = settings(keepalive=0)
    assert "timeout_keep_alive" not in found and found["limit_requests_per_connection"] == 1


def test_is_given() -> None:
    cfg = GunicornConfig()
    assert not is_given(cfg, "pre_request") and not is_given(cfg, "threads") and not is_given(cfg, "nothing")
    cfg.set("pre_request", lambda worker, req: None)
    cfg.set("post_request", lambda worker, req: None)
    cfg.set("threads", 2)
    assert is_given(cfg, "pre_request") and is_given(cfg, "post_request") and is_given(cfg, "threads")


def test_names_in_messages() -> None:
    assert their_name("limit_connections: expected a number") == "worker_connections: expected a number"
    assert their_name("loop: expected: this") == "asgi_loop: expected: this"
    assert their_name("something else") == "something else"
