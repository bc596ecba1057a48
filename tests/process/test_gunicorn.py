"""The real gunicorn with our worker class: its settings, signals, hooks and logs, seen from the outside."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from encrypted import Encrypted, authority, server_certificate
from process.command import PATIENCE, Client, Command
from process.load import Load, alive, ask, children, until
from wsclients import CLIENTS, Denied

if TYPE_CHECKING:
    from process.conftest import Workplace

pytest.importorskip("gunicorn", reason="gunicorn is not installed")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")

APP = """
import asyncio
import json
import os
import time

print("imported by", os.getpid())

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("lifespan ends")
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        if scope["path"] == "/deny":
            return await send({"type": "websocket.close"})
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    path = scope["path"].removeprefix("/under")
    body = b"%d" % os.getpid()
    if path == "/block":
        time.sleep(60)
    elif path == "/wait":
        await asyncio.sleep(2.5)
    elif path == "/endless":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        print("told of the end")
        return
    elif path == "/scope":
        seen = {key: scope[key] for key in ("client", "scheme", "root_path", "path")}
        body = json.dumps(seen | {"names": [name.decode() for name, _ in scope["headers"]]}).encode()
    elif path == "/stubborn":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass
    elif path == "/raise":
        raise ValueError("on purpose")
    elif path == "/nothing":
        return
    elif path == "/body":
        await receive()
    headers = [(b"content-length", b"%d" % len(body)), (b"x-kind", b"plain")]
    if path == "/iterator":
        headers = iter(headers)
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""

Start = Callable[..., "Gunicorn"]
COMMAND = str(Path(sysconfig.get_path("scripts"), "gunicorn"))
LISTENING = re.compile(r"Listening at: \w+://[^:]+:(\d+)")


class Gunicorn:
    """A started gunicorn."""

    def __init__(self, command: Command) -> None:
        self.command = command

    @property
    def port(self) -> int:
        found = LISTENING.search(self.command.wait_for("Listening at"))
        assert found
        return int(found[1])

    def serving(self, workers: int = 1) -> Gunicorn:
        """Wait until so many workers have started."""
        self.command.wait_for("Application startup complete", workers)
        return self

    def all_answer(self) -> None:
        """Wait until each of them has accepted a connection."""
        seen: set[int] = set()
        until(lambda: bool(seen.add(ask(self.port)) or seen == children(self.command)), "all answer")

    def stop(self, number: int = signal.SIGTERM) -> list[str]:
        """Stop it; the lines of its log."""
        assert self.command.stop(number) == 0, "\n".join(self.command.lines)
        self.command.clean()
        return self.command.lines

    def scope(self, *headers: str, target: str = "/scope") -> dict[str, Any]:
        with Client(self.port) as client:
            client.request(target, "Connection: close", *headers)
            found: dict[str, Any] = json.loads(client.rest().partition(b"\r\n\r\n")[2])
        return found

    def status(self, raw: bytes) -> int:
        """The status of the answer to these bytes, after which the server closes."""
        with Client(self.port) as client:
            client.socket.sendall(raw)
            return int(client.rest().split()[1])


def surroundings(place: Workplace) -> dict[str, str]:
    """Its control socket is not for the home directory; and it leaves it to the interpreter to close its sockets."""
    home = str(place.path)
    return {"HOME": home, "XDG_RUNTIME_DIR": home, "PYTHONWARNINGS": "error,ignore::ResourceWarning"}


@pytest.fixture
def start(place: Workplace) -> Start:
    """Start gunicorn with the text of a configuration file, and arguments."""
    place.write("served", APP)

    def start(conf: str = "", *args: str, app: str = "served:app", kind: str = "pronghorn.gunicorn.Worker") -> Gunicorn:
        place.write("conf", conf)
        bind = () if "-b" in args else ("-b", "127.0.0.1:0")
        command = place.run(
            *(COMMAND, "-c", "conf.py", "-k", kind, *bind, *args, app),
            env=surroundings(place),
        )
        return Gunicorn(command)

    return start


def test_http_and_websocket(start: Start) -> None:
    server = start("workers = 2").serving(2)
    server.all_answer()
    with CLIENTS["wsproto"](f"ws://127.0.0.1:{server.port}/") as client:
        client.send("text")
        assert client.receive() == "text"
        client.close(1000)
    lines = server.stop()
    assert not any("without a meaning" in line for line in lines)
    assert sum("lifespan ends" in line for line in lines) == 2


