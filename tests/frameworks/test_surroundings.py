"""What stands around a call: exceptions being handled, debug mode, task factories, other connections."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from typing import Any

from probes import reply
from serving import Server, modes

MODES = modes("lazy", "eager", "task")
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class TestSurroundings:
    def test_no_exception_is_being_handled(self, server: Server) -> None:
        """The call starts clean, also right after one that failed."""
        found: list[Any] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            found.append(sys.exc_info())
            if scope["path"] == "/late":
                await reply(send, "ok")
                raise ValueError("on purpose")
            try:
                raise LookupError("caught")
            except LookupError:
                await asyncio.sleep(0)
                assert isinstance(sys.exc_info()[1], LookupError)
            assert sys.exc_info() == (None, None, None)
            await reply(send, "ok")

        server.use(app)
        with server.raw() as peer:
            peer.send(GET.replace(b"/ ", b"/late ", 1) + GET + GET.replace(b"/ ", b"/late ", 1) + GET)
            for _ in range(4):
                assert peer.response().body == b"ok"
        server.idle()
        assert found == [(None, None, None)] * 4
        assert len(server.take_log()) == 2

    def test_exception_has_no_foreign_context(self, server: Server) -> None:
        """The error of one call does not carry another call's error with it."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await reply(send, "ok")
            raise ValueError(scope["path"])

        server.use(app)
        with server.raw() as peer:
            peer.send(b"".join(GET.replace(b"/ ", b"/%d " % number, 1) for number in range(3)))
            for _ in range(3):
                peer.response()
        errors = [record.exc_info[1] for record in server.take_log() if record.exc_info]
        assert [str(error) for error in errors] == ["/0", "/1", "/2"]
        assert [error.__context__ for error in errors if error] == [None] * 3

    def test_call_of_the_server_by_itself(self, server: Server) -> None:
        """A handler that is a client of its own server."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if scope["path"] == "/inner":
                await reply(send, "inner")
                return
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(GET.replace(b"/ ", b"/inner ", 1).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            await reply(send, answer.rpartition(b"\r\n")[2].decode())

        server.use(app)
        assert server.get("/outer").body == b"inner"

    def test_debug_mode(self, server: Server) -> None:
        """A loop in debug mode wants ordinary tasks; everything else stays."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            before = asyncio.current_task()
            message = await receive()
            await asyncio.sleep(0)
            assert asyncio.current_task() is before
            await reply(send, message["body"].decode())

        async def debug(on: bool) -> None:
            asyncio.get_running_loop().set_debug(on)
            asyncio.get_running_loop().slow_callback_duration = 10

        server.use(app)
        server.run(debug(True))
        try:
            for _ in range(5):
                assert server.get("/", method="POST", body=b"abc").body == b"abc"
            server.idle()
        finally:
            server.run(debug(False))
        assert server.get("/", method="POST", body=b"abc").body == b"abc"

    def test_task_factory(self, server: Server) -> None:
        """Who sets a task factory wants to see every task, the calls' own among them."""
        made: list[Any] = []

        def factory(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
            task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
            made.append(task)
            return task

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await reply(send, asyncio.current_task() in made)

        async def use(chosen: Any) -> None:
            asyncio.get_running_loop().set_task_factory(chosen)

        server.use(app)
        server.run(use(factory))
        try:
            server.until(lambda: server.get().body == b"True", "the factory makes the call's task", within=2)
        finally:
            server.run(use(None))
            made.clear()

    def test_asynchronous_generator_is_finalised(self, server: Server) -> None:
        """A generator the call leaves half way is closed by the loop, as the loop's hooks promise."""
        closed = server.gate()

        async def numbers() -> AsyncIterator[int]:
            try:
                yield 1
                yield 2
            finally:
                closed.open()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            async for number in numbers():
                await reply(send, number)
                break

        server.use(app)
        assert server.get().body == b"1"
        gc.collect()
        closed.wait()
