"""Random conversations, each from a fixed seed: requests of every kind, cut anywhere, answered in every way.

The expectation is computed beside the conversation and knows nothing of the server: every answer is the one to its
request, in order, byte for byte, and the connection ends exactly when it was said to.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

import pytest
from serving import Server, modes

MODES = modes("lazy", "task")
SEEDS = range(60)


@dataclass
class Turn:
    """One request and the answer it must get."""

    data: bytes
    method: str
    body: bytes
    status: int
    interim: bool
    last: bool


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """/<way>/<number>: how to answer. The body of the answer names the request and the body it had."""
    _, way, number = scope["path"].split("/")
    if "pause" in way:
        await asyncio.sleep(0)
    body, more = b"", "early" not in way
    while more:
        message = await receive()
        assert message["type"] == "http.request", message
        body += message["body"]
        more = message["more_body"]
        if "slowly" in way:
            await asyncio.sleep(0)
    answer = b"%b:%d:%b" % (number.encode(), len(body), body[:3000])
    headers = [(b"content-length", b"%d" % len(answer))] if "length" in way else []
    await send({"type": "http.response.start", "status": 204 if "empty" in way else 200, "headers": headers})
    if "stream" in way:
        for at in range(0, len(answer), 700):
            await send({"type": "http.response.body", "body": answer[at : at + 700], "more_body": True})
            if "pause" in way:
                await asyncio.sleep(0)
        await send({"type": "http.response.body"})
    else:
        await send({"type": "http.response.body", "body": answer})
    if "background" in way:
        await asyncio.sleep(0.001)
        assert (await receive())["type"] == "http.disconnect"


WAYS = ["plain", "pause", "stream", "pause-stream", "slowly", "length", "length-stream", "background", "empty", "early"]


def conversation(source: random.Random) -> list[Turn]:
    turns: list[Turn] = []
    count = source.randint(1, 12)
    for number in range(count):
        way = source.choice(WAYS)
        if source.random() < 0.3:
            way += "-" + source.choice(WAYS)
        method = source.choice(["GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE"])
        size = source.choice([0, 0, 1, 10, 1000, 5000, 70_000]) if method != "HEAD" else 0
        if "early" in way:
            size = min(size, 10_000)
        content = source.randbytes(size)
        last = number == count - 1 and source.random() < 0.5
        old = last and source.random() < 0.5
        lines = [f"{method} /{way}/{number} HTTP/1.{0 if old else 1}", "Host: h"]
        lines += [f"X-{index}: {'v' * source.randint(0, 60)}" for index in range(source.randint(0, 8))]
        if last and not old:
            lines.append("Connection: close")
        data = content
        if size:
            if old or source.random() < 0.5:
                lines.append(f"Content-Length: {size}")
            else:
                lines.append("Transfer-Encoding: chunked")
                data, at = b"", 0
                while at < size:
                    piece = content[at : at + source.choice([1, 7, 100, 4096, 20_000])]
                    at += len(piece)
                    data += b"%x%b\r\n%b\r\n" % (len(piece), source.choice([b"", b"", b";a=b"]), piece)
                data += b"0\r\n" + source.choice([b"", b"X-Trailer: y\r\n"]) + b"\r\n"
        expects = bool(size) and not old and "early" not in way and source.random() < 0.2
        if expects:
            lines.append("Expect: 100-continue")
        head = "\r\n".join([*lines, "", ""]).encode()
        read = b"" if "early" in way else content
        answer = b"%d:%d:%b" % (number, len(read), read[:3000])
        status = 204 if "empty" in way else 200
        bodiless = method == "HEAD" or status == 204
        turns.append(Turn(head + data, method, b"" if bodiless else answer, status, expects, last))
    return turns


def pieces(source: random.Random, data: bytes) -> list[bytes]:
    """The bytes in segments: as they are, or cut at random."""
    if source.random() < 0.3:
        return [data]
    cuts = sorted(source.randrange(len(data) + 1) for _ in range(source.randint(1, 30)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]


@pytest.mark.parametrize("seed", SEEDS)
def test_conversation(server: Server, seed: int) -> None:
    source = random.Random(seed)
    turns = conversation(source)
    server.use(app)
    with server.raw() as peer:
        for piece in pieces(source, b"".join(turn.data for turn in turns)):
            peer.send(piece)
            if source.random() < 0.5:
                server.settle()
        for number, turn in enumerate(turns):
            response = peer.response(turn.method)
            assert (response.status, response.body) == (turn.status, turn.body), f"request {number}: {turn.data[:200]!r}"
            assert response.interim in ([], [100]) if turn.interim else response.interim == []
            assert response.closes == turn.last
        if turns[-1].last:
            assert peer.ended(1.5) == "fin"
        else:
            assert peer.pending() == b""
    assert len(server.calls) == len(turns)


@pytest.mark.parametrize("seed", range(10))
def test_many_conversations_at_once(server: Server, seed: int) -> None:
    """Twenty clients, their segments interleaved."""
    source = random.Random(1000 + seed)
    server.use(app)
    talks = []
    try:
        for _ in range(20):
            turns = conversation(source)
            talks.append((server.raw(), turns, pieces(source, b"".join(turn.data for turn in turns))))
        waiting = list(talks)
        while waiting:
            peer, _, segments = source.choice(waiting)
            peer.send(segments.pop(0))
            waiting = [talk for talk in talks if talk[2]]
        for peer, turns, _ in talks:
            for turn in turns:
                response = peer.response(turn.method)
                assert (response.status, response.body) == (turn.status, turn.body)
                assert response.closes == turn.last
    finally:
        for peer, _, _ in talks:
            peer.close()


@pytest.mark.parametrize("seed", range(20))
def test_client_that_leaves_anywhere(server: Server, seed: int) -> None:
    """The conversation breaks off at a random byte, by FIN or by RST: nothing is left, and the next client is served."""
    source = random.Random(2000 + seed)

    async def careful(scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except (OSError, AssertionError):
            pass

    server.use(careful)
    for _ in range(5):
        data = b"".join(turn.data for turn in conversation(source))
        peer = server.raw()
        peer.offer(data[: source.randrange(len(data))])
        if source.random() < 0.5:
            server.settle()
        if source.random() < 0.5:
            peer.reset()
        else:
            peer.close()
    for _ in range(5):
        server.settle()  # the last ones may not even be accepted yet
    server.until(lambda: server.open == 0 and server.active == 0, "nothing is left", within=5)
    assert server.get("/plain/1").body == b"1:0:"
    assert not any(record.exc_info for record in server.take_log())
