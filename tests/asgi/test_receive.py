"""receive(): http.request and http.disconnect, in every order an application can ask for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from serving import Server, modes

MODES = modes("lazy", "eager", "task")
DISCONNECT = {"type": "http.disconnect"}


def post(length: int | None = None, path: str = "/") -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST {path} HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
LAST = b"0\r\n\r\n"


async def reply(send: Any, body: bytes = b"ok") -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": body})


class Reader:
    """Receives until the body is whole, keeping every message, then answers with the body."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        while True:
            self.messages.append(await receive())
            if not self.messages[-1].get("more_body"):
                break
        await reply(send, b"".join(message["body"] for message in self.messages))


class TestBody:
    @pytest.mark.parametrize("request_", [GET, post(0), post() + LAST], ids=["none", "length-0", "no-chunks"])
    def test_empty(self, server: Server, request_: bytes) -> None:
        reader = Reader()
        server.use(reader)
        server.ask(request_)
        assert reader.messages == [{"type": "http.request", "body": b"", "more_body": False}]

    def test_whole(self, server: Server) -> None:
        """A body that has arrived is one message."""
        reader = Reader()
        server.use(reader)
        server.ask(post(5) + b"hello")
        assert b"".join(message["body"] for message in reader.messages) == b"hello"
        assert reader.messages[-1]["more_body"] is False

    def test_types(self, server: Server) -> None:
        reader = Reader()
        server.use(reader)
        server.ask(post() + chunk(b"a") + chunk(b"b" * 1000) + LAST)
        for message in reader.messages:
            assert type(message) is dict
            assert set(message) == {"type", "body", "more_body"}
            assert type(message["body"]) is bytes and type(message["more_body"]) is bool
        assert [message["more_body"] for message in reader.messages] == [True] * (len(reader.messages) - 1) + [False]

    @pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
    def test_arrives_while_it_is_sent(self, server: Server, chunked: bool) -> None:
        """Each part is handed over before the next one is sent; nothing waits for the whole."""
        parts = [b"one", b"two" * 100, b"x"]
        seen: list[bytes] = []
        gates = {number: server.gate() for number in range(len(parts) + 1)}

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            body, more = b"", True
            while more:
                message = await receive()
                body += message["body"]
                more = message["more_body"]
                if body:
                    seen.append(body)
                    for number in range(len(parts)):
                        if len(body) >= sum(map(len, parts[: number + 1])):
                            gates[number].open()
            await reply(send, body)

        server.use(app)
        with server.raw() as peer:
            peer.send(post(None if chunked else sum(map(len, parts))))
            for number, part in enumerate(parts):
                peer.send(chunk(part) if chunked else part)
                gates[number].wait()
            if chunked:
                peer.send(LAST)
            assert peer.response().body == b"".join(parts)

    @pytest.mark.parametrize("size", [1, 100, 4096, 65535, 65536, 65537, 200_000, 1_000_000, 5_000_000])
    @pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
    def test_sizes(self, server: Server, size: int, chunked: bool) -> None:
        body = (bytes(range(256)) * (size // 256 + 1))[:size]
        server.use(Reader())
        with server.raw() as peer:
            if chunked:
                data = post() + b"".join(chunk(body[at : at + 50_000]) for at in range(0, size, 50_000)) + LAST
            else:
                data = post(size) + body
            peer.send(data)
            assert peer.response().body == body

    def test_thousands_of_tiny_chunks(self, server: Server) -> None:
        """One-byte chunks are gathered, not handed over one by one, and in order."""
        body = bytes(number % 256 for number in range(20_000))
        reader = Reader()
        server.use(reader)
        with server.raw() as peer:
            peer.send(post() + b"".join(chunk(body[at : at + 1]) for at in range(len(body))) + LAST)
            assert peer.response().body == body
        assert len(reader.messages) < 2_000

    def test_kept_bodies_do_not_change(self, server: Server) -> None:
        """A message's bytes are the application's own: later input does not write over them."""
        reader = Reader()
        server.use(reader)
        for number in range(20):
            server.ask(post(1000) + bytes([number]) * 1000)
        bodies = b"".join(message["body"] for message in reader.messages)
        assert bodies == b"".join(bytes([number]) * 1000 for number in range(20))


class TestAfterTheBody:
    def test_waits_for_the_response(self, server: Server) -> None:
        """Once the body is whole, receive() waits; when the response is complete it is http.disconnect, for ever."""
        messages: list[dict[str, Any]] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await receive()
            waiting = asyncio.ensure_future(receive())
            done, _ = await asyncio.wait([waiting], timeout=0.02)
            assert not done
            await reply(send)
            messages.append(await waiting)
            for _ in range(3):
                messages.append(await receive())

        server.use(app)
        with server.raw() as peer:
            peer.send(GET)
            peer.response()
            server.idle()
        assert messages == [DISCONNECT] * 4

    def test_body_never_asked_for(self, server: Server) -> None:
        """The response is complete before the body was read: http.disconnect, not the body."""
        messages: list[dict[str, Any]] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await reply(send)
            messages.append(await receive())
            messages.append(await receive())

        server.use(app)
        with server.raw() as peer:
            peer.send(post(3) + b"abc")
            peer.response()
            server.idle()
        assert messages == [DISCONNECT] * 2

    def test_messages_are_not_shared(self, server: Server) -> None:
        """A message that the application changes is not the one the next call gets."""
        messages: list[dict[str, Any]] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            first = await receive()
            first["type"] = "spoiled"
            first["x"] = 1
            await reply(send)
            last = await receive()
            last["type"] = "spoiled"
            messages.append(await receive())

        server.use(app)
        for _ in range(2):
            server.get()
            server.idle()
        assert messages == [DISCONNECT] * 2
        reader = Reader()
        server.use(reader)
        server.get()
        assert reader.messages == [{"type": "http.request", "body": b"", "more_body": False}]

    def test_disconnect_before_the_next_request(self, server: Server) -> None:
        """Background receive() of the first call and the second call's own do not get in each other's way."""
        first: list[dict[str, Any]] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if scope["path"] == "/first":
                waiting = asyncio.ensure_future(receive())
                await asyncio.sleep(0)
                await reply(send)
                first.append(await waiting)
                first.append(await receive())
            else:
                body = (await receive())["body"]
                await reply(send, body)

        server.use(app)
        with server.raw() as peer:
            peer.send(post(1, "/first") + b"a" + post(1, "/second") + b"b")
            assert peer.response().body == b"ok"
            assert peer.response().body == b"b"
            server.idle()
        assert first[-1] == DISCONNECT
        assert first[0] in (DISCONNECT, {"type": "http.request", "body": b"a", "more_body": False})


class TestAwaitables:
    """What receive() returns can be awaited, wrapped in a task, given to wait_for and cancelled."""

    def test_create_task(self, server: Server) -> None:
        messages: list[dict[str, Any]] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            task = asyncio.create_task(receive())
            messages.append(await task)
            task = asyncio.create_task(receive())
            messages.append(await task)
            await reply(send)

        server.use(app)
        with server.raw() as peer:
            peer.send(post(6) + b"abc")
            server.until(lambda: len(messages) == 1, "the first part arrives")
            peer.send(b"def")
            peer.response()
        assert [message["body"] for message in messages] == [b"abc", b"def"]
        assert [message["more_body"] for message in messages] == [True, False]

    def test_cancelled_wait_loses_nothing(self, server: Server) -> None:
        """wait_for(receive()) that runs out of time, again and again; then the body comes and is all there."""
        timeouts = 0
        ready = server.gate()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            nonlocal timeouts
            body, more = b"", True
            while more:
                try:
                    message = await asyncio.wait_for(receive(), 0.001)
                except TimeoutError:
                    timeouts += 1
                    if timeouts == 5:
                        ready.open()
                    continue
                body += message["body"]
                more = message["more_body"]
            await reply(send, body)

        server.use(app)
        with server.raw() as peer:
            peer.send(post(6) + b"abc")
            ready.wait()
            peer.send(b"def")
            assert peer.response().body == b"abcdef"
        assert timeouts >= 5

    def test_cancelled_in_the_same_turn_as_the_body(self, server: Server) -> None:
        """The message and the cancellation meet: either the task has it or the next receive() does."""
        bodies: list[bytes] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            got, more = b"", True
            while more:
                task = asyncio.ensure_future(receive())
                for _ in range(3):
                    await asyncio.sleep(0)
                    if task.done():
                        break
                task.cancel()
                try:
                    message = await task
                except asyncio.CancelledError:
                    continue
                got += message["body"]
                more = message["more_body"]
            bodies.append(got)
            await reply(send, got)

        server.use(app)
        with server.raw() as peer:
            for number in range(100):
                body = bytes([number]) * 50
                peer.send(post(50) + body[:25])
                peer.send(body[25:])
                assert peer.response().body == body
        assert len(bodies) == 100

    def test_two_waiters_both_see_the_end(self, server: Server) -> None:
        """Two receive() at once wait for the same disconnect, and both wake."""
        messages: list[dict[str, Any]] = []
        waiting = server.gate()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await receive()
            tasks = [asyncio.ensure_future(receive()) for _ in range(2)]
            await asyncio.sleep(0)
            waiting.open()
            messages.extend(await asyncio.gather(*tasks))

        server.use(app)
        peer = server.raw()
        peer.send(GET)
        waiting.wait()
        peer.reset()
        server.until(lambda: messages == [DISCONNECT] * 2, "both are told")

    def test_two_waiters_share_a_body(self, server: Server) -> None:
        """Two receive() at once while the body comes: each part goes to one of them, none is lost or doubled."""
        waiting = server.gate()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            tasks = [asyncio.ensure_future(receive()) for _ in range(2)]
            await asyncio.sleep(0)
            waiting.open()
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            parts = [task.result()["body"] for task in done]
            while sum(map(len, parts)) < 6:
                rest = [task for task in tasks if task not in done]
                message = await (rest[0] if rest else receive())
                done.update(rest)
                parts.append(message["body"])
            await reply(send, b"".join(sorted(parts)))
            for task in tasks:
                if task not in done:
                    assert await task == DISCONNECT

        server.use(app)
        with server.raw() as peer:
            peer.send(post(6))
            waiting.wait()
            peer.send(b"abc")
            server.settle()
            peer.send(b"def")
            assert peer.response().body == b"abcdef"
            server.idle()

    def test_gather_and_shield(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            (message, other) = await asyncio.gather(receive(), asyncio.sleep(0, "other"))
            assert other == "other"
            await asyncio.shield(reply(send, message["body"]))

        server.use(app)
        assert server.ask(post(3) + b"abc").body == b"abc"

    def test_receive_from_another_task(self, server: Server) -> None:
        """A child task of the application takes the messages; the call itself only answers."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

            async def pump() -> None:
                while True:
                    message = await receive()
                    await queue.put(message)
                    if not message.get("more_body"):
                        return

            task = asyncio.create_task(pump())
            body, more = b"", True
            while more:
                message = await queue.get()
                body += message["body"]
                more = message["more_body"]
            await task
            await reply(send, body)

        server.use(app)
        assert server.ask(post(100_000) + bytes(100_000)).body == bytes(100_000)

    def test_coroutine_protocol(self, server: Server) -> None:
        """The awaitable of receive() and of send() can be driven through a wrapper, as a middleware does."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            async def wrapped_receive() -> Any:
                return await receive()

            async def wrapped_send(message: Any) -> None:
                await send(message)

            message = await wrapped_receive()
            await asyncio.wait_for(wrapped_send({"type": "http.response.start", "status": 200}), 1)
            await asyncio.create_task(wrapped_send({"type": "http.response.body", "body": message["body"]}))

        server.use(app)
        assert server.ask(post(3) + b"abc").body == b"abc"

    def test_send_as_a_task(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await asyncio.ensure_future(send({"type": "http.response.start", "status": 200}))
            await asyncio.gather(send({"type": "http.response.body", "body": b"a", "more_body": True}))
            await asyncio.wait_for(send({"type": "http.response.body", "body": b"b"}), 1)

        server.use(app)
        assert server.get().body == b"ab"

    def test_result_of_send_is_none(self, server: Server) -> None:
        results = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            results.append(await send({"type": "http.response.start", "status": 200}))
            results.append(await send({"type": "http.response.body", "body": b""}))

        server.use(app)
        server.get()
        server.idle()
        assert results == [None, None]
