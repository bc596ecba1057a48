"""The worker class for gunicorn: its settings, seen from the outside."""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest
from encrypted import Encrypted, authority, server_certificate
from process.arbiter import Gunicorn, Start, surroundings
from process.command import PATIENCE, Client
from process.load import ask, children
from wsclients import CLIENTS

if TYPE_CHECKING:
    from process.conftest import Workplace

pytest.importorskip("gunicorn", reason="gunicorn is not installed")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")


def test_http_and_websocket(gunicorn: Start) -> None:
    server = gunicorn("workers = 2").serving(2)
    server.all_answer()
    with CLIENTS["wsproto"](f"ws://127.0.0.1:{server.port}/") as client:
        client.send("text")
        assert client.receive() == "text"
        client.close(1000)
    lines = server.stop()
    assert not any("without a meaning" in line for line in lines)
    assert sum("lifespan ends" in line for line in lines) == 2


def test_connections_are_shared_out(gunicorn: Start) -> None:
    server = gunicorn("workers = 2\nkeepalive = 30").serving(2)
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


def test_limits_of_the_head(gunicorn: Start) -> None:
    server = gunicorn("limit_request_line = 100\nlimit_request_fields = 3\nlimit_request_field_size = 60")
    assert server.status(b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 100)) == 414
    assert server.status(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 3 + b"\r\n") == 431
    assert server.status(b"GET / HTTP/1.1\r\nHost: a\r\nA: %b\r\n\r\n" % (b"a" * 60)) == 431
    assert server.status(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") == 200
    server.stop()


def test_limits_that_are_switched_off(gunicorn: Start) -> None:
    server = gunicorn("limit_request_line = 0\nlimit_request_field_size = 0")
    long = b"a" * 100_000
    assert server.status(b"GET /%b HTTP/1.1\r\nHost: a\r\nA: %b\r\nConnection: close\r\n\r\n" % (long, long)) == 200
    server.stop()


def test_keepalive(gunicorn: Start) -> None:
    server = gunicorn("keepalive = 1")
    with Client(server.port) as client:
        client.request("/")
        answer = client.rest()  # which our own default would keep open longer than anybody waits here
    assert b"200 OK" in answer and b"connection: close" not in answer.lower()
    server.stop()


def test_no_keepalive(gunicorn: Start) -> None:
    server = gunicorn("keepalive = 0")
    with Client(server.port) as client:
        client.request("/")
        assert b"connection: close" in client.rest().lower()
    server.stop()


def test_worker_connections(gunicorn: Start) -> None:
    server = gunicorn("worker_connections = 2\nkeepalive = 30")
    with Client(server.port) as first, Client(server.port) as second:
        for client in (first, second):
            client.request("/")
            client.until(b"\r\n\r\n")
        with Client(server.port) as third:
            third.request("/")
            third.until(b"\r\n\r\n")
            first.rest()  # it was idle for the longest time, and is closed
    server.stop()


def test_proxies(gunicorn: Start) -> None:
    server = gunicorn("")
    seen = server.scope("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https")
    assert (seen["client"], seen["scheme"]) == (["192.0.2.1", 0], "https")
    server.stop()


def test_proxies_that_are_not_trusted(gunicorn: Start) -> None:
    server = gunicorn("forwarded_allow_ips = '192.0.2.9'")
    seen = server.scope("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https")
    assert (seen["client"][0], seen["scheme"]) == ("127.0.0.1", "http")
    server.stop()


def test_scheme_headers(gunicorn: Start) -> None:
    server = gunicorn("secure_scheme_headers = {'X-FORWARDED-PROTO': 'https', 'X-SECURE': 'yes'}")
    server.command.wait_for("Settings without a meaning for Worker, not used: secure_scheme_headers['X-SECURE']")
    assert server.scope("X-Forwarded-Proto: https")["scheme"] == "https"
    server.stop()


def test_no_scheme_headers(gunicorn: Start) -> None:
    server = gunicorn("secure_scheme_headers = {}")
    assert server.scope("X-Forwarded-Proto: https")["scheme"] == "http"
    server.stop()


@pytest.mark.parametrize("setting", ["True", "'v1'"])
def test_proxy_protocol(gunicorn: Start, setting: str) -> None:
    import gunicorn as package

    if setting != "True" and int(package.__version__.split(".")[0]) < 25:
        pytest.skip("this gunicorn has no choice of a version of the PROXY protocol")
    server = gunicorn(f"proxy_protocol = {setting}")
    with Client(server.port) as client:
        client.socket.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 80\r\n")
        client.request("/scope", "Connection: close")
        assert json.loads(client.rest().partition(b"\r\n\r\n")[2])["client"] == ["192.0.2.7", 4000]
    server.stop()


@pytest.mark.parametrize(
    ("setting", "status", "names"), [("drop", 200, False), ("refuse", 400, None), ("dangerous", 200, True)]
)
def test_header_map(gunicorn: Start, setting: str, status: int, names: bool | None) -> None:
    server = gunicorn(f"header_map = '{setting}'")
    assert server.status(b"GET / HTTP/1.1\r\nHost: a\r\nA_B: c\r\nConnection: close\r\n\r\n") == status
    if names is not None:
        assert ("a_b" in server.scope("A_B: c")["names"]) is names
    server.stop()


def test_settings_of_newer_versions(gunicorn: Start) -> None:
    from gunicorn.config import make_settings

    if "asgi_lifespan" not in make_settings():
        pytest.skip("this gunicorn has no settings for ASGI")
    server = gunicorn(
        "root_path = '/under'\nasgi_lifespan = 'off'\nasgi_loop = 'asyncio'\nwebsocket_max_message_size = 10"
    )
    seen = server.scope()
    assert (seen["root_path"], seen["path"]) == ("/under", "/under/scope")
    with CLIENTS["wsproto"](f"ws://127.0.0.1:{server.port}/") as client:
        client.send("a" * 11)
        assert client.over()[0] == 1009
    assert not any("lifespan" in line for line in server.stop())


def test_unix_socket(gunicorn: Start, place: Workplace) -> None:
    path = place.path / "socket"
    start_ = gunicorn("", "-b", f"unix:{path}").serving()
    with Client(str(path)) as client:
        client.request("/scope", "X-Forwarded-For: 192.0.2.1", "Connection: close")
        assert json.loads(client.rest().partition(b"\r\n\r\n")[2])["client"] == ["192.0.2.1", 0]
    start_.stop()
    assert not path.exists()


def test_tls(gunicorn: Start) -> None:
    """Client certificates are asked for; the hook for the context adds its own."""
    server = gunicorn(f"""
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


def test_settings_without_meaning(gunicorn: Start) -> None:
    server = gunicorn("threads = 4\nforwarder_headers = 'REMOTE_USER'", "--no-sendfile").serving()
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
def test_bad_setting(gunicorn: Start, conf: str, line: str) -> None:
    from gunicorn.config import make_settings

    if conf.split(" ")[0] not in make_settings():
        pytest.skip("this gunicorn does not have the setting")
    server = gunicorn(conf)
    assert server.command.exit() == 1
    assert any(line in text for text in server.command.err), server.command.lines
    server.command.clean()


def test_certificate_that_is_none(gunicorn: Start) -> None:
    server = gunicorn("certfile = keyfile = 'conf.py'")
    assert server.command.exit() == 3
    assert any("certfile: cannot use the certificate 'conf.py'" in line for line in server.command.err)
    assert sum("Booting worker" in line for line in server.command.lines) == 1
    server.command.clean()


# The application.


def test_application_that_does_not_start(gunicorn: Start, place: Workplace) -> None:
    place.write("failing", """
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
""")  # fmt: skip
    server = gunicorn(app="failing:app")
    assert server.command.exit() == 3
    assert sum("no database" in line for line in server.command.lines) == 1  # it was tried once
    assert sum("Booting worker" in line for line in server.command.lines) == 1
    server.command.clean()


def test_application_that_is_not_there(gunicorn: Start) -> None:
    server = gunicorn(app="served:nothing")
    assert server.command.exit() == 4
    server.command.clean()


def test_application_of_wsgi(gunicorn: Start, place: Workplace) -> None:
    place.write("wsgi", "def app(environ, start_response): ...\n")
    server = gunicorn(app="wsgi:app")
    assert server.command.exit() == 3
    assert any(
        "interface: the application takes two arguments, as WSGI applications (Flask) do" in text for text in server.command.err
    )
    server.command.clean()


def test_application_of_wsgi_that_is_asked_for(gunicorn: Start, place: Workplace) -> None:
    pytest.importorskip("a2wsgi", reason="a2wsgi is not installed")
    place.write("wsgi", """
from pronghorn.gunicorn import Worker

class Mine(Worker):
    CONFIG_KWARGS = {"interface": "wsgi", "headers": [("x-mine", "yes")]}

def app(environ, start_response):
    start_response("200 OK", [("content-length", "5")])
    return [b"hello"]
""")  # fmt: skip
    server = gunicorn(app="wsgi:app", kind="wsgi.Mine")
    with Client(server.port) as client:
        client.request("/", "Connection: close")
        answer = client.rest()
    assert answer.endswith(b"hello") and b"x-mine: yes" in answer
    server.stop()


def test_factory(gunicorn: Start, place: Workplace) -> None:
    place.write("made", "from served import app\ndef make(kind):\n    return app\n")
    server = gunicorn(app="made:make('any')")
    assert ask(server.port) in children(server.command)
    server.stop()


def test_setting_of_a_subclass_that_does_not_exist(gunicorn: Start, place: Workplace) -> None:
    place.write(
        "mine", "from pronghorn.gunicorn import Worker\nclass Mine(Worker):\n    CONFIG_KWARGS = {'nonsense': 1}\n"
    )
    server = gunicorn(kind="mine.Mine")
    assert server.command.exit() == 1
    assert any("CONFIG_KWARGS: there is no setting 'nonsense'" in line for line in server.command.err)
    server.command.clean()


@pytest.mark.parametrize("kind", ["UvicornWorker", "UvicornH11Worker"])
@pytest.mark.parametrize("package", ["uvicorn.workers", "uvicorn_worker"])
def test_names_of_uvicorn(gunicorn: Start, place: Workplace, package: str, kind: str) -> None:
    command = place.run(
        *(sys.executable, "-m", "pronghorn.compat", "-m", "gunicorn", "-k", f"{package}.{kind}", "-b", "127.0.0.1:0"),
        "served:app",
        env=surroundings(place),
    )
    server = Gunicorn(command)
    assert ask(server.port) in children(command)
    server.stop()


def test_preload(gunicorn: Start) -> None:
    server = gunicorn("preload_app = True\nworkers = 2").serving(2)
    assert ask(server.port) in children(server.command)
    lines = server.stop()
    assert [line for line in lines if "imported by" in line] == [f"imported by {server.command.process.pid}"]
