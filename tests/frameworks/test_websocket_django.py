"""Django Channels: consumers of both kinds, groups over the in-memory layer, and the middleware around them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from serving import Server, modes, serve

pytest.importorskip("channels", reason="Channels is not installed")
pytest.importorskip("websockets", reason="websockets is not installed")
pytest.importorskip("wsproto", reason="wsproto is not installed")

import django
from django.conf import settings

if not settings.configured:
    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="tests", LOGGING_CONFIG=None)
    django.setup()

from asgiref.sync import async_to_sync
from channels.exceptions import AcceptConnection, DenyConnection
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer, WebsocketConsumer
from channels.layers import channel_layers
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import OriginValidator
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path
from wsclients import CLIENTS, Client, Denied, Raw

settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

EVENTS: list[Any] = []


class Chat(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Everybody in a room hears what anybody says."""

    async def connect(self) -> None:
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()
        EVENTS.append("joined")

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.room, self.channel_name)
        EVENTS.append(code)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.channel_layer.group_send(self.room, {"type": "chat.said", "text": text_data, "data": bytes_data})

    async def chat_said(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"], bytes_data=event["data"])


class Synchronous(WebsocketConsumer):  # type: ignore[misc]
    """The same in threads."""

    def connect(self) -> None:
        async_to_sync(self.channel_layer.group_add)("sync", self.channel_name)
        self.accept(subprotocol=self.scope["subprotocols"][0] if self.scope["subprotocols"] else None)
        EVENTS.append("joined")

    def disconnect(self, code: int) -> None:
        async_to_sync(self.channel_layer.group_discard)("sync", self.channel_name)
        EVENTS.append(code)

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "close":
            self.close(4002, "as you wish")
        else:
            async_to_sync(self.channel_layer.group_send)("sync", {"type": "said", "text": text_data})

    def said(self, event: dict[str, Any]) -> None:
        self.send(text_data=event["text"])


class Json(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if content == "close":
            await self.close(4001)
        elif content == "raise":
            raise LookupError("on purpose")
        else:
            await self.send_json({"got": content})

    async def disconnect(self, code: int) -> None:
        EVENTS.append(code)


class Door(AsyncWebsocketConsumer):  # type: ignore[misc]
    async def connect(self) -> None:
        match self.scope["query_string"]:
            case b"deny":
                raise DenyConnection
            case b"accept":
                raise AcceptConnection
            case _:
                await self.close()

    async def disconnect(self, code: int) -> None:
        EVENTS.append(code)


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("home")


urlpatterns = [path("", home)]


def make_app() -> Any:
    return ProtocolTypeRouter(
        {
            "http": get_asgi_application(),
            "websocket": URLRouter(
                [
                    re_path(r"^chat/(?P<room>\w+)/$", Chat.as_asgi()),
                    path("sync/", Synchronous.as_asgi()),
                    path("json/", Json.as_asgi()),
                    path("door/", Door.as_asgi()),
                    path("origin/", OriginValidator(Json.as_asgi(), ["http://good.example"])),
                ]
            ),
        }
    )


@pytest.fixture(scope="module", params=modes("lazy", "eager", "task"), ids="-".join)
def site(request: pytest.FixtureRequest) -> Iterator[Server]:
    loop, task = request.param
    channel_layers.backends.clear()  # the layer's queues belong to a loop
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


def test_group(site: Server, client: type[Client]) -> None:
    with contextlib.ExitStack() as stack:
        members = [stack.enter_context(client(uri(site, "/chat/lobby/"))) for _ in range(10)]
        other = stack.enter_context(client(uri(site, "/chat/other/")))
        site.until(lambda: len(EVENTS) == 11, "all have joined")
        for number, member in enumerate(members):
            member.send(f"from {number}")
        members[0].send(b"\0\xff")
        heard = [[member.receive() for _ in range(11)] for member in members]
        assert all(said == heard[0] for said in heard)
        assert {*heard[0]} == {b"\0\xff", *(f"from {number}" for number in range(10))}
        other.send("alone")
        assert other.receive() == "alone"
        other.close(3000)
        site.until(lambda: EVENTS[11:] == [3000], "one has left")
    site.until(lambda: EVENTS[12:] == [1000] * 10, "all have left")


def test_synchronous_consumer(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/sync/"), subprotocols=["a", "b"]) as one, client(uri(site, "/sync/")) as two:
        assert (one.subprotocol, two.subprotocol) == ("a", None)
        site.until(lambda: len(EVENTS) == 2, "both have joined")
        for number in range(20):
            one.send(str(number))
        for session in (one, two):
            assert [session.receive() for _ in range(20)] == [str(number) for number in range(20)]
        two.send("close")
        assert two.over() == (4002, "as you wish")
        site.until(lambda: 4002 in EVENTS, "the consumer is told the code it chose")
    site.until(lambda: sorted(map(str, EVENTS)) == ["1000", "4002", "joined", "joined"], "both have left")


def test_json(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/json/")) as session:
        session.send('{"a": "ü"}')
        assert session.receive() == '{"got": {"a": "\\u00fc"}}'
        session.send('"close"')
        assert session.over() == (4001, "")
    site.until(lambda: EVENTS == [4001], "the consumer is told the code it chose")


def test_exception(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/json/")) as session:
        session.send('"raise"')
        assert session.over() == (1011, "")
    site.traceback(LookupError)


@pytest.mark.parametrize("how", ["deny", "close"])
def test_denied(site: Server, client: type[Client], how: str) -> None:
    with pytest.raises(Denied) as denied:
        client(uri(site, f"/door/?{how}"))
    assert denied.value.status == 403
    site.until(lambda: EVENTS == [1006], "the consumer is told that it is over")


def test_accepted_by_exception(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/door/?accept")) as session:
        session.close(1001)
    site.until(lambda: EVENTS == [1001], "the consumer is told")


def test_origin(site: Server, client: type[Client]) -> None:
    with client(uri(site, "/origin/"), Origin="http://good.example") as session:
        session.send("1")
        assert session.receive() == '{"got": 1}'
    with pytest.raises(Denied) as denied:
        client(uri(site, "/origin/"), Origin="http://evil.example")
    assert denied.value.status == 403


def test_no_route(site: Server, client: type[Client]) -> None:
    with pytest.raises(Denied) as denied:
        client(uri(site, "/nowhere/"))
    assert denied.value.status == 500
    site.traceback(ValueError)


def test_client_gone(site: Server) -> None:
    with Raw(uri(site, "/chat/lobby/")) as staying:
        session = Raw(uri(site, "/chat/lobby/"))
        site.until(lambda: len(EVENTS) == 2, "both have joined")
        session.reset()
        site.until(lambda: EVENTS[2:] == [1006], "the consumer is told")
        staying.send("still here")
        assert staying.receive() == "still here"
