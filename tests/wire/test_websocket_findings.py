"""What a review found: each of these once went wrong."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import pytest
from frames import close, connect, frame, text
from serving import serve
from sessions import begin, each

LOOPS = ("uvloop", "asyncio")


@pytest.mark.parametrize("loop", LOOPS)
def test_queue_that_is_never_empty(loop: str) -> None:
    """An application that is always a little behind: what it has taken does not stay in the queue."""
    messages = 20_000
    taken: list[str] = []
    lengths: list[int] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await begin(receive, send)
        while (message := await receive())["type"] == "websocket.receive":
            taken.append(message["text"])
            if len(taken) == messages - 100:
                # A queue that only grows has a None for each message that was taken.
                lengths.extend(one.count(None) for one in gc.get_objects() if type(one) is list)
            await asyncio.sleep(0)

    with serve(app, loop=loop) as server, connect(server, timeout=20) as client:
        client.send(b"".join(text(str(number)) for number in range(messages)) + close())
        assert client.closed() == (1000, "")
        server.idle()
    assert taken == [str(number) for number in range(messages)]
    assert max(lengths) < 1000


@pytest.mark.parametrize("loop", LOOPS)
def test_fragment_behind_our_close(loop: str) -> None:
    """A message that begins behind our close does not put off the end of the wait for the client's."""
    settings: dict[str, Any] = {"ws_close_timeout": 0.5, "ws_message_timeout": 0, "ws_ping_interval": 0}

    async def leave(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "websocket.close"})

    with serve(each(leave), loop=loop, **settings) as server, connect(server) as client:
        assert client.closed() == (1000, "")
        client.send(text("a message that", fin=False))
        before = time.monotonic()
        assert client.ended(3) in ("fin", "reset")
        assert time.monotonic() - before < 10


@pytest.mark.parametrize("declared", [2**62, 2**63 - 1])
@pytest.mark.parametrize("first", [b"", text("begun", fin=False)], ids=["one frame", "a continuation"])
def test_impossible_length_without_a_limit(declared: int, first: bytes) -> None:
    """Without --ws-max-size a frame may say that it is longer than any memory: refused like one that is too big."""

    async def listen(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.disconnect"

    with serve(each(listen), ws_max_size=0) as server, connect(server) as client:
        client.send(first + frame(0 if first else 1, b"", declared=declared))
        assert client.closed() == (1009, "out of memory")
        client.close()
        assert server.line().startswith("WebSocket closed: 1009 out of memory")


def test_scope_of_its_own() -> None:
    """What an application writes into a scope does not show in another session's."""
    seen: list[dict[str, Any]] = []

    async def note(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(dict(scope["extensions"]["websocket.http.response"]))
        scope["extensions"]["websocket.http.response"]["note"] = "of mine"

    with serve(each(note)) as server:
        for _ in range(2):
            with connect(server) as client:
                assert client.closed() == (1000, "")
    assert seen == [{}, {}]