def test_connections_are_shared_out(start: Start) -> None:
    server = start("workers = 2\nkeepalive = 30").serving(2)
    server.all_answer()
    clients = [Client(server.port) for _ in range(40)]
    for client in clients:
        client.request("/")
    answers = [client.until(b"\r\n\r\n") for client in clients]
    for client in clients:
        client.socket.close()
    counts = [sum(one.endswith(b"%d" % pid) for one in answers) for pid in children(server.command)]
    assert sum(counts) == 40 and min(counts) >= 14, counts
    server.stop()


# Settings.


def test_limits_of_the_head(start: Start) -> None:
    server = start("limit_request_line = 100\nlimit_request_fields = 3\nlimit_request_field_size = 60")
    assert server.status(b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 100)) == 414
    assert server.status(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 3 + b"\r\n") == 431
    assert server.status(b"GET / HTTP/1.1\r\nHost: a\r\nA: %b\r\n\r\n" % (b"a" * 60)) == 431
    assert server.status(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") == 200
    server.stop()


def test_limits_that_are_switched_off(start: Start) -> None:
    server = start("limit_request_line = 0\nlimit_request_field_size = 0")
    long = b"a" * 100_000
    assert server.status(b"GET /%b HTTP/1.1\r\nHost: a\r\nA: %b\r\nConnection: close\r\n\r\n" % (long, long)) == 200
    server.stop()


def test_keepalive(start: Start) -> None:
    server = start("keepalive = 1")
    with Client(server.port) as client:
        client.request("/")
        answer = client.rest()  # which our own default would keep open longer than anybody waits here
    assert b"200 OK" in answer and b"connection: close" not in answer.lower()
    server.stop()


def test_no_keepalive(start: Start) -> None:
    server = start("keepalive = 0")
    with Client(server.port) as client:
        client.request("/")
        assert b"connection: close" in client.rest().lower()
    server.stop()


def test_worker_connections(start: Start) -> None:
    server = start("worker_connections = 2\nkeepalive = 30")
    with Client(server.port) as first, Client(server.port) as second:
        for client in (first, second):
            client.request("/")
            client.until(b"\r\n\r\n")
        with Client(server.port) as third:
            third.request("/")
            third.until(b"\r\n\r\n")
            first.rest()  # it was idle for the longest time, and is closed
    server.stop()


def test_proxies(start: Start) -> None:
    server = start("")
    seen = server.scope("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https")
    assert (seen["client"], seen["scheme"]) == (["192.0.2.1", 0], "https")
    server.stop()


def test_proxies_that_are_not_trusted(start: Start) -> None:
    server = start("forwarded_allow_ips = '192.0.2.9'")
    seen = server.scope("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https")
    assert (seen["client"][0], seen["scheme"]) == ("127.0.0.1", "http")
    server.stop()


def test_scheme_headers(start: Start) -> None:
    server = start("secure_scheme_headers = {'X-FORWARDED-PROTO': 'https', 'X-SECURE': 'yes'}")
    server.command.wait_for("Settings without a meaning for Worker, not used: secure_scheme_headers['X-SECURE']")
    assert server.scope("X-Forwarded-Proto: https")["scheme"] == "https"
    server.stop()


def test_no_scheme_headers(start: Start) -> None:
    server = start("secure_scheme_headers = {}")
    assert server.scope("X-Forwarded-Proto: https")["scheme"] == "http"
    server.stop()


@pytest.mark.parametrize("setting", ["True", "'v1'"])
def test_proxy_protocol(start: Start, setting: str) -> None:
    import gunicorn

    if setting != "True" and int(gunicorn.__version__.split(".")[0]) < 25:
        pytest.skip("this gunicorn has no choice of a version of the PROXY protocol")
    server = start(f"proxy_protocol = {setting}")
    with Client(server.port) as client:
        client.socket.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 80\r\n")
        client.request("/scope", "Connection: close")
        assert json.loads(client.rest().partition(b"\r\n\r\n")[2])["client"] == ["192.0.2.7", 4000]
    server.stop()


@pytest.mark.parametrize(
    ("setting", "status", "names"), [("drop", 200, False), ("refuse", 400, None), ("dangerous", 200, True)]
)
def test_header_map(start: Start, setting: str, status: int, names: bool | None) -> None:
    server = start(f"header_map = '{setting}'")
    assert server.status(b"GET / HTTP/1.1\r\nHost: a\r\nA_B: c\r\nConnection: close\r\n\r\n") == status
    if names is not None:
        assert ("a_b" in server.scope("A_B: c")["names"]) is names
    server.stop()


def test_settings_of_newer_versions(start: Start) -> None:
    from gunicorn.config import make_settings

    if "asgi_lifespan" not in make_settings():
        pytest.skip("this gunicorn has no settings for ASGI")
    server = start(
        "root_path = '/under'\nasgi_lifespan = 'off'\nasgi_loop = 'asyncio'\nwebsocket_max_message_size = 10"
    )
    seen = server.scope()
    assert (seen["root_path"], seen["path"]) == ("/under", "/under/scope")
    with CLIENTS["wsproto"](f"ws://127.0.0.1:{server.port}/") as client:
        client.send("a" * 11)
        assert client.over()[0] == 1009
    assert not any("lifespan" in line for line in server.stop())


def test_unix_socket(start: Start, place: Workplace) -> None:
    path = place.path / "socket"
    start_ = start("", "-b", f"unix:{path}").serving()
    with Client(str(path)) as client:
        client.request("/scope", "X-Forwarded-For: 192.0.2.1", "Connection: close")
        assert json.loads(client.rest().partition(b"\r\n\r\n")[2])["client"] == ["192.0.2.1", 0]
    start_.stop()
    assert not path.exists()


def test_tls(start: Start) -> None:
    """Client certificates are asked for; the hook for the context adds its own."""
    server = start(f"""
certfile = keyfile = {server_certificate()!r}
ca_certs = {authority().file!r}
cert_reqs = 2

def ssl_context(config, make):
    import ssl
    context = make()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context
""")  # fmt: skip
    assert "https://" in server.command.wait_for("Listening at")
    context = authority().client()
    context.load_cert_chain(authority().issue("client"))
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as raw:
        client = Encrypted(raw, context)
        client.handshake()
        assert client.session.version() == "TLSv1.2"
        client.sendall(b"GET /scope HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = b""
        while part := client.recv(65536):
            data += part
    assert json.loads(data.partition(b"\r\n\r\n")[2])["scheme"] == "https"
    server.stop()


def test_settings_without_meaning(start: Start) -> None:
    server = start("threads = 4\nforwarder_headers = 'REMOTE_USER'", "--no-sendfile").serving()
    line = "Settings without a meaning for Worker, not used: threads, sendfile, forwarder_headers"
    lines = server.stop()
    (notice,) = [text for text in lines if "without a meaning" in text]
    assert notice.endswith(line)


@pytest.mark.parametrize(
    ("conf", "line"),
    [
        ("backlog = 0", "backlog: expected a whole number from 1, got 0"),
        ("protocol = 'uwsgi'", "protocol: expected http, got 'uwsgi'"),
        ("cert_reqs = 7\ncertfile = 'conf.py'", "cert_reqs: expected 0 no, 1 optional, 2 required"),
    ],
)
def test_bad_setting(start: Start, conf: str, line: str) -> None:
    from gunicorn.config import make_settings

    if conf.split(" ")[0] not in make_settings():
        pytest.skip("this gunicorn does not have the setting")
    server = start(conf)
    assert server.command.exit() == 1
    assert any(line in text for text in server.command.err), server.command.lines
    server.command.clean()


def test_certificate_that_is_none(start: Start) -> None:
    server = start("certfile = keyfile = 'conf.py'")
    assert server.command.exit() == 3
    assert any("certfile: cannot use the certificate 'conf.py'" in line for line in server.command.err)
    assert sum("Booting worker" in line for line in server.command.lines) == 1
    server.command.clean()


# The application.


def test_application_that_does_not_start(start: Start, place: Workplace) -> None:
    place.write("failing", """
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
""")  # fmt: skip
    server = start(app="failing:app")
    assert server.command.exit() == 3
    assert sum("no database" in line for line in server.command.lines) == 1  # it was tried once
    assert sum("Booting worker" in line for line in server.command.lines) == 1
    server.command.clean()


def test_application_that_is_not_there(start: Start) -> None:
    server = start(app="served:nothing")
    assert server.command.exit() == 4
    server.command.clean()


def test_application_of_wsgi(start: Start, place: Workplace) -> None:
    place.write("wsgi", "def app(environ, start_response): ...\n")
    server = start(app="wsgi:app")
    assert server.command.exit() == 3
    assert any(
        "interface: the application takes two arguments, as one of WSGI does" in text for text in server.command.err
    )
    server.command.clean()


def test_application_of_wsgi_that_is_asked_for(start: Start, place: Workplace) -> None:
    pytest.importorskip("a2wsgi", reason="a2wsgi is not installed")
    place.write("wsgi", """
from pronghorn.gunicorn import Worker

class Mine(Worker):
    CONFIG_KWARGS = {"interface": "wsgi", "headers": [("x-mine", "yes")]}

def app(environ, start_response):
    start_response("200 OK", [("content-length", "5")])
    return [b"hello"]
""")  # fmt: skip
    server = start(app="wsgi:app", kind="wsgi.Mine")
    with Client(server.port) as client:
        client.request("/", "Connection: close")
        answer = client.rest()
    assert answer.endswith(b"hello") and b"x-mine: yes" in answer
    server.stop()


def test_factory(start: Start, place: Workplace) -> None:
    place.write("made", "from served import app\ndef make(kind):\n    return app\n")
    server = start(app="made:make('any')")
    assert ask(server.port) in children(server.command)
    server.stop()


def test_setting_of_a_subclass_that_does_not_exist(start: Start, place: Workplace) -> None:
    place.write(
        "mine", "from pronghorn.gunicorn import Worker\nclass Mine(Worker):\n    CONFIG_KWARGS = {'nonsense': 1}\n"
    )
    server = start(kind="mine.Mine")
    assert server.command.exit() == 1
    assert any("CONFIG_KWARGS: there is no setting 'nonsense'" in line for line in server.command.err)
    server.command.clean()


@pytest.mark.parametrize("kind", ["UvicornWorker", "UvicornH11Worker"])
@pytest.mark.parametrize("package", ["uvicorn.workers", "uvicorn_worker"])
def test_names_of_uvicorn(start: Start, place: Workplace, package: str, kind: str) -> None:
    command = place.run(
        *(sys.executable, "-m", "pronghorn.compat", "-m", "gunicorn", "-k", f"{package}.{kind}", "-b", "127.0.0.1:0"),
        "served:app",
        env=surroundings(place),
    )
    server = Gunicorn(command)
    assert ask(server.port) in children(command)
    server.stop()


def test_preload(start: Start) -> None:
    server = start("preload_app = True\nworkers = 2").serving(2)
    assert ask(server.port) in children(server.command)
    lines = server.stop()
    assert [line for line in lines if "imported by" in line] == [f"imported by {server.command.process.pid}"]


# Life.


def test_blocked_worker(start: Start) -> None:
    """It says nothing any more, so it is ended, and shows where it was."""
    server = start("timeout = 2\ndef worker_abort(worker):\n    print('aborted', worker.pid)").serving()
    (blocked,) = children(server.command)
    with Client(server.port) as client:
        client.request("/block")
        server.command.wait_for(f"WORKER TIMEOUT (pid:{blocked})")
        server.command.wait_for("in app")
        server.command.wait_for(f"aborted {blocked}")
        until(lambda: not alive(blocked), "it ends")
        client.rest()
    assert ask(server.port) != blocked
    assert server.command.stop() == 0


def test_worker_that_waits_is_not_blocked(start: Start) -> None:
    server = start("timeout = 1").serving()
    assert ask(server.port, "/wait") in children(server.command)
    assert not any("WORKER TIMEOUT" in line for line in server.stop())


def test_graceful_stop(start: Start) -> None:
    """What is under way is finished."""
    server = start().serving()
    with Client(server.port) as client:
        client.request("/wait")
        client.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.socket.recv(1)
        client.socket.settimeout(PATIENCE)
        until(lambda: ask(server.port) > 0, "the request has been read")
        server.command.send(signal.SIGTERM)
        assert b"200 OK" in client.rest()
    assert server.command.exit() == 0
    server.command.clean()


def test_application_that_ignores_the_stop(start: Start) -> None:
    """The lifespan ends before gunicorn kills what is left."""
    server = start("graceful_timeout = 4").serving()
    with Client(server.port) as client:
        client.request("/stubborn")
        client.until(b"begun")
        server.command.send(signal.SIGTERM)
        client.rest()
    server.command.wait_for("1 task(s) ignore their cancellation")
    assert server.command.exit() == 0
    assert "lifespan ends" in server.command.out


def test_graceful_timeout(start: Start) -> None:
    """A stream is told before the limit."""
    server = start("graceful_timeout = 4").serving()
    with Client(server.port) as client:
        client.request("/endless")
        client.until(b"begun")
        server.command.send(signal.SIGTERM)
        client.rest()
    assert server.command.exit() == 0
    assert [line for line in server.command.out if "imported" not in line] == ["told of the end", "lifespan ends"]
    assert not any("SIGKILL" in line for line in server.command.lines)
    server.command.clean()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_quick_stop(start: Start, number: int) -> None:
    server = start("graceful_timeout = 60\ndef worker_int(worker):\n    print('interrupted')").serving()
    with Client(server.port) as client:
        client.request("/endless")
        client.until(b"begun")
        server.command.send(number)
        client.rest()
    assert server.command.exit() == 0
    assert {"interrupted", "lifespan ends"} <= set(server.command.out)


@pytest.mark.parametrize("workers", [1, 2])
def test_max_requests_under_load(start: Start, workers: int) -> None:
    """Nobody is refused, although a new worker is only started when the old one has gone: who comes waits."""
    server = start(f"max_requests = 30\nmax_requests_jitter = 20\nworkers = {workers}").serving(workers)
    with Load(server.port) as load:
        until(lambda: len(load.pids) > 5, "workers are replaced")
    assert load.errors == []
    server.stop()


def test_reload_under_load(start: Start, place: Workplace) -> None:
    server = start("workers = 2").serving(2)
    with Load(server.port) as load:
        for _ in range(2):
            before = children(server.command)
            server.command.send(signal.SIGHUP)
            until(lambda: not before & children(server.command) and len(children(server.command)) == 2, "both are new")  # noqa: B023
    assert load.errors == []
    assert len(load.pids) > 2
    server.stop()


def test_more_and_fewer(start: Start) -> None:
    server = start().serving()
    server.command.send(signal.SIGTTIN)
    until(lambda: len(children(server.command)) == 2, "one more")
    server.serving(2)
    server.command.send(signal.SIGTTOU)
    until(lambda: len(children(server.command)) == 1, "one fewer")
    assert ask(server.port) in children(server.command)
    server.stop()


def test_upgrade(start: Start, place: Workplace) -> None:
    """SIGUSR2 starts another gunicorn on the same socket; the first one can go, and nobody notices."""
    server = start("", "--pid", "pid").serving()
    old = children(server.command)
    with Load(server.port) as load:
        server.command.send(signal.SIGUSR2)
        until(lambda: Path(place.path, "pid.2").exists() and bool(load.pids - old), "the second one serves")
        second = int(Path(place.path, "pid.2").read_text())
        server.command.send(signal.SIGTERM)
        until(lambda: server.command.process.poll() is not None, "the first one has gone")
        until(lambda: ask(server.port) not in old, "the second one is alone")
    assert load.errors == []
    os.kill(second, signal.SIGTERM)
    until(lambda: not alive(second), "the second one has gone")
    assert server.command.exit() == 0
    server.command.clean()


def test_arbiter_that_is_killed(start: Start) -> None:
    server = start().serving()
    (worker,) = children(server.command)
    server.command.process.kill()
    until(lambda: not alive(worker), "the worker ends")


def test_reload_of_a_file(start: Start, place: Workplace) -> None:
    """The new code serves soon, also with a stream open; one with a syntax error says so, until it is repaired."""
    server = start("reload = True\nreload_engine = 'poll'").serving()
    other = APP.replace("b'plain'", "b'other'").replace('b"plain"', 'b"other"') + "\n"
    versions = {"x-kind: other": other, "SyntaxError": "async def app(\n", "x-kind: plain": APP}
    with Client(server.port) as client:
        client.request("/endless")
        client.until(b"begun")
        for sign, source in versions.items():
            for attempt in range(8):  # gunicorn does not see a change that comes before its first look at a new worker's files
                place.write("served", source + "\n" * attempt)
                if shows(server.port, sign.encode()):
                    break
            else:
                raise AssertionError(f"never {sign}")
        client.rest()
    assert server.command.stop() == 0


def shows(port: int, sign: bytes, within: float = 4.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if sign in answer(port):
            return True
    return False


def answer(port: int) -> bytes:
    try:
        with Client(port) as client:
            client.request("/", "Connection: close")
            return client.rest()
    except OSError:
        return b""


HOOKS = """
def post_fork(server, worker): print("post_fork")
def post_worker_init(worker): print("post_worker_init")
def worker_exit(server, worker): print("worker_exit")
def child_exit(server, worker): print("child_exit")
def pre_request(worker, req): print("pre_request", req.method, req.path, req.query, dict(req.headers)["X-A"])
def post_request(worker, req, environ, resp):
    print("post_request", req.uri, environ["HTTP_X_A"], environ["REMOTE_ADDR"], resp.status, dict(resp.headers)["x-kind"])
"""


def test_hooks(start: Start) -> None:
    server = start(HOOKS).serving()
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


def test_hook_that_raises(start: Start) -> None:
    server = start("def pre_request(worker, req): 1 / 0").serving()
    assert ask(server.port) in children(server.command)
    server.command.wait_for("Exception in pre_request hook")
    assert server.command.stop() == 0


# Logs.

FORMAT = "%(h)s|%(l)s|%(u)s|%(m)s|%(U)s|%(q)s|%(H)s|%(r)s|%(s)s|%(B)s|%(b)s|%(f)s|%(a)s|%({x-a}i)s|%({x-kind}o)s|%({none}i)s|%(p)s"
AS_RECORDS = "def pre_request(worker, req): ...\n"  # whoever has a hook gets records


@pytest.mark.parametrize("more", ["", AS_RECORDS], ids=["compiled", "records"])
def test_access_log(start: Start, place: Workplace, more: str) -> None:
    server = start(f"accesslog = 'access.log'\naccess_log_format = {FORMAT!r}\n{more}").serving()
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
def test_default_format_on_standard_output(start: Start, more: str) -> None:
    server = start("accesslog = '-'\n" + more).serving()
    ask(server.port)
    with CLIENTS["wsproto"](f"ws://127.0.0.1:{server.port}/") as client:
        client.close(1000)
    server.stop()
    first, second = (line for line in server.command.out if "HTTP/1.1" in line)
    assert re.fullmatch(
        r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET / HTTP/1\.1" 200 \d+ "-" "-"', first
    )
    assert '"GET / HTTP/1.1" 101' in second


def test_both_ways_have_the_same_lines(start: Start) -> None:
    """Also of responses that do not come, and of those that are no responses of the application."""
    lines = []
    for more in ("", AS_RECORDS):
        server = start(
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


def test_variable_of_wsgi_in_the_format(start: Start) -> None:
    server = start(
        "accesslog = '-'\naccess_log_format = 'port %({REMOTE_PORT}e)s %({request_method}e)s %(nothing)s'"
    ).serving()
    ask(server.port)
    server.stop()
    assert any(re.fullmatch(r"port \d+ GET -", line) for line in server.command.out)


def test_no_access_log(start: Start) -> None:
    server = start().serving()
    ask(server.port)
    assert not any("HTTP/1.1" in line for line in server.stop())


def test_logging_configuration(start: Start) -> None:
    server = start("""
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


def test_level(start: Start) -> None:
    server = start("", "--log-level", "warning")
    until(lambda: any("imported by" in line for line in server.command.lines), "the application is imported")
    assert server.command.stop() == 0
    assert server.command.err == []


def test_logs_are_opened_again(start: Start, place: Workplace) -> None:
    server = start("accesslog = 'access.log'\nerrorlog = 'error.log'\naccess_log_format = '%(U)s'")
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


def test_statsd(start: Start) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE)
        server = start(f"statsd_host = '127.0.0.1:{receiver.getsockname()[1]}'\nstatsd_prefix = 'mine'").serving()
        ask(server.port)
        seen: list[str] = []
        while not any("request.status" in metric for metric in seen):
            seen.append(receiver.recv(1000).decode())
        assert "mine.gunicorn.requests:1|c|@1.0" in seen
        assert "mine.gunicorn.request.status.200:1|c|@1.0" in seen
        (duration,) = [metric for metric in seen if "request.duration" in metric]
        assert re.fullmatch(r"mine\.gunicorn\.request\.duration:\d+\.\d+\|ms", duration)
        server.stop()


def test_logger_class(start: Start, place: Workplace) -> None:
    """One of somebody's own gets what the server says and each request, through its methods."""
    place.write("logger", """
from gunicorn.glogging import Logger

class Mine(Logger):
    def info(self, msg, *args, **kwargs):
        print("said", msg % args if args else msg)

    def access(self, resp, req, environ, request_time):
        print("asked", req.method, environ["RAW_URI"], resp.status, resp.sent, request_time.total_seconds() >= 0)
""")  # fmt: skip
    server = start("logger_class = 'logger.Mine'")
    server.command.wait_for("said Application startup complete.")
    found = LISTENING.search(server.command.wait_for("Listening at"))
    assert found
    pid = ask(int(found[1]), "/a?b")
    assert f"asked GET /a?b 200 OK {len(str(pid))} True" in server.stop()
