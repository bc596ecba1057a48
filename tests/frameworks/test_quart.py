"""A Quart application: it takes the request apart in a task of its own and listens for the disconnect in another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from serving import Server, modes, serve

pytest.importorskip("quart", reason="Quart is not installed")

from quart import Quart, Response, abort, jsonify, request

EVENTS: list[str] = []


def make_app() -> Quart:
    app = Quart(__name__)

    @app.before_serving
    async def started() -> None:
        EVENTS.append("started")

    @app.after_serving
    async def stopped() -> None:
        EVENTS.append("stopped")

    @app.get("/")
    async def home() -> Response:
        return jsonify(path=request.path, query=request.args.to_dict(), agent=request.headers.get("User-Agent"))

    @app.post("/echo")
    async def echo() -> bytes:
        return await request.get_data()

    @app.post("/stream-in")
    async def stream_in() -> str:
        size = 0
        async for part in request.body:
            size += len(part)
        return str(size)

    @app.get("/stream")
    async def stream() -> Any:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(100):
                yield b"%d," % number
                await asyncio.sleep(0)

        return parts(), 200, {"X-Stream": "1"}

    @app.get("/endless")
    async def endless() -> Any:
        async def parts() -> AsyncIterator[bytes]:
            try:
                for number in range(1_000_000):
                    yield b"%d," % number
                    await asyncio.sleep(0.001)
            finally:
                EVENTS.append("ended")

        return parts()

    @app.get("/background")
    async def background() -> str:
        async def work() -> None:
            EVENTS.append("background")

        app.add_background_task(work)
        return "ok"

    @app.get("/refused")
    async def refused() -> None:
        abort(403)

    @app.get("/broken")
    async def broken() -> None:
        raise LookupError("on purpose")

    return app


@pytest.fixture(scope="module", params=modes("lazy", "eager", "task"), ids="-".join)
def site(request: pytest.FixtureRequest) -> Iterator[Server]:
    loop, task = request.param
    EVENTS.clear()
    with serve(make_app(), loop=loop, task=task, lifespan="on") as server:
        assert EVENTS == ["started"]
        yield server
    assert EVENTS[-1] == "stopped"


def test_json(site: Server) -> None:
    response = site.get("/?a=b", "User-Agent: test/1")
    assert json.loads(response.body) == {"path": "/", "query": {"a": "b"}, "agent": "test/1"}


@pytest.mark.parametrize("size", [0, 100, 1_000_000])
def test_body(site: Server, size: int) -> None:
    assert site.get("/echo", method="POST", body=bytes(size)).body == bytes(size)
    assert site.get("/stream-in", method="POST", body=bytes(size)).body == b"%d" % size


def test_stream(site: Server) -> None:
    response = site.get("/stream")
    assert response.body == b"".join(b"%d," % number for number in range(100))
    assert response.header("x-stream") == "1"


def test_stream_ends_with_the_client(site: Server) -> None:
    peer = site.raw()
    peer.send(b"GET /endless HTTP/1.1\r\nHost: h\r\n\r\n")
    peer.head()
    assert peer.chunk().startswith(b"0,")
    peer.reset()
    site.until(lambda: "ended" in EVENTS, "the generator ends")
    EVENTS.remove("ended")
    site.idle()
    assert site.take_log() == []


def test_background(site: Server) -> None:
    assert site.get("/background").body == b"ok"
    site.until(lambda: "background" in EVENTS, "the task runs")
    EVENTS.remove("background")


def test_errors(site: Server) -> None:
    assert site.get("/refused").status == 403
    assert site.get("/nowhere").status == 404
    assert site.get("/broken").status == 500
    assert not any(record.name.startswith("pronghorn") for record in site.take_log())


def test_keep_alive(site: Server) -> None:
    with site.raw() as peer:
        peer.send(b"GET /?n=0 HTTP/1.1\r\nHost: h\r\n\r\nGET /?n=1 HTTP/1.1\r\nHost: h\r\n\r\n")
        for number in range(2):
            assert json.loads(peer.response().body)["query"] == {"n": str(number)}
