"""An application runs the event loop inside of its step (nest_asyncio, notebooks): others are served meanwhile.

What one client sent must never reach another one's request or response, and nothing may be lost.
"""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

from frames import connect, text
from nesting import nested
from serving import Server

MODES = [("nested", "auto"), ("nested-sockets", "auto"), ("nested-tls", "auto"), ("nested-sockets", "task")]
CLIENTS = 8
REQUESTS = 2504  # in each of the modes: 10,000 in all of them
SETTINGS: dict[str, Any] = {"timeout_graceful_shutdown": 5, "ws_ping_interval": None}


def text_of(token: str, size: int) -> bytes:
    """A body that consists of nothing but its token."""
    return (f"<{token}>".encode() * (size // (len(token) + 2) + 1))[:size]


async def others(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers with the token and the body of the request, and runs the loop wherever it can."""
    token = scope["path"][1:]
    turns = scope["raw_path"][-1] % 4
    nested(others(turns))
    body = b""
    while True:
        message = await receive() if turns % 2 else nested(receive())
        body += message["body"]
        if not message["more_body"]:
            break
    headers = [(b"x-token", token.encode())]
    if turns == 3:
        headers.append((b"content-length", b"%d" % (len(body) + 2 * len(token))))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    nested(others(turns))
    await send({"type": "http.response.body", "body": token.encode(), "more_body": True})
    nested(others(turns))
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if turns == 2:
        await others(1)
    nested(others(turns))
    await send({"type": "http.response.body", "body": token.encode()})
    nested(others(turns))


def client(server: Server, name: str, count: int, failures: list[str]) -> None:
    """Pipelined requests, with and without bodies, cut anywhere."""
    chance = random.Random(name)
    done = 0
    try:
        with server.raw(30.0) as peer:
            while done < count:
                batch = [(f"{name}.{done + i}", chance.choice((0, 0, 10, 3000, 20000))) for i in range(chance.randint(1, 6))]
                data = b"".join(
                    f"POST /{token} HTTP/1.1\r\nHost: {token}\r\nContent-Length: {size}\r\n\r\n".encode()
                    + text_of(token, size)
                    for token, size in batch
                )
                while data:
                    size = chance.choice((7, 1000, 30000, len(data)))
                    peer.send(data[:size])
                    data = data[size:]
                for token, size in batch:
                    response = peer.response()
                    expected = token.encode() + text_of(token, size) + token.encode()
                    assert response.status == 200 and response.header("x-token") == token, response
                    assert response.body == expected, f"{token}: {response.body[:100]!r}"
                done += len(batch)
    except BaseException as error:
        failures.append(f"{name}: {error!r}"[:500])


def run_clients(server: Server, count: int) -> None:
    failures: list[str] = []
    threads = [
        threading.Thread(target=client, args=(server, f"c{number}", count // CLIENTS, failures)) for number in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures, failures
    assert len(server.calls) >= count // CLIENTS * CLIENTS


def test_no_foreign_byte(server: Server) -> None:
    server.use(application)
    run_clients(server, REQUESTS)


def test_request_served_inside_of_another(server: Server) -> None:
    """The first waits, inside of its step and with half of its answer gathered, for what the second brings."""
    arrived = server.gate()
    inside = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode(), "more_body": True})
        if scope["path"] == "/first":
            inside.open()
            nested(arrived.passed())
        else:
            arrived.open()
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    server.use(app)
    with server.raw() as first, server.raw() as second:
        first.send(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /third HTTP/1.1\r\nHost: a\r\n\r\n")
        inside.wait()
        second.send(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
        assert second.response().body == b"/second/second"
        assert first.response().body == b"/first/first"
        assert first.response().body == b"/third/third"


def test_body_that_comes_inside_of_the_step(server: Server) -> None:
    inside = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            inside.open()
            message = nested(receive())
            body, more = body + message["body"], message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    server.use(app)
    with server.raw() as peer:
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n")
        inside.wait()
        body = text_of("body", 60000)
        peer.send(body[:7])
        server.settle()
        # The rest of the body, and a whole request in the same piece.
        peer.send(body[7:] + b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        assert peer.response().body == body
        assert peer.response().body == b"abc"


def test_what_was_sent_leaves_although_the_step_goes_on(server: Server) -> None:
    seen = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"seen?", "more_body": True})
        nested(seen.passed())
        await send({"type": "http.response.body", "body": b" seen"})

    server.use(app)
    with server.raw() as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        head = peer.head()
        assert head.header("transfer-encoding") == "chunked"
        assert peer.chunk() == b"seen?"
        seen.open()
        assert peer.chunk() == b" seen"
        assert peer.chunk() == b""


def test_many_of_one_batch_inside_of_the_first(server: Server) -> None:
    """The set has reported all of them, and reports them only once."""
    count = 20
    release = server.gate()
    blocked = server.gate()
    arrived: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/block":
            blocked.open()
            release.outside.wait(10)        # the loop is blocked, so that all others are reported together
        else:
            arrived.append(scope["path"])

            async def everybody() -> None:
                while len(arrived) < count:
                    await asyncio.sleep(0.01)

            nested(everybody())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    server.use(app)
    peers = [server.raw(20) for _ in range(count + 1)]
    for peer in peers:
        peer.send(b"GET /warm HTTP/1.1\r\nHost: a\r\n\r\n")
    try:
        for peer in peers[:count]:
            assert peer.response().body == b"/warm"
        arrived.clear()
        peers[count].response()
        peers[count].send(b"GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
        blocked.wait()
        for number, peer in enumerate(peers[:count]):
            peer.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        release.open()
        for number, peer in enumerate(peers[:count]):
            assert peer.response().body == b"/%d" % number
    finally:
        for peer in peers:
            peer.close()


def test_client_that_goes_inside_of_the_step(server: Server) -> None:
    inside = server.gate()
    told = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.request"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        inside.open()
        message = nested(receive())
        assert message["type"] == "http.disconnect"
        told.open()

    server.use(app)
    with server.raw() as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        inside.wait()
        peer.reset()
        told.wait()


def test_websocket_inside_of_its_step(server: Server) -> None:
    """A session takes messages while it runs the loop in the step in which it accepted, and in later ones."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for number in range(24):
            message = nested(receive()) if number % 3 else await receive()
            await send({"type": "websocket.send", "text": message["text"]})
            nested(others(number % 3))
            await send({"type": "websocket.send", "text": f"{message['text']}!"})
        await send({"type": "websocket.close"})

    server.use(app)
    failures: list[str] = []

    def talk(at: int) -> None:
        try:
            with connect(server, timeout=20.0) as peer:
                for number in range(0, 24, 2):
                    peer.send(text(f"{at}.{number}") + text(f"{at}.{number + 1}"))
                    for wanted in (number, number + 1):
                        assert peer.message() == f"{at}.{wanted}"
                        assert peer.message() == f"{at}.{wanted}!"
                assert peer.closed() == (1000, "")
        except BaseException as error:
            failures.append(f"{at}: {error!r}")

    threads = [threading.Thread(target=talk, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures, failures
