"""The worker class for gunicorn: hooks, access log, logging configuration and statsd."""

from __future__ import annotations

import os
import re
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from process.arbiter import LISTENING, Start
from process.command import PATIENCE, Client
from process.load import ask, children, until
from wsclients import CLIENTS, Denied

if TYPE_CHECKING:
    from process.conftest import Workplace

pytest.importorskip("gunicorn", reason="gunicorn is not installed")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")


HOOKS = """
def post_fork(server, worker): print("post_fork")
def post_worker_init(worker): print("post_worker_init")
def worker_exit(server, worker): print("worker_exit")
def child_exit(server, worker): print("child_exit")
def pre_request(worker, req): print("pre_request", req.method, req.path, req.query, dict(req.headers)["X-A"])
def post_request(worker, req, environ, resp):
    print("post_request", req.uri, environ["HTTP_X_A"], environ["REMOTE_ADDR"], resp.status, dict(resp.headers)["x-kind"])
"""


def test_hooks(gunicorn: Start) -> None:
    server = gunicorn(HOOKS).serving()
    with Client(server.port) as client:
        client.request("/here?a=b", "X-A: c", "Connection: close")
        client.rest()
    server.stop()
    assert [line for line in server.command.out if "imported" not in line] == [
        "post_fork",
        "post_worker_init",
        "pre_request GET /here a=b c",
        "post_request /here?a=b c 127.0.0.1 200 OK plain",
        "lifespan ends",
        "worker_exit",
        "child_exit",
    ]


def test_hook_that_raises(gunicorn: Start) -> None:
    server = gunicorn("def pre_request(worker, req): 1 / 0").serving()
    assert ask(server.port) in children(server.command)
    server.command.wait_for("Exception in pre_request hook")
    assert server.command.stop() == 0


# Logs.

FORMAT = "%(h)s|%(l)s|%(u)s|%(m)s|%(U)s|%(q)s|%(H)s|%(r)s|%(s)s|%(B)s|%(b)s|%(f)s|%(a)s|%({x-a}i)s|%({x-kind}o)s|%({none}i)s|%(p)s"
AS_RECORDS = "def pre_request(worker, req): ...\n"  # whoever has a hook gets records


@pytest.mark.parametrize("more", ["", AS_RECORDS], ids=["compiled", "records"])
def test_access_log(gunicorn: Start, place: Workplace, more: str) -> None:
    server = gunicorn(f"accesslog = 'access.log'\naccess_log_format = {FORMAT!r}\n{more}").serving()
    (pid,) = children(server.command)
    with Client(server.port) as client:
        headers = ("Referer: there", "User-Agent: me", "X-A: b", "Authorization: Basic bmFtZTpwYXNz")
        client.request("/here%20or?there=1", "Connection: close", *headers)
        client.rest()
    server.stop()
    size = len(str(pid))
    assert (place.path / "access.log").read_text() == (
        f"127.0.0.1|-|name|GET|/here%20or|there=1|HTTP/1.1|GET /here%20or?there=1 HTTP/1.1|200|{size}|{size}|there|me|b|plain|-|<{pid}>\n"
    )


@pytest.mark.parametrize("more", ["", AS_RECORDS], ids=["compiled", "records"])
def test_default_format_on_standard_output(gunicorn: Start, more: str) -> None:
    server = gunicorn("accesslog = '-'\n" + more).serving()
    ask(server.port)
    with CLIENTS["wsproto"](f"ws://127.0.0.1:{server.port}/") as client:
        client.close(1000)
    server.stop()
    first, second = (line for line in server.command.out if "HTTP/1.1" in line)
    assert re.fullmatch(
        r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET / HTTP/1\.1" 200 \d+ "-" "-"', first
    )
    assert '"GET / HTTP/1.1" 101' in second


