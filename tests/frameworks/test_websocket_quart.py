"""WebSockets of Quart: it runs reading and the handler as tasks of their own, and accepts with the first message."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from serving import Server, modes, serve

pytest.importorskip("quart", reason="Quart is not installed")
pytest.importorskip("websockets", reason="websockets is not installed")
pytest.importorskip("wsproto", reason="wsproto is not installed")

from quart import Quart, abort, websocket
from wsclients import CLIENTS, Client, Denied, Raw

EVENTS: list[Any] = []


def make_app() -> Quart:
    app = Quart(__name__)
    members: set[asyncio.Queue[Any]] = set()

    @app.websocket("/echo")
    async def echo() -> None:
        """Accepts with the first send()."""
        try:
            while True:
                await websocket.send(await websocket.receive())
        except asyncio.CancelledError:
            EVENTS.append("cancelled")
            raise

    @app.websocket("/about/<name>")
    async def about(name: str) -> None:
        await websocket.accept(headers={"X-One": "1"}, subprotocol=(websocket.requested_subprotocols or [None])[0])
        await websocket.send_json(
            {"name": name, "args": websocket.args.to_dict(), "header": websocket.headers.get("X-Client")}
        )
        await websocket.close(4000, "enough")

    @app.websocket("/chat")
    async def chat() -> None:
        """One task reads and tells everybody, one writes."""
        inbox: asyncio.Queue[Any] = asyncio.Queue()
        members.add(inbox)
        await websocket.accept()
        EVENTS.append("joined")

        async def read() -> None:
            while True:
                said = await websocket.receive()
                for member in members:
                    member.put_nowait(said)

        async def write() -> None:
            while True:
                await websocket.send(await inbox.get())

        try:
            await asyncio.gather(read(), write())
        finally:
            members.discard(inbox)
            EVENTS.append("left")

    @app.websocket("/refused")
    async def refused() -> None:
        abort(401)

    @app.websocket("/broken")
    async def broken() -> None:
        await websocket.accept()
        await websocket.receive()
        raise LookupError("on purpose")

    @app.websocket("/returns")
    async def returns() -> None:
        await websocket.send("last")

    return app


@pytest.fixture(scope="module", params=modes("lazy", "eager", "task"), ids="-".join)
def site(request: pytest.FixtureRequest) -> Iterator[Server]:
    loop, task = request.param
    with serve(make_app(), loop=loop, task=task, lifespan="on") as server:
        yield server


@pytest.fixture(autouse=True)
def no_events() -> None:
    EVENTS.clear()


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> type[Client]:
    return CLIENTS[request.param]


def uri(site: Server, path: str) -> str:
    return f"ws://127.0.0.1:{site.port}{path}"


def test_echo(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/chat")) as session:
        for message in ("text", "ü" * 50_000, b"\0\xff", b"x" * 200_000):
            session.send(message)
            assert session.receive() == message


def test_accepted_by_receiving(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/echo")) as session:
        session.send("one")
        assert session.receive() == "one"
    site.until(lambda: EVENTS == ["cancelled"], "the handler is cancelled when the client has gone")


def test_request(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/about/n%C3%A4me?a=b"), subprotocols=["p"], **{"X-Client": "test"}) as session:
        assert session.headers["x-one"] == "1" and session.subprotocol == "p"
        assert session.receive() == '{"args": {"a": "b"}, "header": "test", "name": "n\\u00e4me"}'
        assert session.over() == (4000, "enough")


def test_chat(site: Server, client: type[Client]) -> None:
    with contextlib.ExitStack() as stack:
        members = [stack.enter_context(client(uri(site, "/chat"))) for _ in range(10)]
        site.until(lambda: EVENTS == ["joined"] * 10, "all have joined")
        for number, member in enumerate(members):
            member.send(str(number))
        heard = [[member.receive() for _ in members] for member in members]
        assert all(said == heard[0] for said in heard)
        assert sorted(map(str, heard[0])) == [str(number) for number in range(10)]
    site.until(lambda: EVENTS[10:] == ["left"] * 10, "all have left")


def test_refused(site: Server, client: type[Client]) -> None:
    for path, status in (("/refused", 401), ("/nowhere", 404)):
        with pytest.raises(Denied) as denied:
            client(uri(site, path))
        assert denied.value.status == status


def test_exception(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/broken")) as session:
        session.send("go")
        assert session.over() == (1000, "")  # it is Quart that closes
    site.idle()
    assert any(record.exc_info and isinstance(record.exc_info[1], LookupError) for record in site.take_log())


def test_return(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/returns")) as session:
        assert session.receive() == "last"
        assert session.over() == (1000, "")


def test_client_gone(site: Server) -> None:
    session = Raw(uri(site, "/chat"))
    site.until(lambda: EVENTS == ["joined"], "it has joined")
    session.reset()
    site.until(lambda: EVENTS == ["joined", "left"], "the handler is cancelled")
