"""pronghorn.logs: the default configuration, its formatters, the access line."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pronghorn import logs
from pronghorn.errors import ConfigError

NAMES = ("pronghorn", "pronghorn.error", "pronghorn.access", "pronghorn.asgi")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave the server's loggers as they were."""
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def record(message: str, *args: object, level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("pronghorn.access", level, __file__, 1, message, args, None)
    made.__dict__.update(extra)
    return made


def access_record(status: int = 200) -> logging.LogRecord:
    return record(logs.ACCESS_MESSAGE, "127.0.0.1:4000", "GET", "/a?b=c", "1.1", status)


ACCESS_FORMAT = logs.LOGGING_CONFIG["formatters"]["access"]["fmt"]


def test_the_access_line() -> None:
    line = logs.AccessFormatter(ACCESS_FORMAT, use_colors=False).format(access_record())
    assert line == 'INFO:     127.0.0.1:4000 - "GET /a?b=c HTTP/1.1" 200 OK'


def test_the_access_line_of_a_status_without_a_phrase() -> None:
    line = logs.AccessFormatter(ACCESS_FORMAT, use_colors=False).format(access_record(599))
    assert line.endswith('"GET /a?b=c HTTP/1.1" 599 ')


def test_a_plain_formatter_shows_the_access_line_as_well() -> None:
    assert access_record().getMessage() == '127.0.0.1:4000 - "GET /a?b=c HTTP/1.1" 200'


def test_colours_of_the_access_line_tell_the_class_of_the_status() -> None:
    lines = {
        status: logs.AccessFormatter(ACCESS_FORMAT, use_colors=True).format(access_record(status))
        for status in (100, 200, 301, 404, 500)
    }
    assert "\x1b[32m200 OK\x1b[0m" in lines[200]
    assert "\x1b[31m404 Not Found\x1b[0m" in lines[404]
    assert '"\x1b[1mGET /a?b=c HTTP/1.1\x1b[0m"' in lines[200]


def test_the_level_has_a_column_of_its_own() -> None:
    formatter = logs.DefaultFormatter("%(levelprefix)s %(message)s", use_colors=False)
    lines = [formatter.format(record("text", level=level)) for level in (logging.INFO, logging.WARNING, logging.ERROR)]
    assert lines == ["INFO:     text", "WARNING:  text", "ERROR:    text"]


def test_colours_take_the_colour_message() -> None:
    message = record("plain %d", 1, color_message="bright %d")
    assert logs.DefaultFormatter("%(message)s", use_colors=True).format(message) == "bright 1"
    assert logs.DefaultFormatter("%(message)s", use_colors=False).format(message) == "plain 1"
    assert logs.DefaultFormatter("%(levelprefix)s", use_colors=True).format(record("x")) == "\x1b[32mINFO\x1b[0m:    "


def test_formatting_does_not_change_the_record_for_other_handlers() -> None:
    before = access_record()
    logs.AccessFormatter(ACCESS_FORMAT, use_colors=True).format(before)
    assert "status_code" not in before.__dict__ and "levelprefix" not in before.__dict__


def test_without_a_decision_the_terminal_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert logs.DefaultFormatter().use_colors is True
    assert logs.AccessFormatter().use_colors is False


def test_without_standard_streams_there_are_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)
    assert logs.DefaultFormatter().use_colors is False
    assert logs.AccessFormatter().use_colors is False


def test_the_default_configuration(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(logs.LOGGING_CONFIG, None, True, False)
    logging.getLogger("pronghorn.error").info("said")
    logging.getLogger("pronghorn.error").debug("not said")
    access = logs.make_access(logging.getLogger("pronghorn.access"))
    assert access is not None
    access("127.0.0.1:1", "GET", "/", "1.1", 204)
    out, err = capfd.readouterr()
    assert err == "INFO:     said\n"
    assert out == 'INFO:     127.0.0.1:1 - "GET / HTTP/1.1" 204 No Content\n'


def test_the_colour_setting_does_not_change_the_shared_dictionary() -> None:
    logs.configure(logs.LOGGING_CONFIG, None, True, True)
    assert logs.LOGGING_CONFIG["formatters"]["default"]["use_colors"] is None
    formatter = logging.getLogger("pronghorn").handlers[0].formatter
    assert isinstance(formatter, logs.DefaultFormatter) and formatter.use_colors is True


@pytest.mark.parametrize(("level", "number"), [("trace", 5), ("critical", 50), (15, 15)])
def test_the_level_setting(level: str | int, number: int) -> None:
    logs.configure(None, level, True, None)
    assert logging.getLogger("pronghorn.error").level == number
    assert logging.getLogger("pronghorn.access").level == number


def test_trace_has_a_name() -> None:
    logs.configure(None, None, True, None)
    assert logging.getLevelName(logs.TRACE_LOG_LEVEL) == "TRACE"


def test_without_access_log_nobody_formats_a_line() -> None:
    logs.configure(logs.LOGGING_CONFIG, None, False, None)
    assert logs.make_access(logging.getLogger("pronghorn.access")) is None


def test_above_info_nobody_formats_a_line() -> None:
    logs.configure(logs.LOGGING_CONFIG, "warning", True, None)
    assert logs.make_access(logging.getLogger("pronghorn.access")) is None


def test_the_access_record_carries_the_five_arguments(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("pronghorn.access")
    logger.handlers, logger.propagate = [caplog.handler], False
    logger.setLevel(logging.INFO)
    access = logs.make_access(logger)
    assert access is not None
    access("a", "GET", "/", "1.1", 200)
    assert caplog.records[0].args == ("a", "GET", "/", "1.1", 200)
    assert (caplog.records[0].name, caplog.records[0].levelname) == ("pronghorn.access", "INFO")


CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"pronghorn.error": {"level": "ERROR"}},
}
INI = "[loggers]\nkeys=root,e\n[handlers]\nkeys=\n[formatters]\nkeys=\n[logger_root]\nhandlers=\n"
INI += "[logger_e]\nqualname=pronghorn.error\nlevel=ERROR\nhandlers=\n"


def test_configuration_files(tmp_path: Path) -> None:
    root = logging.getLogger()
    handlers = root.handlers[:]
    (tmp_path / "a.json").write_text(json.dumps(CONFIG))
    (tmp_path / "a.ini").write_text(INI)
    for name in ("a.json", "a.ini"):
        logging.getLogger("pronghorn.error").setLevel(logging.NOTSET)
        logs.configure(str(tmp_path / name), None, True, None)
        assert logging.getLogger("pronghorn.error").level == logging.ERROR
    root.handlers[:] = handlers


def test_a_yaml_configuration_file(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(CONFIG))
    logs.configure(str(tmp_path / "a.yaml"), None, True, None)
    assert logging.getLogger("pronghorn.error").level == logging.ERROR


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("missing.json", None),
        ("missing.ini", None),
        ("bad.json", "{"),
        ("list.json", "[]"),
        ("bad.ini", "nothing"),
        ("unknown.json", '{"version": 1, "handlers": {"a": {"class": "nowhere.Handler"}}}'),
    ],
)
def test_a_configuration_that_cannot_be_used_is_one_line(tmp_path: Path, name: str, content: str | None) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match="^log_config: ") as error:
        logs.configure(str(tmp_path / name), None, True, None)
    assert name in str(error.value)
    assert "\n" not in str(error.value)