def test_both_ways_have_the_same_lines(gunicorn: Start) -> None:
    """Also of responses that do not come, and of those that are no responses of the application."""
    lines = []
    for more in ("", AS_RECORDS):
        server = gunicorn(
            f"accesslog = '-'\naccess_log_format = 'line %(m)s %(U)s %(q)s %(s)s %(B)s %({{x-kind}}o)s'\n{more}"
        ).serving()
        for target in ("/", "/raise", "/nothing", "/iterator?a", "/%22"):
            server.status(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        server.status(b"HEAD / HTTP/1.0\r\n\r\n")
        server.status(b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
        with Client(server.port) as client:
            client.request("/endless")
            client.until(b"begun")
        with pytest.raises(Denied):
            CLIENTS["wsproto"](f"ws://127.0.0.1:{server.port}/deny")
        server.command.wait_for("/deny")
        server.command.wait_for("told of the end")
        assert server.command.stop() == 0
        lines.append(
            sorted(re.sub(r" \d+ plain", " pid plain", line) for line in server.command.out if line.startswith("line"))
        )
    assert lines[0] == lines[1]
    assert len(lines[0]) == 9
    assert "line GET /raise  500 21 -" in lines[0]


def test_variable_of_wsgi_in_the_format(gunicorn: Start) -> None:
    server = gunicorn(
        "accesslog = '-'\naccess_log_format = 'port %({REMOTE_PORT}e)s %({request_method}e)s %(nothing)s'"
    ).serving()
    ask(server.port)
    server.stop()
    assert any(re.fullmatch(r"port \d+ GET -", line) for line in server.command.out)


def test_no_access_log(gunicorn: Start) -> None:
    server = gunicorn().serving()
    ask(server.port)
    assert not any("HTTP/1.1" in line for line in server.stop())


def test_logging_configuration(gunicorn: Start) -> None:
    server = gunicorn("""
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"mine": {"format": "mine %(name)s %(levelname)s %(message)s"}},
    "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "mine", "stream": "ext://sys.stdout"}},
    "loggers": {
        "gunicorn.error": {"handlers": ["out"], "level": "INFO", "propagate": False},
        "gunicorn.access": {"handlers": ["out"], "level": "INFO", "propagate": False},
    },
    "root": {"handlers": [], "level": "INFO"},
}
access_log_format = "%(m)s %(U)s %(s)s"
""")  # fmt: skip
    server.command.wait_for("mine gunicorn.error INFO Application startup complete.")
    ask(server.port)
    assert "mine gunicorn.access INFO GET / 200" in server.stop()


def test_level(gunicorn: Start) -> None:
    server = gunicorn("", "--log-level", "warning")
    until(lambda: any("imported by" in line for line in server.command.lines), "the application is imported")
    assert server.command.stop() == 0
    assert server.command.err == []


def test_logs_are_opened_again(gunicorn: Start, place: Workplace) -> None:
    server = gunicorn("accesslog = 'access.log'\nerrorlog = 'error.log'\naccess_log_format = '%(U)s'")
    access, error = place.path / "access.log", place.path / "error.log"
    until(lambda: error.exists() and "startup complete" in error.read_text(), "it serves")
    found = LISTENING.search(error.read_text())
    assert found
    ask(int(found[1]), "/before")
    until(lambda: access.read_text() == "/before\n", "the line is there")
    access.rename(place.path / "access.1")
    error.rename(place.path / "error.1")
    server.command.send(signal.SIGUSR1)
    until(lambda: access.exists() and error.exists(), "both are opened again")
    until(lambda: bool(ask(int(found[1]), "/after")) and "/after\n" in access.read_text(), "lines go to the new one")
    assert server.command.stop() == 0
    assert "Application shutdown complete" in error.read_text()
    assert "startup" in (place.path / "error.1").read_text()
    server.command.clean()


def test_statsd(gunicorn: Start) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE)
        server = gunicorn(f"statsd_host = '127.0.0.1:{receiver.getsockname()[1]}'\nstatsd_prefix = 'mine'").serving()
        ask(server.port)
        seen: list[str] = []
        while not any("request.status" in metric for metric in seen):
            seen.append(receiver.recv(1000).decode())
        assert "mine.gunicorn.requests:1|c|@1.0" in seen
        assert "mine.gunicorn.request.status.200:1|c|@1.0" in seen
        (duration,) = [metric for metric in seen if "request.duration" in metric]
        assert re.fullmatch(r"mine\.gunicorn\.request\.duration:\d+\.\d+\|ms", duration)
        server.stop()


def test_logger_class(gunicorn: Start, place: Workplace) -> None:
    """One of somebody's own gets what the server says and each request, through its methods."""
    place.write("logger", """
from gunicorn.glogging import Logger

class Mine(Logger):
    def info(self, msg, *args, **kwargs):
        print("said", msg % args if args else msg)

    def access(self, resp, req, environ, request_time):
        print("asked", req.method, environ["RAW_URI"], resp.status, resp.sent, request_time.total_seconds() >= 0)
""")  # fmt: skip
    server = gunicorn("logger_class = 'logger.Mine'")
    server.command.wait_for("said Application startup complete.")
    found = LISTENING.search(server.command.wait_for("Listening at"))
    assert found
    pid = ask(int(found[1]), "/a?b")
    assert f"asked GET /a?b 200 OK {len(str(pid))} True" in server.stop()
