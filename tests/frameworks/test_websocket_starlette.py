"""WebSockets of Starlette: endpoints, refusals, sending from other tasks, task groups, and many sessions at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from serving import Server, modes, serve

pytest.importorskip("starlette", reason="Starlette is not installed")
pytest.importorskip("websockets", reason="websockets is not installed")
pytest.importorskip("wsproto", reason="wsproto is not installed")
anyio = pytest.importorskip("anyio", reason="anyio is not installed")

from starlette.applications import Starlette  # noqa: E402
from starlette.endpoints import WebSocketEndpoint  # noqa: E402
from starlette.exceptions import WebSocketException  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.middleware.base import BaseHTTPMiddleware  # noqa: E402
from starlette.middleware.cors import CORSMiddleware  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse  # noqa: E402
from starlette.routing import Mount, Route, WebSocketRoute  # noqa: E402
from starlette.websockets import WebSocket, WebSocketDisconnect  # noqa: E402
from wsclients import CLIENTS, Client, Denied, Raw  # noqa: E402

MANY = 40


class Echo(WebSocketEndpoint):
    encoding = "text"

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.app.state.events.append("connected")

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await websocket.send_text(f"{data}!")

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        websocket.app.state.events.append(close_code)


class Json(WebSocketEndpoint):
    encoding = "json"

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await websocket.send_json(data, mode="binary")


class Site:
    """The application, and what its handlers leave behind."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.members: set[WebSocket] = set()
        routes: list[Any] = [
            WebSocketRoute("/echo", Echo),
            WebSocketRoute("/json", Json),
            WebSocketRoute("/about/{name}/{number:int}", self.about),
            WebSocketRoute("/subprotocol", self.subprotocol),
            WebSocketRoute("/denied", self.denied),
            WebSocketRoute("/denied-in-parts", self.denied_in_parts),
            WebSocketRoute("/exception", self.exception),
            WebSocketRoute("/members", self.member),
            WebSocketRoute("/groups", self.groups),
            WebSocketRoute("/timed", self.timed),
            WebSocketRoute("/pushed", self.pushed),
            WebSocketRoute("/backlog", self.backlog),
            Route("/tell/{text}", self.tell),
        ]
        wrapped = Mount("/wrapped", routes=routes, middleware=[Middleware(Timing), Middleware(CORSMiddleware)])
        self.app = Starlette(routes=[wrapped, *routes])
        self.app.state.events = self.events

    async def about(self, websocket: WebSocket) -> None:
        await websocket.accept(headers=[(b"x-one", b"1"), (b"set-cookie", b"a=b")])
        await websocket.send_json(
            {
                "path": websocket.url.path,
                "scheme": websocket.url.scheme,
                "path_params": websocket.path_params,
                "query": dict(websocket.query_params),
                "header": websocket.headers.get("x-client"),
                "cookie": websocket.cookies,
                "client": websocket.client and websocket.client.host,
            }
        )
        await websocket.close()

    async def subprotocol(self, websocket: WebSocket) -> None:
        offered = websocket.scope["subprotocols"]
        await websocket.accept(subprotocol=offered[-1] if offered else None)
        await websocket.send_json(offered)
        await websocket.close()

    async def denied(self, websocket: WebSocket) -> None:
        await websocket.send_denial_response(JSONResponse({"why": "busy"}, 429, {"Retry-After": "3"}))

    async def denied_in_parts(self, websocket: WebSocket) -> None:
        async def parts() -> Any:
            for number in range(50):
                yield b"%d," % number * 100
                await asyncio.sleep(0)

        await websocket.send_denial_response(StreamingResponse(parts(), 418))

    async def exception(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        raise WebSocketException(4000, "as agreed")

    async def member(self, websocket: WebSocket) -> None:
        """Nothing is sent by this call itself: others do."""
        await websocket.accept()
        self.members.add(websocket)
        try:
            async for text in websocket.iter_text():
                await self.broadcast(text)
        finally:
            self.members.discard(websocket)

    async def broadcast(self, text: str) -> None:
        for member in list(self.members):
            with contextlib.suppress(WebSocketDisconnect, OSError, RuntimeError):
                await member.send_text(text)

    async def tell(self, request: Request) -> Response:
        """An HTTP request that sends to the open sessions before, between and after its own response."""
        await self.broadcast(request.path_params["text"])
        return PlainTextResponse(f"told {len(self.members)}")

    async def groups(self, websocket: WebSocket) -> None:
        """One task reads, one writes, a memory stream is between them."""
        await websocket.accept()
        into, out = anyio.create_memory_object_stream[str](5)

        async def read() -> None:
            async with into:
                async for text in websocket.iter_text():
                    await into.send(text.upper())
            self.events.append("read to the end")

        async def write() -> None:
            async with out:
                async for text in out:
                    await websocket.send_text(text)

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            group.start_soon(write)

    async def timed(self, websocket: WebSocket) -> None:
        """A receive() that is cancelled loses nothing."""
        await websocket.accept()
        while True:
            got = None
            with anyio.move_on_after(0.005):
                got = await websocket.receive()
            if got is None:
                await websocket.send_text("tick")
            elif got["type"] == "websocket.disconnect":
                return
            else:
                await websocket.send_text(got["text"])

    async def pushed(self, websocket: WebSocket) -> None:
        """A task of its own sends while the call waits for input; it ends with the session."""
        await websocket.accept()

        async def push() -> None:
            number = 0
            while True:
                await websocket.send_text(str(number))
                number += 1
                await asyncio.sleep(0.001)

        pushing = asyncio.ensure_future(push())
        try:
            while (await websocket.receive())["type"] != "websocket.disconnect":
                pass
        finally:
            pushing.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect):
                await pushing
            self.events.append("push ended")

    async def backlog(self, websocket: WebSocket) -> None:
        """More than the client takes at once: send() waits."""
        await websocket.accept()
        for number in range(200):
            await websocket.send_bytes(bytes([number]) * 100_000)
        self.events.append("all sent")
        await websocket.close()


