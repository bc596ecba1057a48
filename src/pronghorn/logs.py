"""Logging: the default configuration, its formatters, and the access line.

Three loggers: ``pronghorn`` and ``pronghorn.error`` (what the server says, on stderr), ``pronghorn.access`` (one line
per response, on stdout). The arguments of an access record are part of the interface, for formatters of one's own:
``(client_addr, method, full_path, http_version, status_code)``.
"""

from __future__ import annotations

import http
import logging
import logging.config  # applications count on it, too: uvicorn imports it
import sys
from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Literal

from pronghorn import loggers
from pronghorn.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ACCESS_FORMAT",
    "LOGGING_CONFIG",
    "LOG_LEVELS",
    "TRACE_LOG_LEVEL",
    "AccessFormatter",
    "ColourizedFormatter",
    "DefaultFormatter",
    "configure",
    "make_access",
    "rename",
]

TRACE_LOG_LEVEL = 5

LOG_LEVELS: dict[str, int] = {
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": TRACE_LOG_LEVEL,
}

ACCESS_FORMAT = '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s'

LOGGING_CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "default": {
            "()": "pronghorn.logs.DefaultFormatter",
            "fmt": "%(levelprefix)s %(message)s",
            "use_colors": None,
        },
        "access": {
            "()": "pronghorn.logs.AccessFormatter",
            "fmt": ACCESS_FORMAT,
            "use_colors": None,
        },
    },
    "handlers": {
        "default": {"formatter": "default", "class": "logging.StreamHandler", "stream": "ext://sys.stderr"},
        "access": {"formatter": "access", "class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
    },
    "loggers": {
        "pronghorn": {"handlers": ["default"], "level": "INFO", "propagate": False},
        "pronghorn.error": {"level": "INFO"},
        "pronghorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
    },
}

ACCESS_MESSAGE = '%s - "%s %s HTTP/%s" %d'

RESET, BOLD = "\033[0m", "\033[1m"
RED, GREEN, YELLOW, CYAN, WHITE, BLUE = (f"\033[{code}m" for code in (31, 32, 33, 36, 37, 34))
LEVEL_COLOURS = {
    TRACE_LOG_LEVEL: BLUE,
    logging.DEBUG: CYAN,
    logging.INFO: GREEN,
    logging.WARNING: YELLOW,
    logging.ERROR: RED,
    logging.CRITICAL: BOLD + RED,
}
PHRASES = {status.value: status.phrase for status in http.HTTPStatus}
STATUS_COLOURS = {1: WHITE, 2: GREEN, 3: YELLOW, 4: RED, 5: BOLD + RED}

Style = Literal["%", "{", "$"]


def duplicate(record: logging.LogRecord) -> logging.LogRecord:
    """A record to add to without other handlers noticing; many times faster than copy.copy()."""
    twin = record.__class__.__new__(record.__class__)
    twin.__dict__.update(record.__dict__)
    return twin


class ColourizedFormatter(logging.Formatter):
    """Adds ``%(levelprefix)s``, the level padded to one column, in colour when ``use_colors`` or the tty says so.

    A record may carry ``extra={"color_message": ...}``, the same format string with colours in it.
    """

    def __init__(
        self, fmt: str | None = None, datefmt: str | None = None, style: Style = "%", use_colors: bool | None = None
    ) -> None:
        self.use_colors = use_colors if use_colors in (True, False) else self.should_use_colors()
        super().__init__(fmt=fmt, datefmt=datefmt, style=style)

    def should_use_colors(self) -> bool:
        """Whether to colour when nobody decided; for one's own subclass to override."""
        return sys.stdout is not None and sys.stdout.isatty()

    def color_level_name(self, level_name: str, level_no: int) -> str:
        """The level's name in the level's colour."""
        colour = LEVEL_COLOURS.get(level_no)
        return f"{colour}{level_name}{RESET}" if colour else level_name

    def formatMessage(self, record: logging.LogRecord) -> str:
        painted = duplicate(record)
        self.add_fields(painted.__dict__, painted)
        return super().formatMessage(painted)

    def add_fields(self, fields: dict[str, Any], record: logging.LogRecord) -> None:
        """Add to the fields of a record what the format string may ask for."""
        level_name, blanks = record.levelname, " " * (8 - len(record.levelname))
        if self.use_colors:
            level_name = self.color_level_name(level_name, record.levelno)
            if "color_message" in fields:
                record.msg = fields["color_message"]
                fields["message"] = record.getMessage()
        fields["levelprefix"] = f"{level_name}:{blanks}"


class DefaultFormatter(ColourizedFormatter):
    """For everything but the access log; looks at stderr, where those lines go."""

    def should_use_colors(self) -> bool:
        return sys.stderr is not None and sys.stderr.isatty()


