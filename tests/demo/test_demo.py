"""The demonstration, served by the real command: over HTTP, and in a headless browser."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo.browser import Page, browser, find_chromium
from process.command import Client, Command
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

BLOCK = bytes(range(256)) * 256


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    args = [sys.executable, "-m", "pronghorn", "pronghorn.demo:app", "--port", "0", "--loop", request.param]
    args += ["--timeout-graceful-shutdown", "1"]  # a page in the browser may still listen to events
    command = Command(args, tmp_path_factory.mktemp("demo"))
    yield command
    try:
        assert command.stop() == 0
        command.clean()
    finally:
        command.kill()


def ask(demo: Command, method: str, target: str, body: bytes | None = None) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", demo.port, timeout=10)
    try:
        connection.request(method, target, body)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_the_page_loads_nothing_from_elsewhere(demo: Command) -> None:
    response, body = ask(demo, "GET", "/")
    assert response.status == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    text = body.decode()
    assert "<title>Pronghorn</title>" in text
    assert "prefers-color-scheme: dark" in text
    outside = text.replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in outside and "https://" not in outside and "src=" not in outside


def test_head_has_the_length_and_no_body(demo: Command) -> None:
    response, body = ask(demo, "HEAD", "/")
    assert int(response.headers["content-length"]) > 5000
    assert body == b""


def test_json_is_the_request_as_it_was_seen(demo: Command) -> None:
    response, body = ask(demo, "GET", "/json?a=b")
    answer = json.loads(body)
    assert response.headers["content-type"] == "application/json"
    assert answer["request"]["method"] == "GET"
    assert answer["request"]["query"] == "a=b"
    assert answer["request"]["client"][0] == "127.0.0.1"
    assert answer["figures"]["requests"] >= 1


def test_echo_streams_back_before_the_request_is_complete(demo: Command) -> None:
    with Client(demo.port) as client:
        client.socket.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst")
        assert client.until(b"first")
        client.socket.sendall(b" last")
        assert client.until(b" last")


def test_echo_is_always_plain_text(demo: Command) -> None:
    response, body = ask(demo, "POST", "/echo", b"<script>alert(1)</script>")
    assert body == b"<script>alert(1)</script>"
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_a_large_echo_is_complete(demo: Command) -> None:
    data = BLOCK * 64
    assert ask(demo, "POST", "/echo", data)[1] == data


@pytest.mark.parametrize("length", ["yes", "no"])
def test_download(length: str, demo: Command) -> None:
    response, body = ask(demo, "GET", f"/download?length={length}")
    assert response.headers["content-length"] == ("10485760" if length == "yes" else None)
    assert body == BLOCK * 160


@pytest.mark.parametrize(("size", "expected"), [(0, b""), (1, b"\0"), (65536, BLOCK), (65537, BLOCK + b"\0")])
def test_download_of_another_size(size: int, expected: bytes, demo: Command) -> None:
    assert ask(demo, "GET", f"/download?size={size}")[1] == expected


@pytest.mark.parametrize("size", ["-1", "x", "1073741825", "9" * 30])
def test_download_of_no_size_is_refused(size: str, demo: Command) -> None:
    assert ask(demo, "GET", f"/download?size={size}")[0].status == 400


def test_what_is_not_there_and_what_is_not_allowed(demo: Command) -> None:
    assert ask(demo, "GET", "/nothing")[0].status == 404
    response, _ = ask(demo, "GET", "/echo")
    assert (response.status, response.headers["allow"]) == (405, "POST, PUT, PATCH")


def figures(demo: Command) -> dict[str, int]:
    found: dict[str, int] = json.loads(ask(demo, "GET", "/json")[1])["figures"]
    return found


def test_events_come_until_the_client_leaves(demo: Command) -> None:
    with Client(demo.port) as client:
        client.request("/events")
        head = client.until(b"\r\n\r\n")
        assert b"content-type: text/event-stream" in head
        data = client.until(b"\n\n") if b"data: " not in head else head
        assert b'data: {"time": "' in data
        client.until(b"data: ")
        assert figures(demo)["streams"] == 1
        client.socket.shutdown(socket.SHUT_RDWR)
    while figures(demo)["streams"]:
        pass  # each look is a request of its own: the server has its turn


def test_a_download_that_is_stopped_leaves_no_trace(demo: Command) -> None:
    with Client(demo.port) as client:
        client.request("/download?size=1073741824")
        client.until(b"\r\n\r\n")
    assert figures(demo)
    demo.clean()


def test_events_do_not_keep_the_server_from_stopping(tmp_path: Path) -> None:
    limit = ["--timeout-graceful-shutdown", "1"]
    command = Command([sys.executable, "-m", "pronghorn", "pronghorn.demo:app", "--port", "0", *limit], tmp_path)
    try:
        with Client(command.port) as client:
            client.request("/events")
            client.until(b"data: ")
            command.send(signal.SIGTERM)
            assert client.rest().endswith(b"0\r\n\r\n")  # told in time, it ended its response properly
        assert command.exit() == 0
        command.clean()
    finally:
        command.kill()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on this machine")
    with browser(program, tmp_path_factory.mktemp("browser") / "profile") as page:
        yield page


def test_in_a_browser_events_arrive_and_time_requests(demo: Command, page: Page) -> None:
    page.open(f"http://127.0.0.1:{demo.port}/")
    page.until("Number(document.getElementById('events').textContent) >= 2")
    assert page.evaluate("document.getElementById('link').className") == "live"
    assert page.text("clock")[2] == page.text("clock")[5] == ":"
    assert page.text("clock")[0] != "-"
    page.until("document.getElementById('latency').textContent.startsWith('median')")
    assert page.evaluate("document.querySelector('#chart .line').getAttribute('d')").startswith("M")
    assert page.evaluate("document.fonts.status") == "loaded"


def test_in_a_browser_json_is_shown(demo: Command, page: Page) -> None:
    page.open(f"http://127.0.0.1:{demo.port}/")
    page.evaluate("document.getElementById('fetch').click()")
    page.until("document.getElementById('json').textContent.startsWith('{')")
    shown = json.loads(page.text("json"))
    assert shown["request"]["path"] == "/json"
    assert page.text("fetched").startswith("200, ")


def test_in_a_browser_what_is_typed_comes_back(demo: Command, page: Page) -> None:
    page.open(f"http://127.0.0.1:{demo.port}/")
    text = "Gabelbock \u2192 <b>pronghorn</b>"
    page.evaluate(f"document.getElementById('text').value = {json.dumps(text)}")
    page.evaluate("document.getElementById('send').click()")
    page.until("document.getElementById('echoed').textContent !== ''")
    assert page.text("echoed") == text
    page.evaluate("document.getElementById('large').click()")
    page.until("document.getElementById('sent').textContent.startsWith('4194304 bytes back')")


@pytest.mark.parametrize("length", ["yes", "no"])
def test_in_a_browser_the_download_is_complete(length: str, demo: Command, page: Page) -> None:
    page.open(f"http://127.0.0.1:{demo.port}/")
    page.evaluate(f"document.querySelector('[data-length={length}]').click()")
    page.until(
        f"document.getElementById('received').textContent.startsWith('10.0 MiB') && "
        f"!document.querySelector('[data-length={length}]').disabled"
    )
    assert page.evaluate("document.getElementById('progress').style.width") == "100%"
    assert page.text("speed").endswith("MiB/s")


def test_in_a_browser_messages_come_back_over_a_websocket(demo: Command, page: Page) -> None:
    page.open(f"http://127.0.0.1:{demo.port}/")
    page.until("document.getElementById('socket-state').textContent === 'connected'")
    page.evaluate("document.getElementById('word').value = 'Gabelbock \u2192 horn'")
    page.evaluate("document.getElementById('say').click()")
    page.until("document.getElementById('socket').textContent.startsWith('Gabelbock \u2192 horn  (')")
    page.evaluate("document.getElementById('burst').click()")
    page.until("document.getElementById('socket-state').textContent.startsWith('1,000 messages there and back')")
    assert page.evaluate("socket.extensions").startswith("permessage-deflate")


def test_in_a_browser_the_chat_goes_to_everybody(demo: Command, page: Page) -> None:
    with connect(f"ws://127.0.0.1:{demo.port}/chat") as other:
        name = json.loads(other.recv())["you"]
        page.open(f"http://127.0.0.1:{demo.port}/")
        page.until("document.getElementById('me').textContent.startsWith('guest ')")
        page.until("document.getElementById('here').textContent === '2'")
        assert page.text("me") != name
        other.send("is <b>anybody</b> there?")
        page.until("document.getElementById('chat').textContent.includes('is <b>anybody</b> there?')")
        page.evaluate("document.getElementById('line').value = 'yes'; document.getElementById('tell').click()")
        page.until("document.querySelector('#chat .mine') && document.querySelector('#chat .mine').textContent.endsWith('yes')")
        said = [line for line in (json.loads(other.recv()) for _ in range(5)) if "text" in line]
        assert [(line["from"], line["text"]) for line in said] == [(name, "is <b>anybody</b> there?"), (page.text("me"), "yes")]
    page.until("document.getElementById('here').textContent === '1'")


def test_a_websocket_elsewhere_is_denied_with_a_response(demo: Command) -> None:
    with pytest.raises(InvalidStatus) as denied:
        connect(f"ws://127.0.0.1:{demo.port}/nowhere")
    assert denied.value.response.status_code == 404
    assert denied.value.response.body == b"There is no WebSocket here.\n"
