"""Where settings come from: defaults < file < environment < command line; and the commands that only look at them."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from process.command import Client, Command

if TYPE_CHECKING:
    from process.conftest import Workplace

# A flag, a number, a word, a list, a text: the setting, its default, and three other values as (TOML, variable, option).
KINDS: dict[str, tuple[Any, tuple[str, Any], tuple[str, Any], tuple[list[str], Any]]] = {
    "access_log": (True, ("false", False), ("yes", True), (["--no-access-log"], False)),
    "factory": (False, ("true", True), ("off", False), (["--factory"], True)),
    "use_colors": (None, ("true", True), ("0", False), (["--use-colors"], True)),
    "ws_per_message_deflate": (True, ("false", False), ("true", True), (["--ws-per-message-deflate", "no"], False)),
    "backlog": (2048, ("11", 11), ("12", 12), (["--backlog", "13"], 13)),
    "timeout_keep_alive": (65.0, ("1", 1), ("2.5", 2.5), (["--timeout-keep-alive", "3"], 3.0)),
    "limit_max_requests": (None, ("1", 1), ("2", 2), (["--limit-max-requests", "3"], 3)),
    "lifespan": ("auto", ('"on"', "on"), ("off", "off"), (["--lifespan", "on"], "on")),
    "log_level": (None, ('"debug"', "debug"), ("ERROR", "error"), (["--log-level", "info"], "info")),
    "root_path": ("", ('"/f"', "/f"), ("/e", "/e"), (["--root-path", "/c"], "/c")),
    "headers": ([], ('["A: 1", "B:2"]', ["A:1", "B:2"]), ("C:3 D:4", ["C:3", "D:4"]), (["--header", "E: 5 6"], ["E:5 6"])),
    "reload_includes": ([], ('["*.a"]', ["*.a"]), ("*.b *.c", ["*.b", "*.c"]), (["--reload-include", "*.d"], ["*.d"])),
    "reload_dirs": ([], ('["a"]', ["a"]), ("a:b c", ["a", "b c"]), (["--reload-dir", "a", "--reload-dir", "b c"], ["a", "b c"])),
    "bind": ([], ('[":1"]', [":1"]), (":2 unix:s", [":2", "unix:s"]), (["--bind", "[::1]:3"], ["[::1]:3"])),
    "forwarded_headers": (["for", "proto"], ('["host"]', ["host"]), ("for,port", ["for", "port"]), (["--forwarded-headers", "prefix"], ["prefix"])),
    "ssl_sni": ([], ('["a=b"]', ["a=b"]), ("c=d,e f=g", ["c=d,e", "f=g"]), (["--ssl-sni", "h=i j"], ["h=i j"])),
    "proxy_protocol_allow_ips": ("127.0.0.1,::1", ('["unix"]', ["unix"]), ("*", "*"), (["--proxy-protocol-allow-ips", ""], "")),
    "uds_mode": (None, ('"600"', "600"), ("660", "660"), (["--uds-mode", "0o640"], "640")),
    "app": (None, ('"f:app"', "f:app"), ("e:app", "e:app"), (["c:app"], "c:app")),
    "app_dir": (".", ('"a"', "a"), ("b c", "b c"), (["--app-dir", "."], ".")),
}  # fmt: skip
LOG = """{"version": 1, "disable_existing_loggers": false, "root": {"handlers": ["all"], "level": "INFO"},
"handlers": {"all": {"class": "logging.StreamHandler"}}}"""


def printed(command: Command) -> dict[str, Any]:
    assert command.exit() == 0, command.lines
    command.clean()
    return tomllib.loads("\n".join(command.out))


def refusal(command: Command, status: int = 2) -> str:
    """The one line."""
    assert command.exit() == status
    [line] = command.lines
    return line.removeprefix("pronghorn: error: ")


def test_precedence(place: Workplace) -> None:
    """Each source replaces the one before, for a setting of each kind."""
    for directory in ("a", "b c"):
        (place.path / directory).mkdir()
    (place.path / "c.toml").write_text("".join(f"{name} = {kind[1][0]}\n" for name, kind in KINDS.items()))
    ours, uvicorns = ({prefix + name.upper(): kind[2][0] for name, kind in KINDS.items()} for prefix in ("PRONGHORN_", "UVICORN_"))
    typed = [argument for kind in KINDS.values() for argument in kind[3][0]]

    def check(which: int, origin: str, *args: str, env: dict[str, str] | None = None) -> None:
        command = place.pronghorn("--print-config", *args, env=env)
        found = printed(command)
        for name, kind in KINDS.items():
            expected = kind[which] if which == 0 else kind[which][1]
            assert found.get(name) == expected, name
            [line] = [line for line in command.out if line.startswith((f"{name} = ", f"# {name} is not set"))]
            assert line.rstrip(")").endswith(origin.format(name.upper())), line

    check(0, "default")
    check(1, "c.toml", "--config", "c.toml")
    check(2, "UVICORN_{}", "--config", "c.toml", env=uvicorns)
    check(2, "PRONGHORN_{}", "--config", "c.toml", env=ours | dict.fromkeys(uvicorns, "not looked at"))
    check(3, "command line", "--config", "c.toml", *typed, env=ours)


def test_uvicorns_variable_counts_when_ours_is_not_set(place: Workplace) -> None:
    both = {"PRONGHORN_BACKLOG": "5", "UVICORN_BACKLOG": "6"}
    assert printed(place.pronghorn("--print-config", env=both))["backlog"] == 5
    assert printed(place.pronghorn("--print-config", env=both | {"PRONGHORN_BACKLOG": ""}))["backlog"] == 6


def test_what_is_printed_can_be_read_back(place: Workplace) -> None:
    (place.path / "log.json").write_text(LOG)
    args = ["hello:app", "--bind", "127.0.0.1:0", "--bind", "unix:a b.sock", "--header", 'X-A: "\\\u00e9', "--root-path", "/\x7f\t",
            "--log-config", "log.json", "--uds-mode", "600", "--proxy-protocol-allow-ips", "10.0.0.0/8, unix", "--ssl-reload-interval", "2", "--limit-request-body", "9223372036854775807"]  # fmt: skip
    command = place.pronghorn(*args, "--print-config")
    first = printed(command)
    assert first["headers"] == ['X-A:"\\\u00e9'] and first["root_path"] == "/\x7f\t"
    (place.path / "again.toml").write_text("\n".join(command.out))
    again = printed(place.pronghorn("--config", "again.toml", "--print-config"))
    assert again == first
    server = place.pronghorn("--config", "again.toml")
    server.wait_for("running on unix socket a b.sock")
    with Client(str(place.path / "a b.sock")) as client:
        client.request()
        client.until(b"hello")
    assert server.stop() == 0


def test_a_server_from_a_file(place: Workplace) -> None:
    (place.path / "c.toml").write_text('app = "hello:app"\nport = 0\nserver-header = false\n[log_config]\nversion = 1\n'
                                       'disable_existing_loggers = false\n')  # fmt: skip
    place.write("hello", (place.path / "hello.py").read_text() + "print('loaded')\n")
    (place.path / "pyproject.toml").write_text('[tool.pronghorn]\napp = "hello:app"\nport = 0\nserver-header = false\n')
    checked = place.pronghorn("--config", "c.toml", "--check")
    assert checked.exit() == 0 and checked.lines == ["loaded", "hello:app can be served"]
    command = place.pronghorn("--config", "pyproject.toml")
    with Client(command.port) as client:
        client.request()
        assert b"server:" not in client.until(b"hello").lower()
    assert command.stop() == 0
    command.clean()


def test_a_pyproject_is_read_only_when_it_is_named(place: Workplace) -> None:
    (place.path / "pyproject.toml").write_text("[tool.pronghorn]\nbacklog = 7\n")
    assert printed(place.pronghorn("--print-config"))["backlog"] == 2048
    variable = {"PRONGHORN_CONFIG": "pyproject.toml"}
    assert printed(place.pronghorn("--print-config", env=variable))["backlog"] == 7


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "c.toml: no such file or directory"),
        ("port = ", "c.toml: not TOML: "),
        ("prot = 1", "c.toml: unknown setting 'prot', did you mean 'port'?"),
        ("header = ['a: b']", "c.toml: unknown setting 'header', did you mean 'headers'?"),
        ("zzzz = 1", "c.toml: unknown setting 'zzzz'"),
        ("port = true", "c.toml: port: expected a port from 0 to 65535, got True"),
        ("port = 8000.5", "c.toml: port: expected a port from 0 to 65535, got 8000.5"),
        ("port = 70000", "c.toml: port: expected a port from 0 to 65535, got 70000"),
        ("timeout-keep-alive = nan", "c.toml: timeout_keep_alive: expected seconds from 0"),
        ("timeout-keep-alive = inf", "c.toml: timeout_keep_alive: expected seconds from 0"),
        ("access-log = 'yes'", "c.toml: access_log: expected True or False, got 'yes'"),
        ("headers = 'a: b'", "c.toml: headers: expected a list of \"Name:Value\", got 'a: b'"),
        ("headers = ['a']", "c.toml: headers: expected Name:Value, got 'a'"),
        ("bind = [7]", "c.toml: bind: expected host:port, [IPv6]:port, :port, unix:PATH or fd://N, got 7"),
        ("uds-mode = 660", "c.toml: uds_mode: expected permissions in octal, as 660, got 660"),
        ("app = 3", "c.toml: app: expected text, got 3"),
        ("app-dir = 'nowhere'", "c.toml: app_dir: expected a directory that exists, got 'nowhere'"),
        ("lifespan = 'maybe'", "c.toml: lifespan: expected one of auto, on, off, got 'maybe'"),
        ("root-path = 1979-05-27", "c.toml: root_path: expected text, got datetime.date(1979, 5, 27)"),
        ("log-level = 'a'\nlog_level = 'b'", "c.toml: log_level is set twice, with - and with _"),
        ("bind = [':0']\nport = 8000", "bind: cannot be combined with port (c.toml)"),
    ],
)
def test_a_wrong_file_is_one_line(content: str | None, words: str, place: Workplace) -> None:
    if content is not None:
        (place.path / "c.toml").write_text(content)
    assert refusal(place.pronghorn("hello:app", "--config", "c.toml")).startswith(words)


def test_a_pyproject_without_a_table_is_one_line(place: Workplace) -> None:
    for content in ("[project]\n", "[tool]\npronghorn = 3\n"):
        (place.path / "pyproject.toml").write_text(content)
        found = refusal(place.pronghorn("hello:app", "--config", "pyproject.toml"))
        assert found == "pyproject.toml: it has no table [tool.pronghorn]"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PRONGHORN_PORT", "tcp://10.0.0.1:80", "PRONGHORN_PORT: expected a port from 0 to 65535, got 'tcp://10.0.0.1:80'"),
        ("UVICORN_PORT", "x", "UVICORN_PORT: expected a port from 0 to 65535, got 'x'"),
        ("PRONGHORN_ACCESS_LOG", "maybe", "PRONGHORN_ACCESS_LOG: expected true or false, got 'maybe'"),
        ("PRONGHORN_HEADERS", "a:b c", "PRONGHORN_HEADERS: expected Name:Value, got 'c'"),
        ("PRONGHORN_RELOAD_DIRS", ".:nowhere", "PRONGHORN_RELOAD_DIRS: expected a directory that exists, got 'nowhere'"),
        ("UVICORN_LOG_LEVEL", "loud", "UVICORN_LOG_LEVEL: expected one of critical"),
        ("WEB_CONCURRENCY", "many", "WEB_CONCURRENCY: expected auto or a whole number from 1 to 200, got 'many'"),
        ("PRONGHORN_CONFIG", "nowhere.toml", "nowhere.toml: no such file or directory"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_one_line_that_names_it(variable: str, value: str, words: str, place: Workplace) -> None:
    assert refusal(place.pronghorn("hello:app", "--print-config", env={variable: value})).startswith(words)


def test_a_variable_nobody_asks_is_not_judged(place: Workplace) -> None:
    command = place.pronghorn("hello:app", "--check", "--backlog", "5", env={"PRONGHORN_BACKLOG": "x", "PRONGHORN_OTHER": "y"})
    assert command.exit() == 0, command.lines


def test_a_stronger_address_replaces_a_weaker_one(place: Workplace) -> None:
    (place.path / "c.toml").write_text('host = "::1"\nport = 7\n')
    found = printed(place.pronghorn("--print-config", "--config", "c.toml", "--bind", ":9"))
    assert found["bind"] == [":9"] and "port" not in found
    found = printed(place.pronghorn("--print-config", "--port", "8", env={"PRONGHORN_BIND": ":9"}))
    assert (found["bind"], found["port"]) == ([], 8)


def test_without_an_application(place: Workplace) -> None:
    assert refusal(place.pronghorn()).startswith("Missing argument 'APP', which is MODULE:ATTRIBUTE")
    command = place.pronghorn(env={"UVICORN_APP": "hello:app"})
    with Client(command.port) as client:
        client.request()
        client.until(b"hello")
    assert command.stop() == 0


@pytest.mark.parametrize(
    ("args", "status", "last"),
    [
        (["hello:app"], 0, "hello:app can be served"),
        (["made:make", "--factory"], 0, "made:make can be served"),
        (["hello:nothing"], 3, "ERROR:    Error loading ASGI app. no attribute 'nothing' in the module 'hello'"),
        (["broken:app"], 3, "ERROR:    Error loading ASGI app. It raised ValueError."),
        (["made:fails", "--factory"], 3, "ERROR:    Error loading ASGI app. It raised LookupError."),
        (["hello:app", "--log-config", "nowhere.json"], 2, "pronghorn: error: log_config: 'nowhere.json' cannot be used: "),
        (["hello:app", "--loop", "nowhere:loop"], 2, "pronghorn: error: loop: cannot import 'nowhere:loop': "),
        (["hello:app", "--port", "x"], 2, "pronghorn: error: Invalid value for '--port': expected a port"),
    ],
)  # fmt: skip
def test_check(args: list[str], status: int, last: str, place: Workplace) -> None:
    place.write("broken", "raise ValueError('mine')\n")
    place.write("made", "import asyncio\nfrom hello import app\ndef make():\n    asyncio.get_running_loop()\n    return app\n"
                        "def fails():\n    raise LookupError\n")  # fmt: skip
    command = place.pronghorn(*args, "--check", "--bind", "203.0.113.1:1")  # nothing is bound: this could not be
    assert command.exit() == status
    assert command.lines[-1].startswith(last)
    assert (len(command.lines) == 1) is ("It raised" not in last)


def test_a_check_is_interrupted_by_a_signal(place: Workplace) -> None:
    place.write("slow", "import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    command = place.pronghorn("slow:app", "--check")
    command.wait_for("importing")
    assert command.stop() == 130
    assert command.lines == ["importing"]
