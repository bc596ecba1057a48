"""--interface: applications of ASGI 2 and WSGI behind the real command."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from process.command import Client, Command

if TYPE_CHECKING:
    from process.conftest import Workplace

Start = Callable[..., Command]

ASGI2 = """
class App:
    def __init__(self, scope):
        assert scope["type"] == "http"
        self.scope = scope

    async def __call__(self, receive, send):
        body = f"{self.scope['asgi']} {await receive()}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""

WSGI = """
import threading

def app(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    start_response("200 OK", [("content-type", "text/plain")])
    yield f"{environ['REQUEST_METHOD']} {environ['SCRIPT_NAME']}|{environ['PATH_INFO']}?{environ['QUERY_STRING']} ".encode()
    yield body or str(threading.current_thread() is threading.main_thread()).encode()
"""


def ask(command: Command, request: bytes) -> bytes:
    with Client(command.port) as client:
        client.socket.sendall(request)
        return client.rest()


@pytest.mark.parametrize("options", [(), ("--interface", "asgi2")])
def test_asgi_2(start: Start, place: Workplace, options: tuple[str, ...]) -> None:
    place.write("old", ASGI2)
    command = start("old:App", *options)
    answer = ask(command, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"{'version': '2.0', 'spec_version': '2.5'}" in answer
    assert b"{'type': 'http.request', 'body': b'', 'more_body': False}" in answer
    assert command.stop() == 0
    command.clean()


def test_wsgi(start: Start, place: Workplace) -> None:
    pytest.importorskip("a2wsgi", reason="a2wsgi is not installed")
    place.write("older", WSGI)
    command = start("older:app", "--interface", "wsgi", "--root-path", "/below")
    answer = ask(command, b"GET /a%20b?c=d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"GET /below|/a b?c=d " in answer and b"False" in answer
    body = b"x" * 300_000
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n"
    assert body in ask(command, head + body).replace(b"\r\n", b"")
    assert command.stop() == 0
    command.clean()


def test_wsgi_that_was_not_asked_for_is_one_line(start: Start, place: Workplace) -> None:
    place.write("older", WSGI)
    command = start("older:app")
    assert command.exit() == 3
    assert len(command.err) == 1 and "takes two arguments, as WSGI applications (Flask) do" in command.err[0] and "interface wsgi" in command.err[0]


def test_wsgi_without_its_package_is_one_line(start: Start, place: Workplace) -> None:
    place.write("older", WSGI)
    place.write("a2wsgi", "raise ImportError('not here')\n")
    command = start("older:app", "--interface", "wsgi")
    assert command.exit() == 3
    assert len(command.err) == 1 and "pip install 'pronghorn[wsgi]'" in command.err[0]


def test_an_interface_that_does_not_exist_is_one_line(start: Start) -> None:
    command = start("hello:app", "--interface", "cgi")
    assert command.exit() == 2
    assert len(command.err) == 1 and "one of auto, asgi3, asgi2, wsgi" in command.err[0]