class Timing(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-middleware"] = "1"
        return response


@pytest.fixture(scope="module")
def application() -> Site:
    return Site()


@pytest.fixture(scope="module", params=modes("lazy", "eager", "task"), ids="-".join)
def site(request: pytest.FixtureRequest, application: Site) -> Iterator[Server]:
    loop, task = request.param
    with serve(application.app, loop=loop, task=task) as server:
        yield server


@pytest.fixture
def events(application: Site) -> list[Any]:
    application.events.clear()
    return application.events


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> type[Client]:
    return CLIENTS[request.param]


@pytest.fixture(params=["", "/wrapped"], ids=["plain", "middleware"])
def mount(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def uri(site: Server, path: str) -> str:
    return f"ws://127.0.0.1:{site.port}{path}"


def test_endpoint(site: Server, client: type[Client], mount: str, events: list[Any]) -> None:
    with client(uri(site, f"{mount}/echo")) as session:
        for text in ("", "a", "ä" * 5000):
            session.send(text)
            assert session.receive() == f"{text}!"
        assert events == ["connected"]
        session.close(4000, "enough")
    site.until(lambda: events == ["connected", 4000], "the endpoint is told")


def test_wrong_encoding(site: Server, client: type[Client]) -> None:
    """Bytes where the endpoint wants text: it closes with 1003."""
    with client(uri(site, "/echo")) as session:
        session.send(b"bytes")
        assert session.over()[0] == 1003
    assert site.traceback(RuntimeError)


def test_json_in_bytes(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/json")) as session:
        session.send('{"a":[1,2]}')
        assert session.receive() == b'{"a":[1,2]}'


def test_scope(site: Server, client: type[Client], mount: str) -> None:
    where = uri(site, f"{mount}/about/n%C3%A4me/5?a=b&c=%26")
    with client(where, **{"X-Client": "test", "Cookie": "one=1"}) as session:
        assert session.headers["x-one"] == "1" and session.headers["set-cookie"] == "a=b"
        assert json.loads(session.receive()) == {
            "path": f"{mount}/about/näme/5",
            "scheme": "ws",
            "path_params": {"name": "näme", "number": 5},
            "query": {"a": "b", "c": "&"},
            "header": "test",
            "cookie": {"one": "1"},
            "client": "127.0.0.1",
        }
        assert session.over() == (1000, "")


def test_subprotocol(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/subprotocol"), subprotocols=["one", "two"]) as session:
        assert session.subprotocol == "two"
        assert session.receive() == '["one","two"]'
    with client(uri(site, "/subprotocol")) as session:
        assert session.subprotocol is None
        assert session.receive() == "[]"


def test_denied(site: Server, client: type[Client], mount: str) -> None:
    with pytest.raises(Denied) as denied:
        client(uri(site, f"{mount}/denied"))
    assert (denied.value.status, denied.value.body) == (429, b'{"why":"busy"}')
    assert denied.value.headers["retry-after"] == "3"
    with pytest.raises(Denied) as denied:
        client(uri(site, f"{mount}/denied-in-parts"))
    assert denied.value.status == 418
    assert denied.value.body == b"".join(b"%d," % number * 100 for number in range(50))


def test_exception(site: Server, client: type[Client], mount: str) -> None:
    with client(uri(site, f"{mount}/exception")) as session:
        session.send("go")
        assert session.over() == (4000, "as agreed")


def test_broadcast(site: Server, application: Site, client: type[Client]) -> None:
    """Everybody gets everything, in one order, whoever says it."""
    with contextlib.ExitStack() as stack:
        members = [stack.enter_context(client(uri(site, "/members"))) for _ in range(MANY)]
        site.until(lambda: len(application.members) == MANY, "all are there")
        for number, member in enumerate(members):
            member.send(f"{number} " + "x" * number * 100)
        heard = [[str(member.receive()) for _ in members] for member in members]
        assert all(said == heard[0] for said in heard)
        assert sorted(int(said.split()[0]) for said in heard[0]) == list(range(MANY))
        assert all(len(xs) == 100 * int(number) for number, xs in (said.split(" ") for said in heard[0]))
    site.until(lambda: not application.members, "all have left")


def test_http_request_tells_sessions(site: Server, application: Site) -> None:
    """Output for other connections never mixes with that of the request under way, pipelined ones included."""
    with contextlib.ExitStack() as stack:
        members = [stack.enter_context(Raw(uri(site, "/members"))) for _ in range(5)]
        site.until(lambda: len(application.members) == 5, "all are there")
        with site.raw() as peer:
            peer.send(b"".join(b"GET /tell/%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(20)))
            for _ in range(20):
                assert peer.response().body == b"told 5"
        for member in members:
            assert [member.receive() for _ in range(20)] == [str(number) for number in range(20)]


def test_broadcast_while_members_leave(site: Server, application: Site) -> None:
    with contextlib.ExitStack() as stack:
        members = [Raw(uri(site, "/members")) for _ in range(20)]
        staying = [stack.enter_context(member) for member in members[10:]]
        site.until(lambda: len(application.members) == 20, "all are there")
        for number in range(10):
            members[number].reset()
            staying[0].send(f"{number}" * 1000)
        for member in staying:
            assert [member.receive() for _ in range(10)] == [f"{number}" * 1000 for number in range(10)]
    site.until(lambda: not application.members, "all have left")


def test_task_group(site: Server, client: type[Client], events: list[Any]) -> None:
    with client(uri(site, "/groups")) as session:
        for number in range(50):
            session.send(f"message {number}")
        assert [session.receive() for _ in range(50)] == [f"MESSAGE {number}" for number in range(50)]
    site.until(lambda: events == ["read to the end"], "the reader ends")


def test_cancelled_receive(site: Server, client: type[Client]) -> None:
    """Whatever the time-out does, every message arrives once."""
    with client(uri(site, "/timed")) as session:
        got: list[Any] = []
        for number in range(100):
            session.send(str(number))
            while len(got) <= number:
                text = session.receive()
                if text != "tick":
                    got.append(text)
        assert got == [str(number) for number in range(100)]
        while session.receive() != "tick":
            pass


def test_pushed(site: Server, client: type[Client], events: list[Any]) -> None:
    with client(uri(site, "/pushed")) as session:
        assert [session.receive() for _ in range(20)] == [str(number) for number in range(20)]
        session.send("ignored")
    site.until(lambda: events == ["push ended"], "the task ends with the session")


def test_pushed_to_a_client_that_goes(site: Server, events: list[Any]) -> None:
    session = Raw(uri(site, "/pushed"))
    assert session.receive() == "0"
    session.reset()
    site.until(lambda: events == ["push ended"], "the task ends with the session")


def test_backlog(site: Server, client: type[Client], events: list[Any]) -> None:
    with client(uri(site, "/backlog"), compression=False) as session:
        for number in range(200):
            assert session.receive() == bytes([number]) * 100_000
        assert session.over() == (1000, "")
    assert events == ["all sent"]


def test_client_that_does_not_read(site: Server, events: list[Any]) -> None:
    """send() waits for it, and its end is the end of the wait."""
    session = Raw(uri(site, "/backlog"), compression=False)
    site.settle()
    assert events == []
    session.reset()
    site.idle()
    # Starlette makes WebSocketDisconnect of the OSError; nobody handles it in /backlog.
    assert all(record.exc_info and isinstance(record.exc_info[1], WebSocketDisconnect) for record in site.take_log())
