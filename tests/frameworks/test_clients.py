"""Real clients: httpx, curl, wrk, h2load."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from serving import Server

MODES = [("uvloop", "auto"), ("asyncio", "auto")]


async def site(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = scope["path"]
    if path == "/stream":
        await send({"type": "http.response.start", "status": 200})
        for number in range(100):
            await send({"type": "http.response.body", "body": b"%d\n" % number, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})
        return
    if path == "/redirect":
        await send({"type": "http.response.start", "status": 307, "headers": [(b"location", b"/echo")]})
        await send({"type": "http.response.body", "body": b""})
        return
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    status = int(path.removeprefix("/status/")) if path.startswith("/status/") else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": bytes(body) or b"Hello, ASGI!"})


@pytest.fixture(autouse=True)
def application(server: Server) -> None:
    server.use(site)


def url(server: Server, path: str = "/") -> str:
    return f"http://127.0.0.1:{server.port}{path}"


class TestHttpx:
    @pytest.fixture
    def client(self) -> Iterator[Any]:
        httpx = pytest.importorskip("httpx", reason="httpx is not installed")
        with httpx.Client(timeout=10) as client:
            yield client

    def test_get(self, server: Server, client: Any) -> None:
        for _ in range(5):
            response = client.get(url(server))
            assert (response.status_code, response.text) == (200, "Hello, ASGI!")

    @pytest.mark.parametrize("size", [1, 100_000, 5_000_000])
    def test_post(self, server: Server, client: Any, size: int) -> None:
        assert client.post(url(server, "/echo"), content=bytes(size)).content == bytes(size)

    def test_chunked_upload(self, server: Server, client: Any) -> None:
        parts = [b"%d," % number * 1000 for number in range(50)]
        assert client.post(url(server, "/echo"), content=iter(parts)).content == b"".join(parts)

    def test_stream(self, server: Server, client: Any) -> None:
        with client.stream("GET", url(server, "/stream")) as response:
            assert list(response.iter_lines()) == [str(number) for number in range(100)]

    def test_redirect(self, server: Server, client: Any) -> None:
        response = client.post(url(server, "/redirect"), content=b"body", follow_redirects=True)
        assert response.text == "body"

    @pytest.mark.parametrize("status", [204, 304, 404, 500])
    def test_status(self, server: Server, client: Any, status: int) -> None:
        assert client.get(url(server, f"/status/{status}")).status_code == status
        assert client.head(url(server, f"/status/{status}")).status_code == status

    def test_concurrent(self, server: Server, client: Any) -> None:
        with ThreadPoolExecutor(16) as threads:
            answers = threads.map(lambda number: client.post(url(server, "/echo"), content=b"%d" % number).content, range(200))
            assert list(answers) == [b"%d" % number for number in range(200)]

    def test_async_client(self, server: Server) -> None:
        httpx = pytest.importorskip("httpx", reason="httpx is not installed")

        async def main() -> None:
            async with httpx.AsyncClient(timeout=10) as client:
                answers = await asyncio.gather(*(client.get(url(server)) for _ in range(50)))
                assert [answer.text for answer in answers] == ["Hello, ASGI!"] * 50

        asyncio.run(main())


def run(program: str, *arguments: str, data: bytes = b"") -> bytes:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([program, *arguments], input=data, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class TestCurl:
    def curl(self, *arguments: str, data: bytes = b"") -> bytes:
        return run("curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "10", *arguments, data=data)

    def test_get(self, server: Server) -> None:
        assert self.curl(url(server)) == b"Hello, ASGI!"

    def test_two_on_one_connection(self, server: Server) -> None:
        written = self.curl("-w", "%{num_connects} ", url(server), url(server))
        assert written == b"Hello, ASGI!1 Hello, ASGI!0 "

    def test_head(self, server: Server) -> None:
        head = self.curl("--head", url(server))
        assert head.startswith(b"HTTP/1.1 200 OK\r\n") and head.endswith(b"\r\n\r\n")

    @pytest.mark.parametrize("version", ["--http1.0", "--http1.1"])
    def test_version(self, server: Server, version: str) -> None:
        assert self.curl(version, url(server)) == b"Hello, ASGI!"
        assert self.curl(version, url(server, "/stream")).count(b"\n") == 100

    def test_post(self, server: Server) -> None:
        assert self.curl("--data", "a=b", url(server, "/echo")) == b"a=b"

    @pytest.mark.parametrize("framing", [[], ["--header", "Transfer-Encoding: chunked"]], ids=["length", "chunked"])
    def test_large_upload(self, server: Server, framing: list[str]) -> None:
        """Of this size curl asks with Expect: 100-continue first."""
        body = bytes(range(256)) * 12_000
        arguments = ["--header", "Expect: 100-continue", "--data-binary", "@-", *framing, url(server, "/echo")]
        assert self.curl(*arguments, data=body) == body

    def test_put(self, server: Server) -> None:
        assert self.curl("--upload-file", "-", url(server, "/echo"), data=b"x" * 100_000) == b"x" * 100_000

    def test_odd_target(self, server: Server) -> None:
        self.curl("--path-as-is", url(server, "/a/../b//c?d=%20"))
        assert (server.calls[0]["path"], server.calls[0]["query_string"]) == ("/a/../b//c", b"d=%20")

    def test_websocket_upgrade_is_served_as_a_request(self, server: Server) -> None:
        """h2c and others are offered by curl itself; the server answers in HTTP/1.1."""
        assert self.curl("--http2", url(server)) == b"Hello, ASGI!"
        server.take_log()


class TestLoad:
    """Short loads: no error of any kind, and the log stays clean."""

    @pytest.mark.parametrize("path", ["/", "/stream"])
    def test_wrk(self, server: Server, path: str) -> None:
        written = run("wrk", "-t1", "-c16", "-d1s", url(server, path)).decode()
        assert "Socket errors" not in written and "Non-2xx" not in written, written
        found = re.search(r"(\d+) requests in", written)
        assert found and int(found[1]) > 0, written

    def test_h2load(self, server: Server) -> None:
        written = run("h2load", "--h1", "-n", "2000", "-c", "10", "-m", "4", url(server)).decode()
        assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in written, written

    def test_h2load_post(self, server: Server, tmp_path: Any) -> None:
        body = tmp_path / "body"
        body.write_bytes(bytes(10_000))
        written = run("h2load", "--h1", "-n", "500", "-c", "10", "-d", str(body), url(server, "/echo")).decode()
        assert "500 succeeded, 0 failed, 0 errored, 0 timeout" in written, written
