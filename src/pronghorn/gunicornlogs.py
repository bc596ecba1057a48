"""The logs of a worker of gunicorn's: what the server says, and the access log, where gunicorn's settings want them.

The access log takes one of two ways. Where gunicorn would write lines to a file or to standard output and nobody asks
for more, our own compiled one does that. Where anybody else has a say (a logging configuration, syslog, statsd, a
logger class, the hooks for each request) gunicorn's logger gets each request as its own workers would report it.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from gunicorn.glogging import Logger

from pronghorn import loggers
from pronghorn._core.journal import Reports
from pronghorn.atoms import compile_format
from pronghorn.gunicornsettings import is_given

__all__ = ["Request", "Response", "access_settings", "attach", "reports"]

HOOKS = ("pre_request", "post_request")
CONFIGURATIONS = ("logconfig", "logconfig_dict", "logconfig_json")
PHRASES = {status.value: status.phrase for status in HTTPStatus}

Pairs = Iterable[tuple[bytes, bytes]]


class Forward(logging.Handler):
    """Hands what the server says to gunicorn's logger, of whatever class that is."""

    def __init__(self, log: Any) -> None:
        super().__init__()
        self.log = log

    def emit(self, record: logging.LogRecord) -> None:
        levels = ("debug", "info", "warning", "error", "critical")
        args = record.args if isinstance(record.args, tuple) else (record.args,) if record.args else ()
        more = {"exc_info": record.exc_info} if record.exc_info else {}
        try:
            getattr(self.log, levels[min(max(record.levelno // 10 - 1, 0), 4)])(record.msg, *args, **more)
        except Exception:
            self.handleError(record)


def attach(log: Any) -> None:
    """Let gunicorn's logger have what the server says, unless a logging configuration names the server's loggers."""
    logger = logging.getLogger(loggers.root())
    theirs = [one for one in (*logger.handlers, *loggers.server_log().handlers) if not isinstance(one, Forward)]
    if theirs:
        return
    logger.handlers = [Forward(log)]
    logger.propagate = False
    error_log = getattr(log, "error_log", None)
    logger.setLevel(error_log.getEffectiveLevel() if error_log is not None else logging.INFO)


def access_settings(cfg: Any, log: Any) -> dict[str, Any]:
    """The settings of our own access log, where it does what gunicorn's would; otherwise it is off."""
    if not is_plain(cfg, log):
        return {"access_log": False}
    return {"access_log": True, "access_log_file": cfg.accesslog, "access_log_format": cfg.access_log_format}


def is_plain(cfg: Any, log: Any) -> bool:
    """Whether gunicorn would write lines that ours can be, to where ours can go, and nobody would see a record."""
    if not cfg.accesslog or type(log) is not Logger or not wants_lines_only(cfg) or not is_original("access", "atoms"):
        return False
    handlers = log.access_log.handlers
    if len(handlers) != 1 or log.access_log.filters or handlers[0].filters or log.access_log.propagate:
        return False
    if not getattr(handlers[0], "_gunicorn", False) or handlers[0].formatter._fmt != Logger.access_fmt:
        return False
    if cfg.accesslog != "-" and not os.access(cfg.accesslog, os.W_OK):
        return False  # gunicorn has opened it while it was somebody else
    try:
        compile_format(cfg.access_log_format)
    except ValueError:
        return False
    return "}e)s" not in cfg.access_log_format  # there it is a variable of WSGI, here of the process


def wants_lines_only(cfg: Any) -> bool:
    return not any(is_given(cfg, name) for name in (*CONFIGURATIONS, *HOOKS, "syslog", "statsd_host"))


def is_original(*names: str) -> bool:
    """Whether nobody has replaced these methods of gunicorn's logger, as tracers do."""
    file = sys.modules[Logger.__module__].__file__
    return all(getattr(getattr(getattr(Logger, name), "__code__", None), "co_filename", None) == file for name in names)


def reports(worker: Any) -> Reports | None:
    """What tells gunicorn's logger and the hooks of each request; None where nobody wants to know."""
    cfg, log = worker.cfg, worker.log
    before, after = (getattr(cfg, name) if is_given(cfg, name) else None for name in HOOKS)
    logged = (
        bool(cfg.accesslog or any(is_given(cfg, name) for name in CONFIGURATIONS))
        or (cfg.syslog and not cfg.disable_redirect_access_to_syslog)
        or not isinstance(log, Logger)
        or type(log).access is not Logger.access  # as that of statsd, which counts
    )
    if not logged and before is None and after is None:
        return None

    def begun(client: Any, method: str, path: bytes, query: bytes, version: str, headers: list[Any]) -> Request:
        request = Request(client, method, path, query, version, headers)
        if before is not None:
            try:
                before(worker, request)
            except Exception:
                log.exception("Exception in pre_request hook")
        return request

    def over(request: Request, status: int, headers: Pairs | None, size: int) -> None:
        try:
            elapsed = timedelta(microseconds=(time.monotonic_ns() - request.began) // 1000)
            environ, response = request.environ(), Response(status, headers, size)
            if logged:
                log.access(response, request, environ, elapsed)
            if after is not None:
                after(worker, request, environ, response)
        except Exception:
            log.exception("Exception in the access log or in post_request hook")

    return Reports(begun, over)


def texts(headers: Pairs) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


class Request:
    """A request as the hooks and the access log of gunicorn know it. Its body is the application's."""

    def __init__(
        self, client: tuple[str, int] | None, method: str, path: bytes, query: bytes, version: str, headers: Pairs
    ) -> None:
        self.began = time.monotonic_ns()
        self.method = method
        self.path = path.decode("ascii", "replace")
        self.query = (query or b"").decode("ascii", "replace")
        self.uri = f"{self.path}?{self.query}" if self.query else self.path
        self.version = (1, int(version[-1])) if version.startswith("1.") else (int(version), 0)
        self.headers = [(name.upper(), value) for name, value in texts(headers)]
        self.client = client
        self.remote_addr = self.peer_addr = client or ""  # as gunicorn has it for a unix socket

    def environ(self) -> dict[str, Any]:
        """What of WSGI's environment is known without an application of WSGI."""
        address, port = self.client or ("-", "")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.method,
            "RAW_URI": self.uri,
            "PATH_INFO": self.path,
            "QUERY_STRING": self.query,
            "SERVER_PROTOCOL": f"HTTP/{self.version[0]}.{self.version[1]}",
            "REMOTE_ADDR": address,
            "REMOTE_PORT": str(port),
        }
        for name, value in self.headers:
            key = name.replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        return environ


class Response:
    """Its response, likewise."""

    def __init__(self, status: int, headers: Pairs | None, size: int) -> None:
        self.status_code = status
        self.status = f"{status} {PHRASES.get(status, '')}".rstrip()
        self.headers = texts(headers or ())
        self.sent = self.response_length = size
        self.headers_sent = headers is not None
