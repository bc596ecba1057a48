"""A FastAPI application: validation, dependencies, uploads, streams, and its lifespan."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from serving import Server, modes, serve

pytest.importorskip("fastapi", reason="FastAPI is not installed")

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

EVENTS: list[str] = []


class Item(BaseModel):
    name: str
    price: float = 0.0


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    yield {"pool": "a pool"}
    EVENTS.append("shutdown")


async def session() -> AsyncIterator[str]:
    EVENTS.append("session opened")
    yield "session"
    EVENTS.append("session closed")


def make_app() -> FastAPI:
    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def home() -> dict[str, str]:
        return {"Hello": "World"}

    @app.get("/items/{number}")
    def read(number: int, q: str | None = None) -> dict[str, Any]:
        return {"number": number, "q": q}

    @app.post("/items", status_code=201)
    async def create(item: Item, background: BackgroundTasks) -> Item:
        background.add_task(EVENTS.append, item.name)
        return item

    @app.get("/dependent")
    async def dependent(value: Annotated[str, Depends(session)]) -> str:
        return value

    @app.post("/upload")
    async def upload(file: UploadFile) -> dict[str, Any]:
        return {"name": file.filename, "size": len(await file.read())}

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(100):
                yield b"x" * number

        return StreamingResponse(parts())

    @app.get("/pool")
    async def pool(request: Request) -> str:
        return str(request.state.pool)

    @app.get("/refused")
    async def refused() -> None:
        raise HTTPException(403, "no", headers={"X-Reason": "because"})

    @app.get("/broken")
    async def broken() -> None:
        raise LookupError("on purpose")

    @app.middleware("http")
    async def middleware(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["X-Middleware"] = "1"
        return response

    return app


@pytest.fixture(scope="module", params=modes("lazy", "eager", "task"), ids="-".join)
def site(request: pytest.FixtureRequest) -> Iterator[Server]:
    loop, task = request.param
    EVENTS.clear()
    with serve(make_app(), loop=loop, task=task, lifespan="on") as server:
        yield server
    assert EVENTS[-1] == "shutdown"


def loads(server: Server, *request: Any, **options: Any) -> Any:
    response = server.get(*request, **options)
    assert response.header("content-type") == "application/json"
    return response.status, json.loads(response.body)


def test_json(site: Server) -> None:
    assert loads(site, "/") == (200, {"Hello": "World"})
    assert site.get("/").header("x-middleware") == "1"


def test_parameters(site: Server) -> None:
    assert loads(site, "/items/5?q=a%20b") == (200, {"number": 5, "q": "a b"})
    assert loads(site, "/items/5") == (200, {"number": 5, "q": None})
    status, body = loads(site, "/items/five")
    assert (status, body["detail"][0]["type"]) == (422, "int_parsing")


def test_model(site: Server) -> None:
    body = b'{"name": "pronghorn", "price": 2.5}'
    assert loads(site, "/items", "Content-Type: application/json", method="POST", body=body) == (
        201,
        {"name": "pronghorn", "price": 2.5},
    )
    site.until(lambda: "pronghorn" in EVENTS, "the background task runs")
    status, _ = loads(site, "/items", "Content-Type: application/json", method="POST", body=b"{}")
    assert status == 422


def test_dependency_with_yield(site: Server) -> None:
    EVENTS.clear()
    assert loads(site, "/dependent") == (200, "session")
    site.idle()
    assert EVENTS == ["session opened", "session closed"]


def test_upload(site: Server) -> None:
    pytest.importorskip("python_multipart", reason="python-multipart is not installed")
    content = "x" * 2_000_000
    lines = ["--xx", 'Content-Disposition: form-data; name="file"; filename="f"', "", content, "--xx--", ""]
    body = "\r\n".join(lines).encode()
    answer = loads(site, "/upload", "Content-Type: multipart/form-data; boundary=xx", method="POST", body=body)
    assert answer == (200, {"name": "f", "size": 2_000_000})


def test_stream(site: Server) -> None:
    assert len(site.get("/stream").body) == sum(range(100))


def test_state(site: Server) -> None:
    assert loads(site, "/pool") == (200, "a pool")


def test_errors(site: Server) -> None:
    response = site.get("/refused")
    assert (response.status, response.header("x-reason")) == (403, "because")
    assert loads(site, "/nowhere") == (404, {"detail": "Not Found"})
    assert site.get("/broken").status == 500
    site.traceback(LookupError)


def test_schema_and_documentation(site: Server) -> None:
    status, schema = loads(site, "/openapi.json")
    assert status == 200 and "/items/{number}" in schema["paths"]
    assert b"swagger" in site.get("/docs").body.lower()


def test_keep_alive(site: Server) -> None:
    """A hundred requests on one connection, pipelined in tens."""
    with site.raw() as peer:
        for start in range(0, 100, 10):
            numbers = range(start, start + 10)
            peer.send(b"".join(b"GET /items/%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in numbers))
            for number in numbers:
                assert json.loads(peer.response().body)["number"] == number
