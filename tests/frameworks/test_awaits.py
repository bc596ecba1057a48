"""What a task refuses to wait for, and what it waits for in an odd way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from probes import reply
from serving import Server, modes

MODES = modes("lazy", "eager", "task")
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Awaits:
    """An awaitable that yields what it was given, as a task's coroutine must not."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Any:
        return (yield self.value)


class TestBadAwaits:
    """What a task refuses to wait for, it refuses the same way when it is the call's first wait."""

    @pytest.mark.parametrize("second", [False, True], ids=["first-wait", "second-wait"])
    @pytest.mark.parametrize(
        "make",
        [
            lambda: 42,
            lambda: "text",
            lambda: object(),
            lambda: asyncio.get_running_loop().create_future(),  # yielded bare, not awaited
            lambda: iter(()),
        ],
        ids=["number", "text", "object", "bare-future", "iterator"],
    )
    def test_bad_yield(self, server: Server, make: Any, second: bool) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if second:
                await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="yield"):
                await Awaits(make())
            await asyncio.sleep(0)
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"

    @pytest.mark.parametrize("second", [False, True], ids=["first-wait", "second-wait"])
    def test_bare_yield_is_a_turn(self, server: Server, second: bool) -> None:
        """A yield of nothing gives way to the loop once, as asyncio.sleep(0) does."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if second:
                await asyncio.sleep(0)
            turns: list[int] = []
            asyncio.get_running_loop().call_soon(turns.append, 1)
            assert await Awaits(None) is None
            assert turns == [1]
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"

    @pytest.mark.parametrize("second", [False, True], ids=["first-wait", "second-wait"])
    def test_itself(self, server: Server, second: bool) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if second:
                await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="cannot await on itself"):
                await asyncio.current_task()
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"

    @pytest.mark.parametrize("second", [False, True], ids=["first-wait", "second-wait"])
    def test_future_of_another_loop(self, server: Server, second: bool) -> None:
        other = asyncio.new_event_loop()
        try:

            async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
                if second:
                    await asyncio.sleep(0)
                with pytest.raises(RuntimeError, match="different loop"):
                    await asyncio.Future(loop=other)
                await reply(send, "ok")

            server.use(app)
            assert server.get().body == b"ok"
        finally:
            other.close()

    @pytest.mark.parametrize("second", [False, True], ids=["first-wait", "second-wait"])
    def test_future_that_fails(self, server: Server, second: bool) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if second:
                await asyncio.sleep(0)
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.set_exception, LookupError("later"))
            with pytest.raises(LookupError, match="later"):
                await future
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"

    @pytest.mark.parametrize("second", [False, True], ids=["first-wait", "second-wait"])
    def test_future_that_is_cancelled(self, server: Server, second: bool) -> None:
        """The future is cancelled, not the call: the await raises, and no cancellation of the call is counted."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if second:
                await asyncio.sleep(0)
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.cancel)
            with pytest.raises(asyncio.CancelledError):
                await future
            assert asyncio.current_task().cancelling() == 0
            await asyncio.sleep(0)
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"

    @pytest.mark.parametrize("second", [False, True], ids=["first-wait", "second-wait"])
    def test_subclass_of_future(self, server: Server, second: bool) -> None:
        class Own(asyncio.Future[str]):
            pass

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if second:
                await asyncio.sleep(0)
            future = Own(loop=asyncio.get_running_loop())
            asyncio.get_running_loop().call_soon(future.set_result, "own")
            await reply(send, await future)

        server.use(app)
        assert server.get().body == b"own"
