"""A Django project as people have one: a database, sessions, users, Channels; behind the real command, over ASGI and WSGI."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from process.command import Client, Command
from process.conftest import Workplace

pytest.importorskip("django", reason="Django is not installed")
pytest.importorskip("channels", reason="Channels is not installed")
pytest.importorskip("websockets", reason="websockets is not installed")

from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_anywhere
from websockets.typing import Origin

FILES = {
    "project.__init__": "",
    "project.settings": """
from pathlib import Path

SECRET_KEY = "tests"
ALLOWED_HOSTS = ["localhost"]
ROOT_URLCONF = "project.urls"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "channels"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(__file__).with_name("db.sqlite3")}}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the default one takes a second on purpose
""",
    "project.urls": """
from django.contrib.auth import authenticate, login
from django.http import HttpResponse
from django.urls import path

def enter(request):
    user = authenticate(request, username="ada", password=request.GET["password"])
    if user is None:
        return HttpResponse(status=403)
    login(request, user)
    return HttpResponse("welcome")

def whoami(request):
    return HttpResponse(f"you are {request.user.get_username() or 'nobody'} {len(request.body)}")

async def later(request):
    user = await request.auser()
    return HttpResponse(f"later you are {user.get_username()}")

urlpatterns = [path("enter", enter), path("whoami", whoami), path("later", later)]
""",
    "project.consumers": """
from asgiref.sync import async_to_sync
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer

class Coroutines(AsyncWebsocketConsumer):
    async def connect(self):
        await self.accept()
        await self.channel_layer.group_add("all", self.channel_name)
        await self.send(text_data=self.scope["user"].get_username() or "nobody")

    async def receive(self, text_data=None, bytes_data=None):
        await self.channel_layer.group_send("all", {"type": "said", "text": text_data})

    async def said(self, event):
        await self.send(text_data=event["text"])

    async def disconnect(self, code):
        await self.channel_layer.group_discard("all", self.channel_name)

class Threads(WebsocketConsumer):
    def connect(self):
        self.accept()
        async_to_sync(self.channel_layer.group_add)("all", self.channel_name)
        self.send(text_data=self.scope["user"].get_username() or "nobody")

    def receive(self, text_data=None, bytes_data=None):
        async_to_sync(self.channel_layer.group_send)("all", {"type": "said", "text": text_data})

    def said(self, event):
        self.send(text_data=event["text"])

    def disconnect(self, code):
        async_to_sync(self.channel_layer.group_discard)("all", self.channel_name)

class Events(AsyncHttpConsumer):
    async def handle(self, body):
        await self.send_headers(headers=[(b"content-type", b"text/event-stream")])
        for number in range(3):
            await self.send_body(f"data: {number} {self.scope['user'].get_username()}\\n\\n".encode(), more_body=True)
        await self.send_body(b"")
""",
    "project.asgi": """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"

from django.core.asgi import get_asgi_application
django_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path, re_path
from project.consumers import Coroutines, Events, Threads

sockets = URLRouter([path("coroutines", Coroutines.as_asgi()), path("threads", Threads.as_asgi())])
application = ProtocolTypeRouter({
    "http": URLRouter([path("events", AuthMiddlewareStack(Events.as_asgi())), re_path("", django_application)]),
    "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(sockets)),
})
""",
    "project.wsgi": """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"

from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
""",
    "prepare": """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
import django
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
call_command("migrate", verbosity=0)
User.objects.create_user("ada", password="lovelace")
""",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with its database made and one user in it."""
    place = Workplace(tmp_path_factory.mktemp("django"))
    for name, source in FILES.items():
        place.write(name, source)
    subprocess.run([sys.executable, "prepare.py"], cwd=place.path, check=True, timeout=60)
    return place.path


@pytest.fixture(scope="module", params=["asgi-uvloop", "asgi-asyncio", "wsgi-uvloop"])
def command(request: pytest.FixtureRequest, project: Path) -> Iterator[Command]:
    """The server of the project."""
    interface, _, loop = request.param.partition("-")
    options = ["--loop", loop]
    if interface == "wsgi":
        pytest.importorskip("a2wsgi", reason="a2wsgi is not installed")
        options += ["--interface", "wsgi"]
    place = Workplace(project)
    command = place.pronghorn(f"project.{interface}:application", *options)
    try:
        yield command
        assert command.stop() == 0
        command.clean()
    finally:
        place.end()


def ask(command: Command, target: str, *headers: str, body: bytes = b"") -> tuple[bytes, bytes]:
    """Head and body of an answer."""
    with Client(command.port) as client:
        lines = [f"POST {target} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", "Connection: close"]
        client.socket.sendall("\r\n".join([*lines, *headers, "", ""]).encode() + body)
        head, _, content = client.rest().partition(b"\r\n\r\n")
    return head, content


def connect(address: str, origin: str = "http://localhost", **options: Any) -> ClientConnection:
    return connect_anywhere(address, origin=Origin(origin), **options)


def enter(command: Command) -> str:
    """Log in: the cookie of the session."""
    head, content = ask(command, "/enter?password=lovelace")
    assert b"welcome" in content, head
    for line in head.decode().splitlines():
        if line.lower().startswith("set-cookie: sessionid="):
            return line.partition(":")[2].partition(";")[0].strip()
    raise AssertionError(head)


def test_users_and_sessions(command: Command) -> None:
    assert ask(command, "/enter?password=wrong")[0].startswith(b"HTTP/1.1 403 ")
    assert b"you are nobody 0" in ask(command, "/whoami")[1]
    cookie = enter(command)
    assert b"you are ada 100000" in ask(command, "/whoami", f"Cookie: {cookie}", body=b"x" * 100_000)[1]
    assert b"later you are ada" in ask(command, "/later", f"Cookie: {cookie}")[1]


@pytest.mark.parametrize("command", ["asgi-uvloop", "asgi-asyncio"], indirect=True)
class TestChannels:
    @pytest.mark.parametrize("consumer", ["coroutines", "threads"])
    def test_a_websocket_knows_its_user(self, command: Command, consumer: str) -> None:
        address = f"ws://localhost:{command.port}/{consumer}"
        cookie = enter(command)
        with connect(address, additional_headers={"Cookie": cookie}) as ada, connect(address) as nobody:
            assert (ada.recv(5), nobody.recv(5)) == ("ada", "nobody")
            ada.send("hello")
            assert (ada.recv(5), nobody.recv(5)) == ("hello", "hello")

    def test_consumers_of_both_kinds_hear_each_other(self, command: Command) -> None:
        address = f"ws://localhost:{command.port}"
        with connect(f"{address}/coroutines") as one, connect(f"{address}/threads") as two:
            assert (one.recv(5), two.recv(5)) == ("nobody", "nobody")
            for speaker in (one, two):
                speaker.send("hello")
                assert (one.recv(5), two.recv(5)) == ("hello", "hello")

    def test_an_http_consumer_knows_its_user(self, command: Command) -> None:
        content = ask(command, "/events", f"Cookie: {enter(command)}")[1]
        assert [line for line in content.split(b"\n") if line.startswith(b"data: ")] == [
            b"data: 0 ada", b"data: 1 ada", b"data: 2 ada",
        ]  # fmt: skip

    def test_a_foreign_origin_is_denied(self, command: Command) -> None:
        address = f"ws://localhost:{command.port}/threads"
        with connect(address) as session:
            assert session.recv(5) == "nobody"
        with pytest.raises(InvalidStatus) as denied:
            connect(address, origin="http://evil.example")
        assert denied.value.response.status_code == 403
