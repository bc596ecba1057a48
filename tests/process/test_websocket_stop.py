"""The real command with open WebSockets: how it stops, and what it says."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from frames import Client, close, text, upgrade
from process.command import Command

if TYPE_CHECKING:
    from process.conftest import Workplace

Start = Callable[..., Command]

# An echo that says what it is told; /slow needs its time to finish, /deaf never listens, /late accepts during the stop.
APP = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] != "websocket":
        assert scope["type"] == "lifespan"
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("lifespan.shutdown")
        await send({"type": "lifespan.shutdown.complete"})
        return
    path = scope["path"]
    await receive()
    if path == "/late":
        print("asked")
        await asyncio.sleep(0.5)
    await send({"type": "websocket.accept"})
    print("open", path)
    if path == "/deaf":
        try:
            await asyncio.sleep(3600)
        finally:
            print("cancelled")
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            break
        await send({"type": "websocket.send", "text": message["text"]})
    print("told", message["code"], repr(message["reason"]))
    if path == "/slow":
        await asyncio.sleep(0.3)
        print("finished")
"""


@pytest.fixture
def serving(start: Start, place: Workplace) -> Start:
    """The application above, in each of the loops."""
    place.write("sockets", APP)
    return lambda *args: start("sockets:app", *args)


def opened(command: Command, target: str = "/") -> Client:
    client = Client(("127.0.0.1", command.port), 10.0)
    client.open(target=target)
    client.send(text("hello"))
    if target != "/deaf":
        assert client.message() == "hello"
    return client


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sessions_are_closed(number: int, serving: Start) -> None:
    """1012 for everybody, in order, and the stop is quick."""
    command = serving()
    clients = [opened(command) for _ in range(5)]
    begun = time.monotonic()
    command.send(number)
    for client in clients:
        assert client.closed() == (1012, "")
        client.send(close(1012))
        assert client.ended() == "fin"
        client.close()
    assert command.exit() == 0
    assert time.monotonic() - begun < 3
    assert command.out.count("told 1012 ''") == 5
    assert command.out[-1] == "lifespan.shutdown"
    command.clean()


def test_application_finishes(serving: Start) -> None:
    command = serving()
    with opened(command, "/slow") as client:
        command.send(signal.SIGTERM)
        assert client.closed() == (1012, "")
        client.send(close())
        assert client.ended() == "fin"
    assert command.exit() == 0
    assert command.out[-3:] == ["told 1012 ''", "finished", "lifespan.shutdown"]
    command.clean()


def test_client_that_does_not_answer(serving: Start) -> None:
    """It has ws_close_timeout, then it is closed."""
    command = serving("--ws-close-timeout", "0.5")
    with opened(command) as client:
        begun = time.monotonic()
        command.send(signal.SIGTERM)
        assert client.closed() == (1012, "")
        assert client.ended() == "fin"
        assert command.exit() == 0
        assert time.monotonic() - begun < 4
    command.clean()


def test_session_whose_client_has_gone_holds_up_nothing(serving: Start) -> None:
    command = serving()
    opened(command, "/deaf").close()
    command.wait_for("open /deaf")
    command.send(signal.SIGTERM)
    command.wait_for("Cancel 1 running task(s) whose client has gone")
    assert command.exit() == 0
    assert "cancelled" in command.out
    command.clean()


def test_deaf_application_is_cancelled_soon_after_an_interrupt(serving: Start) -> None:
    command = serving("--timeout-graceful-shutdown", "3600")
    with opened(command, "/deaf") as client:
        command.wait_for("open /deaf")
        command.send(signal.SIGINT)
        assert client.closed() == (1012, "")
        command.wait_for("Cancel 1 open stream(s), 2.5 seconds after they were told")
        assert command.exit() == 0
    assert "cancelled" in command.out


def test_deaf_application_is_cancelled(serving: Start) -> None:
    command = serving("--timeout-graceful-shutdown", "1")
    with opened(command, "/deaf") as client:
        command.send(signal.SIGTERM)
        assert client.closed() == (1012, "")
        client.send(close())
        assert client.ended() == "fin"
        assert command.exit() == 0
    assert command.out[-2:] == ["cancelled", "lifespan.shutdown"]
    assert "ERROR:    Cancel 1 running task(s), timeout graceful shutdown exceeded" in command.err
    command.clean()


def test_accept_during_the_stop(serving: Start) -> None:
    command = serving()
    with Client(("127.0.0.1", command.port), 10.0) as client:
        client.send(upgrade(target="/late"))
        command.wait_for("asked")
        command.send(signal.SIGTERM)
        assert client.head().status == 101
        assert client.closed() == (1012, "")
        client.send(close())
        assert client.ended() == "fin"
    assert command.exit() == 0
    assert command.out == ["asked", "open /late", "told 1012 ''", "lifespan.shutdown"]
    command.clean()


def test_lines(serving: Start) -> None:
    """One for the handshake, none for a close in order or a client that is lost, one for what is refused."""
    command = serving()
    with opened(command, "/a?b=c") as client:
        own = "{}:{}".format(*client.socket.getsockname())
        client.leave(3000, "bye")
    command.wait_for("told 3000 'bye'")
    opened(command).reset()
    command.wait_for("told 1006 ''")
    with opened(command) as client:
        client.send(b"\xff\xff")
        assert client.bye() == (1002, "invalid frame")
    command.wait_for("told 1002 'invalid frame'")
    assert command.stop() == 0
    lines = [line for line in command.lines if "WebSocket" in line]
    assert lines[0] == f'INFO:     {own} - "WebSocket /a?b=c" [accepted]'
    assert len([line for line in lines if line.endswith("[accepted]")]) == 3
    assert [line.partition(" (")[0] for line in lines if "closed" in line] == ["WARNING:  WebSocket closed: 1002 invalid frame"]
    assert len(lines) == 4
    command.clean()


def test_switched_off(start: Start, place: Workplace) -> None:
    """--ws none: an application for HTTP alone is never asked about WebSockets."""
    command = start("hello:app", "--ws", "none")
    with Client(("127.0.0.1", command.port), 10.0) as client:
        client.send(upgrade())
        assert client.response().body == b"hello"
    assert command.stop() == 0
    command.clean()
