"""WebSocket endpoints of FastAPI: dependencies, JSON, disconnects, close codes, and refusals before the accept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from serving import Server, modes, serve

pytest.importorskip("fastapi", reason="FastAPI is not installed")
pytest.importorskip("websockets", reason="websockets is not installed")
pytest.importorskip("wsproto", reason="wsproto is not installed")

from fastapi import (
    APIRouter,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Query,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from fastapi.responses import PlainTextResponse
from wsclients import CLIENTS, Client, Denied, Raw

EVENTS: list[Any] = []


async def session(websocket: WebSocket) -> AsyncIterator[str]:
    EVENTS.append("session opened")
    try:
        yield f"session of {websocket.query_params.get('who', 'nobody')}"
    finally:
        EVENTS.append("session closed")


async def only_with_token(token: Annotated[str | None, Query()] = None) -> str:
    if token != "secret":
        raise WebSocketException(code=1008, reason="no token")
    return token


def make_app() -> FastAPI:
    app = FastAPI()
    rooms = APIRouter(prefix="/rooms")

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(message["code"], message["reason"])
                if message.get("text") is not None:
                    await websocket.send_text(message["text"])
                else:
                    await websocket.send_bytes(message["bytes"])
        except WebSocketDisconnect as gone:
            EVENTS.append((gone.code, gone.reason))

    @app.websocket("/json")
    async def json(websocket: WebSocket) -> None:
        await websocket.accept()
        async for value in websocket.iter_json():
            await websocket.send_json({"got": value})
        EVENTS.append("iterated")

    @app.websocket("/dependent")
    async def dependent(websocket: WebSocket, value: Annotated[str, Depends(session)]) -> None:
        await websocket.accept()
        await websocket.send_text(value)
        await websocket.receive_text()

    @app.websocket("/protected")
    async def protected(websocket: WebSocket, token: Annotated[str, Depends(only_with_token)]) -> None:
        await websocket.accept()
        await websocket.close()

    @app.websocket("/http-exception")
    async def http_exception(websocket: WebSocket) -> None:
        raise HTTPException(401, "who are you", headers={"X-Reason": "because"})

    @app.websocket("/denied")
    async def denied(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse("later", 503, {"Retry-After": "5"}))

    @app.websocket("/close/{code}")
    async def close(websocket: WebSocket, code: int, reason: str = "") -> None:
        await websocket.accept()
        await websocket.close(code, reason)

    @app.websocket("/after/{code}")
    async def after(websocket: WebSocket, code: int) -> None:
        await websocket.accept()
        await websocket.receive_text()
        raise WebSocketException(code, "after the accept")

    @app.websocket("/returns")
    async def returns(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("last")

    @app.websocket("/broken")
    async def broken(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        raise LookupError("on purpose")

    @app.websocket("/broken-early")
    async def broken_early(websocket: WebSocket) -> None:
        raise LookupError("on purpose")

    @app.websocket("/uncaught")
    async def uncaught(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.receive_text()

    @rooms.websocket("/{number}")
    async def room(
        websocket: WebSocket, number: int, q: str | None = None, x_color: Annotated[str | None, Header()] = None
    ) -> None:
        await websocket.accept()
        await websocket.send_json([number, q, x_color])
        await websocket.close()

    @app.get("/")
    async def home() -> str:
        return "home"

    app.include_router(rooms)
    return app


@pytest.fixture(scope="module", params=modes("lazy", "eager", "task"), ids="-".join)
def site(request: pytest.FixtureRequest) -> Iterator[Server]:
    loop, task = request.param
    with serve(make_app(), loop=loop, task=task) as server:
        yield server


@pytest.fixture(autouse=True)
def no_events() -> None:
    EVENTS.clear()


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> type[Client]:
    return CLIENTS[request.param]


def uri(site: Server, path: str) -> str:
    return f"ws://127.0.0.1:{site.port}{path}"


@pytest.mark.parametrize("compression", [True, False], ids=["deflate", "plain"])
def test_echo(site: Server, client: type[Client], compression: bool) -> None:
    with client(uri(site, "/echo"), compression=compression) as session:
        assert ("sec-websocket-extensions" in session.headers) == compression or client is Raw
        for message in ("", "text", "täxt €", b"", b"\0\xff", "x" * 70_000, bytes(range(256)) * 5000):
            session.send(message)
            assert session.receive() == message
        for number in range(100):
            session.send(str(number))
        assert [session.receive() for _ in range(100)] == [str(number) for number in range(100)]
        session.close(3001, "bye")
    site.until(lambda: EVENTS == [(3001, "bye")], "the endpoint is told")


def test_json(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/json")) as session:
        session.send('{"a": [1, null, "ü"]}')
        assert session.receive() == '{"got":{"a":[1,null,"ü"]}}'
        session.close()
    site.until(lambda: EVENTS == ["iterated"], "the iteration ends with the client")


def test_dependency(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/dependent?who=me")) as session:
        assert session.receive() == "session of me"
        assert EVENTS == ["session opened"]
        session.send("enough")
        assert session.over() == (1000, "")
    site.until(lambda: EVENTS == ["session opened", "session closed"], "the dependency is closed")


def test_parameters(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/rooms/7?q=a%20b"), **{"X-Color": "red"}) as session:
        assert session.receive() == '[7,"a b","red"]'
        assert session.over() == (1000, "")


@pytest.mark.parametrize("path", ["/rooms/seven", "/protected", "/protected?token=wrong", "/nowhere"])
def test_refused(site: Server, client: type[Client], path: str) -> None:
    """What an endpoint refuses before the accept is a 403 to the client."""
    with pytest.raises(Denied) as denied:
        client(uri(site, path))
    assert (denied.value.status, denied.value.body) == (403, b"")


def test_denial_response(site: Server, client: type[Client]) -> None:
    with pytest.raises(Denied) as denied:
        client(uri(site, "/denied"))
    assert (denied.value.status, denied.value.body) == (503, b"later")
    assert denied.value.headers["retry-after"] == "5"


def test_http_exception(site: Server, client: type[Client]) -> None:
    with pytest.raises(Denied) as denied:
        client(uri(site, "/http-exception"))
    assert (denied.value.status, denied.value.headers.get("x-reason")) == (401, "because")


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1013, 3000, 4999])
def test_close_codes(site: Server, client: type[Client], code: int) -> None:
    with client(uri(site, f"/close/{code}?reason=because")) as session:
        assert session.over() == (code, "because")
    with client(uri(site, f"/after/{code}")) as session:
        session.send("go")
        assert session.over() == (code, "after the accept")


def test_client_closes(site: Server, client: type[Client]) -> None:
    for code, reason in ((1000, ""), (1001, "going away"), (4321, "ü" * 60)):
        EVENTS.clear()
        with client(uri(site, "/echo")) as session:
            session.close(code, reason)
        site.until(lambda said=[(code, reason)]: said == EVENTS, "the endpoint is told")


def test_uncaught_disconnect(site: Server) -> None:
    """FastAPI lets WebSocketDisconnect out of an endpoint that does not handle it, and it is not an error."""
    with Raw(uri(site, "/uncaught")) as session:
        session.send("one")
    site.idle()
    log = site.take_log()
    assert all(record.exc_info and isinstance(record.exc_info[1], WebSocketDisconnect) for record in log)


def test_client_gone(site: Server) -> None:
    session = Raw(uri(site, "/echo"))
    session.reset()
    site.until(lambda: EVENTS == [(1006, "")], "the endpoint is told")


def test_return(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/returns")) as session:
        assert session.receive() == "last"
        assert session.over() == (1000, "")


def test_exceptions(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/broken")) as session:
        session.send("go")
        assert session.over() == (1011, "")
    site.traceback(LookupError)
    with pytest.raises(Denied) as denied:
        client(uri(site, "/broken-early"))
    assert (denied.value.status, denied.value.body) == (500, b"Internal Server Error")
    site.traceback(LookupError)


def test_plain_request_for_a_websocket(site: Server) -> None:
    assert site.get("/echo").status == 404
    assert site.get("/").body == b'"home"'
