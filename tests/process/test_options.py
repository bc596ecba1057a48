"""Every option of uvicorn, given to the real command: spelling, type, default, and what it does."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import tomllib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from process.command import PATIENCE, Client, Command

from pronghorn.settings import table

if TYPE_CHECKING:
    from process.conftest import Workplace

Start = Callable[..., Command]
UNSET = object()

# option, its value on the command line (None: a flag), setting, uvicorn's default, what the setting then is
OPTIONS: list[tuple[str, str | None, str, Any, Any]] = [
    ("--host", "::1", "host", "127.0.0.1", "::1"),
    ("--port", "0", "port", 8000, 0),
    ("--uds", "a.sock", "uds", None, "a.sock"),
    ("--fd", "0", "fd", None, 0),
    ("--reload", None, "reload", False, True),
    ("--reload-dir", ".", "reload_dirs", [], ["."]),
    ("--reload-include", "*.html", "reload_includes", [], ["*.html"]),
    ("--reload-exclude", "*.tmp", "reload_excludes", [], ["*.tmp"]),
    ("--reload-delay", "0.5", "reload_delay", 0.25, 0.5),
    ("--workers", "4", "workers", 1, 4),
    ("--loop", "asyncio", "loop", "auto", "asyncio"),
    ("--http", "h11", "http", "auto", "h11"),
    ("--http2", None, "http2", False, True),
    ("--ws", "wsproto", "ws", "auto", "wsproto"),
    ("--ws-max-size", "100", "ws_max_size", 16_777_216, 100),
    ("--ws-max-queue", "8", "ws_max_queue", 32, 8),
    ("--ws-ping-interval", "0.5", "ws_ping_interval", 20.0, 0.5),
    ("--ws-ping-timeout", "7", "ws_ping_timeout", 20.0, 7.0),
    ("--ws-per-message-deflate", "False", "ws_per_message_deflate", True, False),
    ("--lifespan", "on", "lifespan", "auto", "on"),
    ("--interface", "wsgi", "interface", "auto", "wsgi"),
    ("--env-file", "variables", "env_file", None, "variables"),
    ("--log-config", "log.json", "log_config", UNSET, "log.json"),
    ("--log-level", "trace", "log_level", None, "trace"),
    ("--access-log", None, "access_log", True, True),
    ("--no-access-log", None, "access_log", True, False),
    ("--use-colors", None, "use_colors", None, True),
    ("--no-use-colors", None, "use_colors", None, False),
    ("--proxy-headers", None, "proxy_headers", True, True),
    ("--no-proxy-headers", None, "proxy_headers", True, False),
    ("--server-header", None, "server_header", True, True),
    ("--no-server-header", None, "server_header", True, False),
    ("--date-header", None, "date_header", True, True),
    ("--no-date-header", None, "date_header", True, False),
    ("--forwarded-allow-ips", "10.0.0.0/8", "forwarded_allow_ips", "127.0.0.1,::1", "10.0.0.0/8"),
    ("--root-path", "/api", "root_path", "", "/api"),
    ("--limit-concurrency", "9", "limit_concurrency", None, 9),
    ("--backlog", "100", "backlog", 2048, 100),
    ("--limit-max-requests", "1000", "limit_max_requests", None, 1000),
    ("--limit-max-requests-jitter", "10", "limit_max_requests_jitter", 0, 10),
    ("--timeout-keep-alive", "7", "timeout_keep_alive", 5, 7),
    ("--timeout-graceful-shutdown", "3", "timeout_graceful_shutdown", None, 3),
    ("--timeout-worker-healthcheck", "9", "timeout_worker_healthcheck", 5, 9),
    ("--ssl-keyfile", "key.pem", "ssl_keyfile", None, "key.pem"),
    ("--ssl-certfile", "cert.pem", "ssl_certfile", None, "cert.pem"),
    ("--ssl-keyfile-password", "secret", "ssl_keyfile_password", None, UNSET),
    ("--ssl-version", "17", "ssl_version", 17, 17),
    ("--ssl-cert-reqs", "2", "ssl_cert_reqs", 0, 2),
    ("--ssl-ca-certs", "ca.pem", "ssl_ca_certs", None, "ca.pem"),
    ("--ssl-ciphers", "HIGH", "ssl_ciphers", None, "HIGH"),
    ("--header", "X-A: b", "headers", [], ["X-A:b"]),
    ("--app-dir", ".", "app_dir", ".", "."),
    ("--h11-max-incomplete-event-size", "20000", "h11_max_incomplete_event_size", None, 20000),
    ("--reset-contextvars", None, "reset_contextvars", False, True),
    ("--factory", None, "factory", False, True),
]
# Where a default of ours is another one, and why.
DIFFERENT = {
    "timeout_keep_alive": (65.0, "longer than the 60 s of common load balancers"),
    "timeout_graceful_shutdown": (30.0, "a stop that can hang is not a stop"),
    "timeout_worker_healthcheck": (30.0, "a worker that is busy for some seconds is not dead"),
}
NOT_USED = "is not used; Pronghorn's own does its work"
LOG = '{"version": 1, "disable_existing_loggers": false}'


def settings_of(command: Command) -> dict[str, Any]:
    assert command.exit() == 0, command.lines
    return tomllib.loads("\n".join(command.out))


# Both flags of a setting are not given in one command, and one address is not given in two ways.
APART = [
    [row for row in OPTIONS if not row[0].startswith("--no-") and row[0] not in ("--uds", "--fd")],
    [row for row in OPTIONS if row[0].startswith("--no-") or row[0] == "--uds"],
    [row for row in OPTIONS if row[0] == "--fd"],
]


@pytest.mark.parametrize("rows", APART, ids=["most", "no", "fd"])
def test_are_taken(rows: list[tuple[str, str | None, str, Any, Any]], place: Workplace) -> None:
    (place.path / "variables").write_text("A=1\n")
    (place.path / "log.json").write_text(LOG)
    args = [word for option, value, name, _, _ in rows for word in (option, value) if word is not None]
    command = place.pronghorn("hello:app", *args, "--print-config")
    found = settings_of(command)
    for option, value, name, _, expected in rows:
        if expected is UNSET:  # a secret
            assert name not in found and f"# {name} is set and not shown (command line)" in command.out
            assert value not in "\n".join(command.out)
        else:
            assert found[name] == expected and type(found[name]) in (type(expected), float), option
            lines = [line for line in command.out if line.startswith(f"{name} = ")]
            assert [line for line in lines if line.endswith("  # command line")], option
    command.clean()


def test_defaults_are_those_of_uvicorn_but_for_a_few(place: Workplace) -> None:
    command = place.pronghorn("hello:app", "--print-config", env={"WEB_CONCURRENCY": ""})
    found = settings_of(command)
    for option, _, name, default, _ in OPTIONS:
        if name in DIFFERENT:
            assert found[name] == DIFFERENT[name][0] != default, option
        elif default is None:
            assert f"# {name} is not set (default)" in command.out, option
        elif default is UNSET:
            assert f"# {name} is built in (default)" in command.out, option
        else:
            assert found[name] == default, option
    assert {setting.name for setting in table()} >= set(DIFFERENT)


def test_help_names_each(place: Workplace) -> None:
    command = place.pronghorn("--help")
    assert command.exit() == 0
    words = set(re.split(r"[\s,/]+", "\n".join(command.out)))
    assert {option for option, _, name, _, _ in OPTIONS} | {"--version", "--help", "-h"} <= words


def test_an_unknown_option_is_one_line_with_a_suggestion(place: Workplace) -> None:
    command = place.pronghorn("hello:app", "--timeout-keepalive", "5")
    assert command.exit() == 2
    [line] = command.lines
    assert line.startswith("pronghorn: error: No such option") and "--timeout-keep-alive" in line


@pytest.mark.parametrize(
    ("args", "notices"),
    [
        (["--http", "auto", "--ws", "auto"], []),
        (
            ["--http", "h11", "--ws", "websockets", "--loop", "zuvloop"],
            ["INFO:     loop: zuvloop is not used; auto is", f"INFO:     http: h11 {NOT_USED}", f"INFO:     ws: websockets {NOT_USED}"],
        ),
        (
            ["--http", "httptools", "--ws", "websockets-sansio", "--h11-max-incomplete-event-size", "20000"],
            [
                f"INFO:     http: httptools {NOT_USED}",
                f"INFO:     ws: websockets-sansio {NOT_USED}",
                "INFO:     h11_max_incomplete_event_size: taken as limit_request_head",
            ],
        ),
        (["--http", "zttp", "--ws", "wsproto"], [f"INFO:     http: zttp {NOT_USED}", f"INFO:     ws: wsproto {NOT_USED}"]),
        (
            ["--http", "some:Protocol", "--http2"],
            [f"WARNING:  http: some:Protocol {NOT_USED}", "WARNING:  http2: this version has no HTTP/2"],
        ),
    ],
)  # fmt: skip
def test_engines_of_uvicorn_are_a_notice(args: list[str], notices: list[str], place: Workplace) -> None:
    command = place.pronghorn("hello:app", *args)
    with Client(command.port) as client:
        client.request()
        client.until(b"hello")
    assert command.stop() == 0
    said = [line for line in command.err if "not used" in line or "taken as" in line or "no HTTP/2" in line]
    assert sorted(said) == sorted(notices)
    command.clean()


@pytest.mark.parametrize(
    ("size", "field", "status"),
    [("2000", 1500, b"200"), ("2000", 2500, b"431"), ("40000", 30_000, b"200"), ("40000", 41_000, b"431")],
)
def test_the_event_size_of_h11_limits_a_head(size: str, field: int, status: bytes, place: Workplace) -> None:
    """Also the one that is raised, for long cookies: no other limit stays in its way."""
    command = place.pronghorn("hello:app", "--h11-max-incomplete-event-size", size)
    with Client(command.port) as client:
        client.request("/", "Cookie: " + "a" * field, "Connection: close")
        assert client.until(b"\r\n").split()[1] == status
        client.rest()
    assert command.stop() == 0
    command.clean()



def test_colours(place: Workplace) -> None:
    for option, coloured in (("--use-colors", True), ("--no-use-colors", False)):
        command = place.pronghorn("hello:app", option)
        command.wait_for("running on")
        port = int(re.findall(r"http://127.0.0.1:(\d+)", command.wait_for("running on"))[0])
        with Client(port) as client:
            client.request("/", "Connection: close")
            client.rest()
        command.wait_for("200 OK")
        assert command.stop() == 0
        assert all(("\033[" in line) is coloured for line in command.out + command.err[:1])
        command.clean()


@pytest.mark.parametrize("level", ["critical", "error", "warning", "info", "debug", "trace", "INFO"])
def test_log_levels(level: str, place: Workplace) -> None:
    place.write("levels", "import logging\nprint(logging.getLogger('pronghorn.error').level)\nfrom hello import app\n")
    command = place.pronghorn("levels:app", "--check", "--log-level", level)
    assert command.exit() == 0
    number = {"critical": 50, "error": 40, "warning": 30, "info": 20, "debug": 10, "trace": 5}[level.lower()]
    assert command.lines == [str(number), "levels:app can be served"]


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "mine %(message)s"}},
    "handlers": {"all": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stderr"}},
    "loggers": {"pronghorn": {"handlers": ["all"], "level": "INFO", "propagate": False}},
}
TOML = """version = 1
disable_existing_loggers = false
formatters.plain.format = "mine %(message)s"
handlers.all = {class = "logging.StreamHandler", formatter = "plain", stream = "ext://sys.stderr"}
loggers.pronghorn = {handlers = ["all"], level = "INFO", propagate = false}
"""
INI = """[loggers]
keys=root,p
[handlers]
keys=all
[formatters]
keys=plain
[formatter_plain]
format=mine %(message)s
[handler_all]
class=StreamHandler
args=(sys.stderr,)
formatter=plain
[logger_root]
handlers=
[logger_p]
qualname=pronghorn
level=INFO
handlers=all
propagate=0
"""
# JSON is YAML as well.
FILES = {"log.json": json.dumps(LOGGING), "log.yaml": json.dumps(LOGGING), "log.yml": json.dumps(LOGGING), "log.toml": TOML,
         "log.ini": INI}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_log_config(name: str, place: Workplace) -> None:
    if name.endswith(("yaml", "yml")):
        pytest.importorskip("yaml", reason="PyYAML is not installed")
    (place.path / name).write_text(FILES[name])
    command = place.pronghorn("hello:app", "--log-config", name)
    assert command.port
    assert command.stop() == 0
    assert command.err[0] == f"mine Started server process [{command.process.pid}]"
    command.clean()


@pytest.mark.parametrize(("module", "args", "setting"), [
    ("yaml", ["--log-config", "log.yaml"], "log_config"), ("dotenv", ["--env-file", "variables"], "env_file"),
])  # fmt: skip
def test_a_package_that_is_missing_is_named(module: str, args: list[str], setting: str, place: Workplace) -> None:
    place.write(module, "raise ImportError\n")  # found before the installed one
    for name in ("log.yaml", "variables"):
        (place.path / name).write_text("{}")
    command = place.pronghorn("hello:app", *args)
    assert command.exit() == 2
    [line] = command.lines
    package = {"yaml": "PyYAML", "dotenv": "python-dotenv"}[module]
    assert line.startswith(f"pronghorn: error: {setting}: ")
    assert f"{package} is not installed; pip install 'pronghorn[standard]'" in line


def test_env_file(place: Workplace) -> None:
    """Before the application is imported; what is set stays; and what the server itself takes from the environment."""
    pytest.importorskip("dotenv", reason="python-dotenv is not installed")
    place.write("reads", "import os\nprint(os.environ['ONE'], os.environ['TWO'])\nfrom hello import app\n")
    (place.path / ".env").write_text("# a comment\nONE=from the file\nexport TWO='from the file'\n"
                                     "WEB_CONCURRENCY=7\nFORWARDED_ALLOW_IPS=10.0.0.0/8\nPRONGHORN_BACKLOG=9\n")  # fmt: skip
    environment = {"TWO": "set before"}
    if {"WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"} & set(os.environ):
        pytest.skip("WEB_CONCURRENCY or FORWARDED_ALLOW_IPS is set here")
    command = place.pronghorn("reads:app", "--env-file", ".env", "--workers", "1", env=environment)
    assert command.port
    assert command.stop() == 0
    assert command.out == ["from the file set before"]
    command.clean()
    printed = place.pronghorn("reads:app", "--env-file", ".env", "--print-config")
    found = settings_of(printed)
    assert (found["workers"], found["forwarded_allow_ips"], found["backlog"]) == (7, "10.0.0.0/8", 2048)
    assert {"workers = 7  # WEB_CONCURRENCY", 'forwarded_allow_ips = "10.0.0.0/8"  # FORWARDED_ALLOW_IPS'} < set(printed.out)


def test_forwarded_allow_ips(place: Workplace) -> None:
    """An empty variable is somebody's decision to believe nobody."""
    for value, shown in (("", '""'), ("*", '"*"'), ("unix, 10.1.1.1", '"unix, 10.1.1.1"')):
        command = place.pronghorn("hello:app", "--print-config", env={"FORWARDED_ALLOW_IPS": value})
        assert settings_of(command)["forwarded_allow_ips"] == value
        assert f"forwarded_allow_ips = {shown}  # FORWARDED_ALLOW_IPS" in command.out
    command = place.pronghorn("hello:app", "--check", env={"FORWARDED_ALLOW_IPS": "10.0.0.1/8"})
    assert command.exit() == 2
    [line] = command.lines
    assert line.startswith("pronghorn: error: forwarded_allow_ips: expected addresses")


