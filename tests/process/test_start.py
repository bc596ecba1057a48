"""Starting: where it listens, what it loads, and the one line when it cannot."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from process.command import Client, Command

if TYPE_CHECKING:
    from process.conftest import Workplace

Start = Callable[..., Command]

SCOPE = """
import json

async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = json.dumps([scope["root_path"], scope["path"], scope["server"], scope["client"]]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""

LIFESPAN = """
async def app(scope, receive, send):
    await receive()
    print("started")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("stopped")
    await send({"type": "lifespan.shutdown.complete"})
"""


def body(client: Client) -> object:
    """The scope's root_path, path, server and client, of one request."""
    client.request("/a", "Connection: close")
    answer = client.rest()
    head, _, text = answer.partition(b"\r\n\r\n")
    start, end = text.find(b"["), text.rfind(b"]") + 1
    assert start >= 0, head
    return json.loads(text[start:end])


def test_it_answers_and_says_so(start: Start) -> None:
    command = start("hello:app")
    port = command.port
    with Client(port) as client:
        client.request("/a?b=c", "Connection: close")
        assert client.rest().endswith(b"\r\n\r\nhello")
        name = client.socket.getsockname()
    access = command.wait_for("200 OK")
    assert command.stop() == 0
    assert access == f'INFO:     {name[0]}:{name[1]} - "GET /a?b=c HTTP/1.1" 200 OK'
    assert command.out == [access]
    assert command.err[0] == f"INFO:     Started server process [{command.process.pid}]"
    banner = command.err.pop(4)
    assert re.fullmatch(
        r"INFO:     pronghorn \S+, CPython 3\.\d+\.\d+, (uvloop|asyncio); http/1\.1, websocket; one process", banner
    )
    assert command.err[1:5] == [
        "INFO:     Waiting for application startup.",
        "INFO:     ASGI 'lifespan' protocol appears unsupported.",
        "INFO:     Application startup complete.",
        f"INFO:     Pronghorn running on http://127.0.0.1:{port} (Press CTRL+C to quit)",
    ]
    command.clean()


def test_the_installed_script_is_the_same_command(place: Workplace) -> None:
    script = Path(sysconfig.get_path("scripts")) / "pronghorn"
    if not script.exists():
        pytest.skip("the script is not installed beside this interpreter")
    command = place.run(str(script), "hello:app", "--port", "0")
    with Client(command.port) as client:
        client.request()
        client.until(b"hello")
    assert command.stop() == 0


def test_a_unix_socket(start: Start, place: Workplace) -> None:
    place.write("where", SCOPE)
    path = str(place.path / "s")
    command = start("where:app", "--uds", path)
    command.wait_for(f"Pronghorn running on unix socket {path} (Press CTRL+C to quit)")
    with Client(path) as client:
        assert body(client) == ["", "/a", [path, None], None]
    command.wait_for('INFO:      - "GET /a HTTP/1.1" 200 OK')
    assert command.stop() == 0
    assert not Path(path).exists()


def test_a_unix_socket_left_by_a_killed_server_is_replaced_a_live_one_is_not(place: Workplace) -> None:
    path = str(place.path / "s")
    first = place.pronghorn("hello:app", "--uds", path)
    first.wait_for("running on")
    second = place.pronghorn("hello:app", "--uds", path)
    assert second.exit() == 3
    assert second.err == [f"ERROR:    cannot listen on unix socket {path}: another server is listening on it"]
    with Client(path) as client:
        client.request()
        client.until(b"hello")
    first.kill()
    assert Path(path).exists()
    third = place.pronghorn("hello:app", "--uds", path)
    third.wait_for("running on")
    assert third.stop() == 0


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_a_file_descriptor(family: str, start: Start, place: Workplace) -> None:
    place.write("where", SCOPE)
    path = str(place.path / "s")
    with socket.socket(socket.AF_INET if family == "tcp" else socket.AF_UNIX) as sock:
        sock.bind(("127.0.0.1", 0) if family == "tcp" else path)
        command = start("where:app", "--fd", str(sock.fileno()), pass_fds=[sock.fileno()])
        command.wait_for("running on")
        where = sock.getsockname()[1] if family == "tcp" else path
        with Client(where) as client:
            server = ["127.0.0.1", where] if family == "tcp" else [path, None]
            assert body(client)[2] == server  # type: ignore[index]
        assert command.stop() == 0
    assert family == "tcp" or Path(path).exists()


def test_standard_input_as_the_socket(place: Workplace) -> None:
    # As inetd and socket activation of old hand it over.
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        args = [sys.executable, "-m", "pronghorn", "hello:app", "--fd", "0"]
        line = f"import os; os.dup2({sock.fileno()}, 0); os.execv({sys.executable!r}, {args!r})"
        command = place.run(sys.executable, "-c", line, pass_fds=[sock.fileno()])
        with Client(command.port) as client:
            client.request()
            client.until(b"hello")
        assert command.stop() == 0


def test_ipv6(start: Start) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    command = start("hello:app", "--host", "::1")
    port = int(command.wait_for("running on http://[::1]:").rpartition("]:")[2].split()[0])
    with socket.create_connection(("::1", port), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 OK")
    assert command.stop() == 0


def test_root_path_headers_and_quiet(start: Start, place: Workplace) -> None:
    place.write("where", SCOPE)
    options = ["--root-path", "/api", "--header", "X-One: 1", "--header", "Server: mine", "--no-date-header"]
    command = start("where:app", *options, "--no-access-log")
    with Client(command.port) as client:
        client.request("/a", "Connection: close")
        answer = client.rest()
    assert b'["/api", "/api/a", ' in answer
    head = answer.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert b"x-one: 1" in head
    assert [line for line in head if line.startswith(b"server:")] == [b"server: mine"]
    assert not [line for line in head if line.startswith(b"date:")]
    assert command.stop() == 0
    assert command.out == []


def test_no_server_header(start: Start) -> None:
    command = start("hello:app", "--no-server-header")
    with Client(command.port) as client:
        client.request()
        assert b"server:" not in client.until(b"hello").lower()
    assert command.stop() == 0


def test_log_level(start: Start, place: Workplace) -> None:
    place.write("told", LIFESPAN)
    command = start("told:app", "--log-level", "warning")
    command.wait_for("started")
    assert command.stop() == 0
    assert command.lines == ["started", "stopped"]


def test_app_dir_and_factory(start: Start, place: Workplace) -> None:
    place.write("below.made", "from hello import app\ndef make():\n    return app\n")
    place.write("below.hello", (place.path / "hello.py").read_text())
    (place.path / "hello.py").unlink()
    command = start("made:make", "--factory", "--app-dir", "below")
    with Client(command.port) as client:
        client.request()
        client.until(b"hello")
    assert command.stop() == 0
    assert not [line for line in command.err if "factory" in line]


def test_a_module_of_the_current_directory_goes_before_an_installed_one(place: Workplace) -> None:
    place.write("httpx", (place.path / "hello.py").read_text())
    command = place.pronghorn("httpx:app")
    assert command.port
    assert command.stop() == 0


@pytest.mark.parametrize(
    ("app", "line"),
    [
        ("hello", "ERROR:    Error loading ASGI app. the application 'hello' is not of the form "
                  "\"module:attribute\", did you mean 'hello:app'?"),
        ("some/hello.py", "ERROR:    Error loading ASGI app. the application 'some/hello.py' is not of the form "
                          "\"module:attribute\", did you mean 'some.hello:app'?"),
        ("hello.py:main", "ERROR:    Error loading ASGI app. cannot import the module 'hello.py' of the application: "
                          "No module named 'hello.py'; 'hello' is not a package; did you mean 'hello:main'?"),
        ("1-2", "ERROR:    Error loading ASGI app. the application '1-2' is not of the form "
                '"module:attribute", as in "main:app"'),
        ("nowhere:app", "ERROR:    Error loading ASGI app. cannot import the module 'nowhere' of the application: "
                        "No module named 'nowhere'"),
        ("hello:nothing", "ERROR:    Error loading ASGI app. no attribute 'nothing' in the module 'hello'"),
        ("hello:__doc__", "ERROR:    Error loading ASGI app. the application 'hello:__doc__' is 'NoneType', "
                          "which cannot be called"),
    ],
)  # fmt: skip
def test_an_application_that_cannot_be_found_is_one_line_and_status_3(app: str, line: str, place: Workplace) -> None:
    command = place.pronghorn(app)
    assert command.exit() == 3
    assert command.lines == [line]


@pytest.mark.parametrize(
    ("source", "last"),
    [
        ("import nowhere_at_all\n", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("from json import nothing_such\n", "ImportError: cannot import name 'nothing_such'"),
        ("def app(:\n", "SyntaxError: invalid syntax"),
        ("raise ValueError('mine')\n", "ValueError: mine"),
    ],
)
def test_a_module_that_fails_shows_its_own_traceback_only(source: str, last: str, place: Workplace) -> None:
    place.write("broken", source)
    command = place.pronghorn("broken:app")
    assert command.exit() == 3
    assert command.err[0] == "ERROR:    Exception while loading ASGI app"
    assert command.err[-1].startswith("ERROR:    Error loading ASGI app. It raised ")
    assert [line for line in command.err if line.startswith(last)]
    frames = [line for line in command.err if line.startswith("  File ")]
    assert len(frames) == 1 and "broken.py" in frames[0], command.err


def test_a_port_in_use_is_one_line_and_status_3(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = start("hello:app", "--port", str(port))
        assert command.exit() == 3
    assert command.lines == [f"ERROR:    cannot listen on http://127.0.0.1:{port}: address already in use"]


def test_a_descriptor_that_is_not_open_is_one_line_and_status_3(place: Workplace) -> None:
    command = place.pronghorn("hello:app", "--fd", "77")
    assert command.exit() == 3
    assert command.lines == ["ERROR:    cannot listen on file descriptor 77: bad file descriptor"]


def test_a_bad_option_is_one_line_and_status_2(place: Workplace) -> None:
    command = place.pronghorn("hello:app", "--timeout-keep-alive", "soon")
    assert command.exit() == 2
    [line] = command.lines
    assert line.startswith("pronghorn: error: Invalid value for '--timeout-keep-alive': expected seconds from 0")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_application_is_imported_ends_quietly(number: int, start: Start, place: Workplace) -> None:
    place.write("slow", "import time\nprint('importing', flush=True)\ntime.sleep(60)\napp = None\n")
    command = start("slow:app")
    command.wait_for("importing")
    assert command.stop(number) == 0
    assert command.lines == ["importing"]


# A loop that is sent a signal at a point where nothing of the application runs.
SIGNALLED = """
import os, signal
set_wakeup_fd, armed = signal.set_wakeup_fd, []
def interrupted_once(*args, **options):
    if armed:
        raise armed.pop()
    return set_wakeup_fd(*args, **options)
signal.set_wakeup_fd = interrupted_once
import uvloop
def now(numbers=[os.environ.get("SIGNAL", "SIGINT")]):
    if numbers:
        os.kill(os.getpid(), getattr(signal, numbers.pop()))
def made():
    now()
    return uvloop.new_event_loop()
class begins(uvloop.Loop):
    def run_until_complete(self, future):
        now()
        return super().run_until_complete(future)
class prepares(uvloop.Loop):
    def call_soon(self, *args, **options):
        now()
        return super().call_soon(*args, **options)
class closes(uvloop.Loop):
    async def shutdown_asyncgens(self):
        armed.append(KeyboardInterrupt)  # when this run ends, in uvloop's own code
class closed(uvloop.Loop):
    async def shutdown_default_executor(self, timeout=None):
        armed.append(KeyboardInterrupt)
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("point", ["made", "begins", "prepares"])
def test_a_signal_before_the_application_is_imported_ends_quietly(point: str, number: str, place: Workplace) -> None:
    place.write("signalled", SIGNALLED)
    place.write("slow", "print('imported')\n")
    command = place.run("env", f"SIGNAL={number}", sys.executable, "-m", "pronghorn", "slow:app", "--loop", f"signalled:{point}")
    assert command.exit() == 0
    assert command.lines == []


@pytest.mark.parametrize("point", ["closes", "closed"])
def test_an_interrupt_while_the_loop_closes_ends_quietly(point: str, place: Workplace) -> None:
    """uvloop takes itself for running when its run is interrupted, and cannot be closed then."""
    place.write("signalled", SIGNALLED)
    environment = {"PYTHONWARNINGS": "default::RuntimeWarning"}  # the loop cannot be closed, and says so elsewhere
    command = place.pronghorn("hello:app", "--loop", f"signalled:{point}", env=environment)
    assert command.port
    assert command.stop() == 0
    assert "Finished server process" in command.err[-1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no limit on open files here")
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("files", "options", "line"),
    [
        (64, "", "WARNING:  limit_connections is 1, as a process may have 64 files open (ulimit -n), and 64 are kept for "
                 "other files. Raise that limit, or set limit_connections."),
        (1024, "", "INFO:     limit_connections is 960, as a process may have 1024 files open (ulimit -n)"),
        (1024, "--limit-connections 2000", "WARNING:  limit_connections is 2000, but a process may have 1024 files open "
                                           "(ulimit -n): enough for 960 connection(s)."),
        (1024, "--limit-connections 0", "WARNING:  limit_connections is off, but a process may have 1024 files open "
                                        "(ulimit -n): enough for 960 connection(s)."),
        (1024, "--limit-connections 100", None),
        (64, "--limit-connections 0", "WARNING:  limit_connections is off, but a process may have 64 files open "
                                      "(ulimit -n): enough for 1 connection(s)."),
    ],
)  # fmt: skip
def test_limit_that_open_files_set(files: int, options: str, line: str | None, workers: str, place: Workplace) -> None:
    """It is said, once; loudly where hardly anybody can mean it."""
    run = f"exec {sys.executable} -m pronghorn hello:app --port 0 --workers {workers} {options}"
    command = place.run("sh", "-c", f"ulimit -S -n {files}; {run}")
    command.wait_for("running on")
    assert command.stop() == 0
    assert [each for each in command.err if "limit_connections" in each] == ([] if line is None else [line])
