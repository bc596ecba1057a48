"""What somebody meets who starts the server for the first time, or comes from uvicorn: the log says what happens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from process.command import Client

if TYPE_CHECKING:
    from process.conftest import Workplace

UVICORNS = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "default": {"()": "uvicorn.logging.DefaultFormatter", "fmt": "mine %(levelprefix)s %(message)s"},
        "access": {"()": "uvicorn.logging.AccessFormatter", "fmt": "mine %(client_addr)s %(request_line)s %(status_code)s"},
    },
    "handlers": {
        "default": {"formatter": "default", "class": "logging.StreamHandler", "stream": "ext://sys.stderr"},
        "access": {"formatter": "access", "class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
    },
    "loggers": {
        "uvicorn": {"handlers": ["default"], "level": "INFO", "propagate": False},
        "uvicorn.error": {"level": "INFO"},
        "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
    },
}
INI = """
[loggers]
keys = root, server, access
[handlers]
keys = err, out
[formatters]
keys = default, access
[logger_root]
handlers =
[logger_server]
qualname = uvicorn
handlers = err
level = INFO
propagate = 0
[logger_access]
qualname = uvicorn.access
handlers = out
level = INFO
propagate = 0
[handler_err]
class = StreamHandler
args = (sys.stderr,)
formatter = default
[handler_out]
class = StreamHandler
args = (sys.stdout,)
formatter = access
[formatter_default]
format = mine %(levelprefix)s %(message)s
class = uvicorn.logging.DefaultFormatter
[formatter_access]
format = mine %(client_addr)s %(request_line)s %(status_code)s
class = uvicorn.logging.AccessFormatter
"""


LONG = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"h" * 5000})
"""


def ask(port: int, target: str = "/", *headers: str) -> bytes:
    with Client(port) as client:
        client.request(target, "Connection: close", *headers)
        return client.rest()


