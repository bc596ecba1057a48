"""A Flask application, in threads, behind the real command."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from process.command import Client, Command
from process.conftest import Workplace

pytest.importorskip("flask", reason="Flask is not installed")
pytest.importorskip("a2wsgi", reason="a2wsgi is not installed")

APP = """
import threading
from flask import Flask, Response, abort, jsonify, request, session

app = Flask(__name__)
app.secret_key = "tests"
barrier = threading.Barrier(5, timeout=10)

@app.route("/")
def home():
    address = request.remote_addr
    return jsonify(path=request.path, root=request.root_path, query=request.args, scheme=request.scheme, address=address)

@app.route("/echo", methods=["POST"])
def echo():
    return Response(request.get_data(), mimetype="application/octet-stream")

@app.route("/form", methods=["POST"])
def form():
    return jsonify(name=request.form["name"], size=len(request.files["file"].read()))

@app.route("/count")
def count():
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])

@app.route("/stream")
def stream():
    return Response((f"{number}," for number in range(100)), mimetype="text/plain")

@app.route("/together")
def together():
    return str(barrier.wait() >= 0)

@app.route("/missing")
def missing():
    abort(404)

@app.route("/broken")
def broken():
    raise LookupError("on purpose")

def make_app():
    return app
"""


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def started(path: Path, loop: str) -> Iterator[Command]:
    place = Workplace(path)
    place.write("site_of_flask", APP)
    try:
        command = place.pronghorn("site_of_flask:app", "--interface", "wsgi", "--loop", loop)
        yield command
        assert command.stop() == 0
    finally:
        place.end()


@pytest.fixture(scope="module")
def command(loop: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """One for all tests: each looks whether its log is clean."""
    with started(tmp_path_factory.mktemp("flask"), loop) as command:
        yield command


def ask(client: Client, target: str, *headers: str, body: bytes = b"", method: str = "GET") -> tuple[bytes, bytes]:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", "Connection: close"]
    client.socket.sendall("\r\n".join([*lines, *headers, "", ""]).encode() + body)
    head, _, content = client.rest().partition(b"\r\n\r\n")
    return head, content


def unchunked(content: bytes) -> bytes:
    """The body behind chunked framing."""
    body = b""
    while content:
        size, _, content = content.partition(b"\r\n")
        body, content = body + content[: int(size, 16)], content[int(size, 16) + 2 :]
    return body


def test_what_views_see(command: Command) -> None:
    with Client(command.port) as client:
        head, content = ask(client, "/?a=b%20c")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert json.loads(content) == {
        "path": "/", "root": "", "query": {"a": "b c"}, "scheme": "http", "address": "127.0.0.1",
    }  # fmt: skip
    command.clean()


@pytest.mark.parametrize("size", [0, 100, 3_000_000])
def test_bodies(command: Command, size: int) -> None:
    body = b"x" * size
    with Client(command.port) as client:
        head, content = ask(client, "/echo", body=body, method="POST")
    assert head.startswith(b"HTTP/1.1 200 OK") and content == body
    command.clean()


def test_forms(command: Command) -> None:
    body = (
        b'--xx\r\nContent-Disposition: form-data; name="name"\r\n\r\nada\r\n--xx\r\n'
        b'Content-Disposition: form-data; name="file"; filename="f"\r\n\r\n' + b"y" * 200_000 + b"\r\n--xx--\r\n"
    )
    with Client(command.port) as client:
        _, content = ask(client, "/form", "Content-Type: multipart/form-data; boundary=xx", body=body, method="POST")
    assert json.loads(content) == {"name": "ada", "size": 200_000}
    command.clean()


def test_sessions(command: Command) -> None:
    with Client(command.port) as client:
        head, content = ask(client, "/count")
    cookie = next(line for line in head.decode().splitlines() if line.startswith("set-cookie: "))
    with Client(command.port) as client:
        assert (content, ask(client, "/count", cookie.replace("set-cookie", "Cookie").partition(";")[0])[1]) == (b"1", b"2")
    command.clean()


def test_streams(command: Command) -> None:
    with Client(command.port) as client:
        head, content = ask(client, "/stream")
    assert b"transfer-encoding: chunked" in head
    assert unchunked(content) == b"".join(b"%d," % number for number in range(100))
    command.clean()


def test_requests_run_side_by_side(command: Command) -> None:
    """Five requests that wait for each other: each has a thread of its own."""
    clients = [Client(command.port) for _ in range(5)]
    try:
        for client in clients:
            client.request("/together", "Connection: close")
        assert [client.rest().endswith(b"True") for client in clients] == [True] * 5
    finally:
        for client in clients:
            client.socket.close()
    command.clean()


def test_errors(loop: str, tmp_path: Path) -> None:
    with started(tmp_path, loop) as command:
        for target, status in (("/missing", b"404"), ("/broken", b"500")):
            with Client(command.port) as client:
                assert ask(client, target)[0].split()[1] == status
        command.wait_for("LookupError: on purpose")


def test_a_script_of_uvicorn_serves_it(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    place.write("site_of_flask", APP)
    place.write("script", "import uvicorn\nfrom uvicorn.middleware.wsgi import WSGIMiddleware\nfrom site_of_flask import app\n"
                "uvicorn.run(WSGIMiddleware(app), port=0)\n")  # fmt: skip
    command = place.run(sys.executable, "-m", "pronghorn.compat", "script.py")
    port = int(command.wait_for("Uvicorn running on http://127.0.0.1:").split("127.0.0.1:")[1].split()[0])
    with Client(port) as client:
        assert ask(client, "/missing")[0].split()[1] == b"404"
    assert command.stop() == 0
    command.clean()