def test_tls(place: Workplace) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(place.path / "both.pem")
    certificate.private_key_pem.write_to_path(place.path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(place.path / "cert.pem")
    authority.cert_pem.write_to_path(place.path / "ca.pem")
    for args in (
        ["--ssl-certfile", "both.pem"],
        ["--ssl-certfile", "cert.pem", "--ssl-keyfile", "key.pem", "--ssl-version", "17", "--ssl-ciphers", "ECDHE+AESGCM"],
        ["--ssl-certfile", "both.pem", "--ssl-cert-reqs", "2", "--ssl-ca-certs", "ca.pem"],
    ):
        command = place.pronghorn("hello:app", *args)
        line = command.wait_for("running on https://")
        port = int(re.findall(r"https://127.0.0.1:(\d+)", line)[0])
        context = ssl.create_default_context()
        authority.configure_trust(context)
        if "--ssl-cert-reqs" in args:
            authority.issue_cert("client@localhost").configure_cert(context)
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        with plain, context.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            data = b""
            while part := client.recv(4096):
                data += part
        assert data.endswith(b"hello")
        assert command.stop() == 0
        command.clean()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--ssl-certfile", "nowhere.pem"], "ssl_certfile: "),
        (["--ssl-certfile", "hello.py"], "ssl_certfile: "),
        (["--ssl-keyfile", "nowhere.pem"], "ssl_certfile: expected the path of a certificate"),
        (["--ssl-sni", "a.example=nowhere.pem"], "ssl_"),
    ],
)
def test_check_reads_the_files_of_tls(args: list[str], words: str, place: Workplace) -> None:
    command = place.pronghorn("hello:app", "--check", *args)
    assert command.exit() == 3
    [line] = command.lines
    assert line.startswith(f"ERROR:    Error loading TLS certificates. {words}")


