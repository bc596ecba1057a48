"""asyncio's own tools inside the application: time-outs, groups, locks, threads, generators."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from probes import reply
from serving import Server, modes

MODES = modes("lazy", "eager", "task")
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class TestTools:
    @pytest.mark.parametrize("pause", [False, True])
    def test_timeout(self, server: Server, pause: bool) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if pause:
                await asyncio.sleep(0)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005):
                    await asyncio.sleep(10)
            async with asyncio.timeout(10) as scope_:
                scope_.reschedule(asyncio.get_running_loop().time() + 20)
            assert asyncio.current_task().cancelling() == 0
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"

    def test_timeout_without_a_pause(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            async with asyncio.timeout(10):
                await reply(send, "ok")

        server.use(app)
        for _ in range(3):
            assert server.get().body == b"ok"

    def test_timeout_around_receive(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await receive()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005):
                    await receive()
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"

    def test_wait_for(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            message = await asyncio.wait_for(receive(), 5)
            assert message["type"] == "http.request"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.sleep(10), 0.005)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(receive(), 0.005)
            await asyncio.wait_for(reply(send, "ok"), 5)

        server.use(app)
        assert server.get().body == b"ok"

    def test_task_group(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            async with asyncio.TaskGroup() as group:
                first = group.create_task(asyncio.sleep(0, 1))
                second = group.create_task(asyncio.sleep(0.001, 2))
            await reply(send, first.result() + second.result())

        server.use(app)
        assert server.get().body == b"3"

    def test_task_group_that_fails(self, server: Server) -> None:
        """The failing child cancels its siblings and the call that waits for them, and then no more."""

        async def fail() -> None:
            await asyncio.sleep(0)
            raise ValueError("child")

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(asyncio.sleep(10))
                    group.create_task(fail())
                    await asyncio.sleep(10)
            except* ValueError:
                pass
            assert asyncio.current_task().cancelling() == 0
            await asyncio.sleep(0)
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"

    def test_gather_shield_and_wait(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            assert await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2)) == [1, 2]
            inner = asyncio.ensure_future(asyncio.sleep(0.01, 3))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(inner), 0.001)
            assert await inner == 3
            done, pending = await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0, 4))], timeout=5)
            assert not pending and done.pop().result() == 4
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"

    def test_locks_between_requests(self, server: Server) -> None:
        """Two calls share a lock, an event and a queue."""
        state: dict[str, Any] = {}

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if not state:
                state.update(lock=asyncio.Lock(), queue=asyncio.Queue(1), semaphore=asyncio.Semaphore(1))
            if scope["path"] == "/put":
                await state["queue"].put("item")
                await reply(send, "put")
            else:
                async with state["lock"], state["semaphore"]:
                    await reply(send, await state["queue"].get())

        server.use(app)
        with server.raw() as one, server.raw() as two:
            one.send(GET)
            two.send(GET.replace(b"/ ", b"/put ", 1))
            assert two.response().body == b"put"
            assert one.response().body == b"item"

    def test_threads(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            variable.set("call")
            loop = asyncio.get_running_loop()
            assert await loop.run_in_executor(None, threading.get_ident) != threading.get_ident()
            assert await asyncio.to_thread(variable.get) == "call"
            future = asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "from a thread"), loop)
            await reply(send, await asyncio.wrap_future(future))

        server.use(app)
        assert server.get().body == b"from a thread"

    def test_async_generators(self, server: Server) -> None:
        closed: list[int] = []

        async def numbers() -> AsyncIterator[int]:
            try:
                for number in range(10):
                    yield number
                    await asyncio.sleep(0)
            finally:
                closed.append(1)

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            total = 0
            async for number in numbers():
                total += number
            generator = numbers()
            async for _ in generator:
                break
            await generator.aclose()
            await reply(send, total)

        server.use(app)
        assert server.get().body == b"45"
        assert closed == [1, 1]

    def test_many_at_once(self, server: Server) -> None:
        """Two hundred calls wait at the same time, and each answers its own client."""
        gate = server.gate()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            task = asyncio.current_task()
            await gate.passed()
            assert asyncio.current_task() is task
            await asyncio.sleep(0.001)
            await reply(send, scope["path"])

        server.use(app)
        peers = [server.raw() for _ in range(200)]
        try:
            for number, peer in enumerate(peers):
                peer.send(GET.replace(b"/ ", b"/%d " % number, 1))
            server.until(lambda: len(server.calls) == 200, "all calls begin")
            gate.open()
            for number, peer in enumerate(peers):
                assert peer.response().body == b"/%d" % number
        finally:
            for peer in peers:
                peer.close()
