"""A Starlette application as people write them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Server, modes, serve

pytest.importorskip("starlette", reason="Starlette is not installed")
anyio = pytest.importorskip("anyio", reason="anyio is not installed")

from starlette.applications import Starlette  # noqa: E402
from starlette.background import BackgroundTask  # noqa: E402
from starlette.exceptions import HTTPException  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.middleware.base import BaseHTTPMiddleware  # noqa: E402
from starlette.middleware.gzip import GZipMiddleware  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse  # noqa: E402
from starlette.routing import Mount, Route  # noqa: E402

PARTS = 50


class Timing(BaseHTTPMiddleware):
    """The middleware that re-plumbs receive and send through task groups and memory streams."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response = await call_next(request)
        response.headers["x-middleware"] = request.url.path
        return response


class Site:
    """The application, and what its handlers leave behind."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "file.bin"
        self.file.write_bytes(bytes(range(256)) * 5000)
        self.done: list[str] = []
        self.disconnected = asyncio.Event()
        plain = [
            Route("/", self.home),
            Route("/echo", self.echo, methods=["POST"]),
            Route("/stream-in", self.stream_in, methods=["POST"]),
            Route("/form", self.form, methods=["POST"]),
            Route("/stream", self.stream),
            Route("/file", self.send_file),
            Route("/background", self.background),
            Route("/events", self.events),
            Route("/poll", self.poll),
            Route("/groups", self.groups),
            Route("/sync", self.sync),
            Route("/missing", self.missing),
            Route("/broken", self.broken),
            Route("/state", self.state),
            Route("/empty", self.empty),
        ]
        wrapped = [Mount("/wrapped", routes=plain, middleware=[Middleware(Timing)])]
        packed = [Mount("/packed", routes=plain, middleware=[Middleware(GZipMiddleware, minimum_size=10)])]
        self.app = Starlette(routes=[*wrapped, *packed, *plain], lifespan=self.lifespan)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[dict[str, Any]]:
        self.done.append("startup")
        yield {"name": "from the lifespan"}
        self.done.append("shutdown")

    async def home(self, request: Request) -> JSONResponse:
        return JSONResponse({"path": request.url.path, "query": dict(request.query_params), "client": request.client.host})

    async def echo(self, request: Request) -> Response:
        return Response(await request.body(), media_type=request.headers["content-type"])

    async def stream_in(self, request: Request) -> PlainTextResponse:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
        return PlainTextResponse(str(size))

    async def form(self, request: Request) -> JSONResponse:
        async with request.form() as form:
            return JSONResponse({"name": form["name"], "size": len(await form["file"].read())})

    async def stream(self, request: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(PARTS):
                yield b"%d," % number
                if number % 7 == 0:
                    await asyncio.sleep(0)

        return StreamingResponse(parts(), background=BackgroundTask(self.done.append, "stream"))

    async def send_file(self, request: Request) -> FileResponse:
        return FileResponse(self.file, filename="file.bin")

    async def background(self, request: Request) -> PlainTextResponse:
        async def work() -> None:
            await asyncio.sleep(0.01)
            self.done.append("background")

        return PlainTextResponse("ok", background=BackgroundTask(work))

    async def events(self, request: Request) -> StreamingResponse:
        async def feed() -> AsyncIterator[str]:
            try:
                for number in range(1_000_000):
                    if await request.is_disconnected():
                        self.done.append("is_disconnected")
                        break
                    yield f"data: {number}\n\n"
                    await asyncio.sleep(0.001)
            finally:
                self.done.append("events ended")

        return StreamingResponse(feed(), media_type="text/event-stream")

    async def poll(self, request: Request) -> PlainTextResponse:
        await request.body()
        self.done.append("poll begun")
        for _ in range(3000):
            if await request.is_disconnected():
                self.done.append("poll saw it")
                break
            await asyncio.sleep(0.001)
        return PlainTextResponse("late")

    async def groups(self, request: Request) -> JSONResponse:
        results = []

        async def child(number: int) -> None:
            await anyio.sleep(0)
            results.append(number)

        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(child, number)
        with anyio.move_on_after(0.001):
            await anyio.sleep(10)
        return JSONResponse(sorted(results))

    def sync(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("from a thread")

    async def missing(self, request: Request) -> Response:
        raise HTTPException(418, "teapot")

    async def broken(self, request: Request) -> Response:
        raise LookupError("on purpose")

    async def state(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.state.name)

    async def empty(self, request: Request) -> Response:
        return Response(status_code=204)


@pytest.fixture(scope="module", params=modes("lazy", "eager", "task"), ids="-".join)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Site]]:
    site = Site(tmp_path_factory.mktemp("site"))
    loop, task = request.param
    with serve(site.app, loop=loop, task=task, lifespan="on") as server:
        assert site.done == ["startup"]
        site.done.clear()
        yield server, site
        server.idle()
        server.check()
    assert site.done[-1] == "shutdown"


@pytest.fixture(params=["", "/wrapped", "/packed"], ids=["plain", "middleware", "gzip"])
def mount(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_json(site: tuple[Server, Site], mount: str) -> None:
    server, _ = site
    response = server.get(f"{mount}/?a=b")
    assert response.status == 200
    assert response.body == f'{{"path":"{mount}/","query":{{"a":"b"}},"client":"127.0.0.1"}}'.encode()
    assert response.header("x-middleware") == (f"{mount}/" if mount == "/wrapped" else None)


def test_head(site: tuple[Server, Site], mount: str) -> None:
    server, _ = site
    response = server.get(f"{mount}/", method="HEAD")
    assert (response.status, response.body) == (200, b"")


@pytest.mark.parametrize("size", [0, 10, 100_000, 3_000_000])
def test_body(site: tuple[Server, Site], mount: str, size: int) -> None:
    server, _ = site
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    response = server.get(f"{mount}/echo", "Content-Type: application/octet-stream", method="POST", body=body)
    assert response.body == body
    response = server.get(f"{mount}/stream-in", method="POST", body=body)
    assert response.body == str(size).encode()


def test_form(site: tuple[Server, Site], mount: str) -> None:
    pytest.importorskip("python_multipart", reason="python-multipart is not installed")
    server, _ = site
    lines = [
        "--xx",
        'Content-Disposition: form-data; name="name"',
        "",
        "pronghorn",
        "--xx",
        'Content-Disposition: form-data; name="file"; filename="f"',
        "Content-Type: text/plain",
        "",
        "x" * 100_000,
        "--xx--",
        "",
    ]
    body = "\r\n".join(lines).encode()
    response = server.get(f"{mount}/form", "Content-Type: multipart/form-data; boundary=xx", method="POST", body=body)
    assert response.body == b'{"name":"pronghorn","size":100000}'


def test_streaming(site: tuple[Server, Site], mount: str) -> None:
    server, state = site
    response = server.get(f"{mount}/stream")
    assert response.body == b"".join(b"%d," % number for number in range(PARTS))
    assert response.framing == "chunked"
    server.until(lambda: "stream" in state.done, "the background task runs")
    state.done.clear()


def test_file(site: tuple[Server, Site], mount: str) -> None:
    server, state = site
    whole = state.file.read_bytes()
    response = server.get(f"{mount}/file")
    assert response.body == whole
    assert response.header("content-length") == str(len(whole))
    assert response.header("content-disposition") == 'attachment; filename="file.bin"'
    part = server.get(f"{mount}/file", "Range: bytes=100-199")
    assert (part.status, part.body) == (206, whole[100:200])
    assert server.get(f"{mount}/file", method="HEAD").header("content-length") == str(len(whole))


def test_background(site: tuple[Server, Site], mount: str) -> None:
    """The response is whole before the work is done, and the next request does not wait for it."""
    server, state = site
    with server.raw() as peer:
        for _ in range(2):
            peer.send(f"GET {mount}/background HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            assert peer.response().body == b"ok"
    server.until(lambda: state.done.count("background") == 2, "both tasks run")
    state.done.clear()


def test_events(site: tuple[Server, Site], mount: str) -> None:
    """Server-sent events arrive as they are made, and end when the client leaves."""
    server, state = site
    peer = server.raw()
    peer.send(f"GET {mount}/events HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n".encode())
    response = peer.head()
    assert (response.header("content-type") or "").startswith("text/event-stream")
    received = b""
    while b"data: 3\n\n" not in received:
        received += peer.chunk()
    assert received.startswith(b"data: 0\n\n")
    peer.reset()
    server.until(lambda: "events ended" in state.done, "the stream ends")
    state.done.clear()
    server.idle()
    assert server.take_log() == []


@pytest.mark.parametrize("mount", ["", "/packed"], ids=["plain", "gzip"])
def test_is_disconnected(site: tuple[Server, Site], mount: str) -> None:
    """Not behind BaseHTTPMiddleware, whose receive() has a task group in it: a look without waiting never sees a thing."""
    server, state = site
    peer = server.raw()
    peer.send(f"GET {mount}/poll HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    server.until(lambda: "poll begun" in state.done, "the handler begins")
    server.settle()
    assert "poll saw it" not in state.done
    peer.reset()
    server.until(lambda: "poll saw it" in state.done, "the handler sees it")
    state.done.clear()
    server.idle()
    assert server.take_log() == []


def test_task_groups(site: tuple[Server, Site], mount: str) -> None:
    server, _ = site
    assert server.get(f"{mount}/groups").body == b"[0,1,2,3,4]"


def test_sync_handler(site: tuple[Server, Site], mount: str) -> None:
    server, _ = site
    assert server.get(f"{mount}/sync").body == b"from a thread"


def test_errors(site: tuple[Server, Site], mount: str) -> None:
    server, _ = site
    response = server.get(f"{mount}/missing")
    assert (response.status, response.body) == (418, b"teapot")
    assert server.get(f"{mount}/nowhere").status == 404
    assert server.get(f"{mount}/echo").status == 405
    response = server.get(f"{mount}/broken")
    assert (response.status, response.body) == (500, b"Internal Server Error")
    server.traceback(LookupError)


def test_state(site: tuple[Server, Site], mount: str) -> None:
    server, _ = site
    assert server.get(f"{mount}/state").body == b"from the lifespan"


def test_empty(site: tuple[Server, Site], mount: str) -> None:
    server, _ = site
    with server.raw() as peer:
        peer.send(f"GET {mount}/empty HTTP/1.1\r\nHost: h\r\n\r\nGET {mount}/sync HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        assert peer.response().status == 204
        assert peer.response().body == b"from a thread"


def test_gzip(site: tuple[Server, Site]) -> None:
    import gzip

    server, _ = site
    response = server.get("/packed/stream", "Accept-Encoding: gzip")
    assert response.header("content-encoding") == "gzip"
    assert gzip.decompress(response.body) == b"".join(b"%d," % number for number in range(PARTS))