@pytest.mark.parametrize("name", ["log.json", "log.ini"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_logging_configuration_for_uvicorn(place: Workplace, name: str, workers: str) -> None:
    (place.path / name).write_text(INI if name.endswith("ini") else json.dumps(UVICORNS))
    command = place.pronghorn("hello:app", "--log-config", name, "--workers", workers)
    assert ask(command.port).startswith(b"HTTP/1.1 200")
    command.wait_for("GET / HTTP/1.1 200 OK")
    assert command.stop() == 0
    assert command.err and all(line.startswith("mine ") for line in command.err), command.err
    assert [line for line in command.out if line.startswith("mine 127.0.0.1:")]
    (notice,) = [line for line in command.err if "log_config:" in line]
    assert "uvicorn.access" in notice and "uvicorn.logging.AccessFormatter" in notice
    assert notice.endswith("taken for pronghorn's own")


def test_levels_show_what_happens(place: Workplace) -> None:
    command = place.pronghorn("hello:app", "--log-level", "trace")
    answer = ask(command.port, "/a?b=c", "Authorization: Basic c2VjcmV0", "Cookie: secret=1")
    assert answer.startswith(b"HTTP/1.1 200")
    assert command.stop() == 0
    lines = [line for line in command.err if "ASGI [" in line]
    number = next(line for line in lines if line.endswith("GET /a?b=c HTTP/1.1")).partition("ASGI ")[2].split()[0]
    (scope,) = [line for line in lines if f"{number} scope" in line]
    assert "'path': '/a'" in scope and "(b'authorization', b'...')" in scope and "(b'cookie', b'...')" in scope
    assert "c2VjcmV0" not in scope and "secret" not in scope
    sent = [line for line in lines if f"ASGI {number} send" in line]
    assert [("'http.response.start'" in line, "'http.response.body'" in line) for line in sent] == [(True, False), (False, True)]
    assert lines[-1].endswith(f"ASGI {number} returned") or any(line.endswith(f"ASGI {number} returned") for line in lines)
    command.clean()


def test_debug_has_requests_and_no_messages(place: Workplace) -> None:
    command = place.pronghorn("hello:app", "--log-level", "debug")
    ask(command.port, "/a?b=c")
    command.wait_for("connection closed (0 open)")
    assert command.stop() == 0
    assert [line for line in command.err if line.endswith("GET /a?b=c HTTP/1.1")]
    assert [line for line in command.err if line.endswith("connection made (1 open)")]
    assert not [line for line in command.err if " send {" in line or " scope {" in line]


def test_bodies_are_cut(place: Workplace) -> None:
    place.write("long", LONG)
    command = place.pronghorn("long:app", "--log-level", "trace", "--lifespan", "off")
    assert ask(command.port).endswith(b"h" * 100)
    assert command.stop() == 0
    (body,) = [line for line in command.err if "'http.response.body'" in line]
    assert "... (5000 bytes)" in body and len(body) < 300


def test_workers_beside_reload_are_not_used(place: Workplace) -> None:
    command = place.pronghorn("hello:app", "--reload", "--workers", "2")
    command.wait_for("workers: 2 is not used, as --reload has one worker")
    command.wait_for("; reloads (")
    assert command.port
    assert command.stop() == 0


def test_the_number_of_workers_is_in_the_banner(place: Workplace) -> None:
    command = place.pronghorn("hello:app", "--workers", "2", "--ws", "none", "--loop", "asyncio")
    assert command.wait_for("; 2 workers").endswith(", asyncio; http/1.1; 2 workers")
    assert command.port
    assert command.stop() == 0


@pytest.mark.parametrize(
    ("variable", "meant"),
    [("PRONGHORN_WORKRES", "PRONGHORN_WORKERS"), ("PRONGHORN_ROOTPATH", "PRONGHORN_ROOT_PATH")],
)
def test_misspelt_variable(place: Workplace, variable: str, meant: str) -> None:
    command = place.pronghorn("hello:app", env={variable: "1"})
    assert command.exit() == 2
    (line,) = command.err
    assert line.endswith(f"{variable}: unknown setting {variable[10:].lower()!r}, did you mean {meant!r}?")


def test_variables_of_others(place: Workplace) -> None:
    """Kubernetes sets these in each pod beside a service named pronghorn."""
    others = {"PRONGHORN_SERVICE_HOST": "10.0.0.1", "PRONGHORN_PORT_8000_TCP_ADDR": "10.0.0.1", "PRONGHORN_BUILD": "debug"}
    command = place.pronghorn("hello:app", env=others)
    assert command.port
    assert command.stop() == 0


def test_headers_with_underscores(place: Workplace) -> None:
    """They are dropped, which the log says once, and counts."""
    command = place.pronghorn("hello:app")
    for _ in range(3):
        ask(command.port, "/", "X_Mine: 1", "X_Other: 2", "X-Good: 3")
    assert command.stop() == 0
    assert [line for line in command.err if "underscore" in line] == [
        "INFO:     The header X_Other has an underscore in its name, and is dropped (header_map). Further ones are counted.",
        "INFO:     6 headers with an underscore in their names were dropped.",
    ]


@pytest.mark.parametrize("number", ["0", "-1", "201"])
def test_number_of_workers(place: Workplace, number: str) -> None:
    command = place.pronghorn("hello:app", "--workers", number)
    assert command.exit() == 2
    assert f"'--workers': expected auto or a whole number from 1 to 200, got '{number}'" in command.err[0]


def test_run_inside_a_loop(place: Workplace) -> None:
    source = "import asyncio, pronghorn\nasync def main():\n    pronghorn.run('hello:app')\nasyncio.run(main())\n"
    command = place.script(source)
    assert command.exit() == 1
    assert command.err[-1].startswith("RuntimeError: run() cannot be called while an event loop runs; use 'async with")
    assert not [line for line in command.err if "never awaited" in line]