@pytest.mark.parametrize(("content", "words"), [
    (None, "cannot read 'variables': no such file or directory"), (b"A=\xff\n", "cannot read 'variables': "),
])  # fmt: skip
def test_an_env_file_that_cannot_be_read_is_one_line(content: bytes | None, words: str, place: Workplace) -> None:
    pytest.importorskip("dotenv", reason="python-dotenv is not installed")
    if content is not None:
        (place.path / "variables").write_bytes(content)
    command = place.pronghorn("hello:app", "--env-file", "variables")
    assert command.exit() == 2
    [line] = command.lines
    assert line.startswith(f"pronghorn: error: env_file: {words}")


def test_limit_concurrency_and_ws_per_message_deflate(place: Workplace) -> None:
    handshake = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Extensions: permessage-deflate"]  # fmt: skip
    place.write(
        "sockets",
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'websocket'\n"
        "    await send({'type': 'websocket.accept'})\n"
        "    await receive()\n",
    )
    for value, there in (("true", True), ("0", False)):
        command = place.pronghorn("sockets:app", "--ws-per-message-deflate", value, "--limit-concurrency", "2")
        with Client(command.port) as client:
            client.request("/", *handshake)
            head = client.until(b"\r\n\r\n").lower()
            assert (b"permessage-deflate" in head) is there
            assert head.startswith(b"http/1.1 101")
            with Client(command.port) as second:
                second.request("/", "Connection: close")
                assert second.rest().startswith(b"HTTP/1.1 503")
        assert command.stop() == 0
        command.clean()