class AccessFormatter(ColourizedFormatter):
    """Adds ``%(client_addr)s``, ``%(request_line)s`` and ``%(status_code)s`` (with its phrase)."""

    def get_status_code(self, status_code: int) -> str:
        """The code and its phrase, coloured by class."""
        text = f"{status_code} {PHRASES.get(status_code, '')}"
        if self.use_colors:
            return f"{STATUS_COLOURS.get(status_code // 100, '')}{text}{RESET}"
        return text

    def add_fields(self, fields: dict[str, Any], record: logging.LogRecord) -> None:
        """Add the parts of the access line."""
        super().add_fields(fields, record)
        client_addr, method, full_path, http_version, status_code = record.args  # type: ignore[misc]
        request_line = f"{method} {full_path} HTTP/{http_version}"
        fields["client_addr"] = client_addr
        fields["request_line"] = f"{BOLD}{request_line}{RESET}" if self.use_colors else request_line
        fields["status_code"] = self.get_status_code(status_code)  # type: ignore[arg-type]


def rename(root: str) -> None:
    """Give the loggers another name, also in `LOGGING_CONFIG`, which others may hold already."""
    named = LOGGING_CONFIG["loggers"]
    for part in ("", ".error", ".access"):
        if loggers.root() + part in named:
            named[root + part] = named.pop(loggers.root() + part)
    loggers.rename(root)


def configure(
    log_config: dict[str, Any] | str | None, log_level: str | int | None, access_log: bool, use_colors: bool | None
) -> None:
    """Apply a logging configuration, then the three settings that refine it."""
    logging.addLevelName(TRACE_LOG_LEVEL, "TRACE")
    if log_config is not None:
        try:
            apply(log_config, use_colors)
        except Exception as error:  # whatever a configuration of somebody's own runs into
            named = "the dictionary" if isinstance(log_config, dict) else repr(log_config)
            raise ConfigError(f"log_config: {named} cannot be used: {one_line(error)}") from error
    if log_level is not None:
        level = LOG_LEVELS[log_level] if isinstance(log_level, str) else log_level
        for part in ("error", "access", "asgi"):
            logging.getLogger(loggers.name(part)).setLevel(level)
    if not access_log:
        logger = loggers.access_log()
        logger.handlers = []
        logger.propagate = False


def apply(log_config: dict[str, Any] | str, use_colors: bool | None) -> None:
    if isinstance(log_config, str):
        from pathlib import Path  # slow to import, as are those below, and of use here only

        path = Path(log_config)
        if path.suffix == ".json":
            import json

            log_config = json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".toml":
            import tomllib

            log_config = tomllib.loads(path.read_text(encoding="utf-8"))
        elif path.suffix in (".yaml", ".yml"):
            try:
                import yaml
            except ImportError:
                raise ValueError("PyYAML is not installed; pip install 'pronghorn[standard]'") from None
            log_config = yaml.safe_load(path.read_text(encoding="utf-8"))
        else:
            configure_by_ini(path)
            return
    if not isinstance(log_config, dict):
        raise ValueError("the file does not hold a mapping")
    names: list[str] = []
    if log_config is not LOGGING_CONFIG:
        from pronghorn import uvicornlogs

        log_config, names = uvicornlogs.translate(log_config, loggers.root())
    if use_colors is not None:
        log_config = deepcopy(log_config)
        for name in ("default", "access"):
            if name in log_config.get("formatters", {}):
                log_config["formatters"][name]["use_colors"] = use_colors
    logging.config.dictConfig(log_config)
    notice(names)


def configure_by_ini(path: Path) -> None:
    from configparser import ConfigParser

    from pronghorn import uvicornlogs

    parser = ConfigParser()
    with path.open(encoding="utf-8") as file:  # fileConfig's own complaint about a missing file does not name it well
        parser.read_file(file)
    names = uvicornlogs.translate_ini(parser, loggers.root())
    logging.config.fileConfig(parser, disable_existing_loggers=False)
    notice(names)


def notice(names: list[str]) -> None:
    if names:
        loggers.server_log().info("log_config: %s taken for %s's own", ", ".join(names), loggers.root())


def one_line(error: BaseException) -> str:
    """An exception, and what it was raised from, as text without line breaks."""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{text}: {one_line(error.__cause__)}" if error.__cause__ else text


def make_access(logger: logging.Logger) -> Callable[[str, str, str, str, int], None] | None:
    """What the compiled layer calls once per response, or None when nobody would see the line.

    The record is made directly: looking for the caller's file and line, as ``logger.info`` does, costs more than
    the line itself and would only ever name this function.
    """
    if not logger.isEnabledFor(logging.INFO) or not logger.hasHandlers():
        return None
    name, handle, make_record = logger.name, logger.handle, logging.getLogRecordFactory()

    def access(client_addr: str, method: str, full_path: str, http_version: str, status_code: int) -> None:
        args = (client_addr, method, full_path, http_version, status_code)
        handle(make_record(name, logging.INFO, __file__, 0, ACCESS_MESSAGE, args, None))

    return access
