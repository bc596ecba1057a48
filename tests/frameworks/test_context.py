"""Context variables: each request has a context of its own."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest
from probes import reply
from serving import EAGER, Server, modes, serve

MODES = modes("lazy", "eager", "task")
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.mark.parametrize(("loop", "task"), MODES)
def test_requests_see_what_the_lifespan_set(loop: str, task: str) -> None:
    """Each request starts from what was set at start-up, and what it sets itself is gone after it."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            variable.set("lifespan")
            await send({"type": "lifespan.startup.complete"})
            await receive()
            assert variable.get() == "lifespan"
            await send({"type": "lifespan.shutdown.complete"})
            return
        before = variable.get()
        variable.set("request")
        await asyncio.sleep(0)
        await reply(send, before)

    with serve(app, loop=loop, task=task, lifespan="on") as own:
        for _ in range(3):
            assert own.get().body == b"lifespan"
        with own.raw() as peer:
            peer.send(GET * 3)
            for _ in range(3):
                assert peer.response().body == b"lifespan"


class TestContext:
    @pytest.mark.parametrize("pause", [False, True])
    def test_requests_do_not_see_each_other(self, server: Server, pause: bool) -> None:
        """Pipelined and one after another on a connection: each starts without the other's values."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            before = variable.get()
            variable.set(scope["path"])
            if pause:
                await asyncio.sleep(0)
            assert variable.get() == scope["path"]
            await reply(send, before)

        server.use(app)
        with server.raw() as peer:
            peer.send(b"".join(GET.replace(b"/ ", b"/%d " % number, 1) for number in range(10)))
            for _ in range(10):
                assert peer.response().body == b"unset"
            for number in range(5):
                peer.send(GET.replace(b"/ ", b"/x%d " % number, 1))
                assert peer.response().body == b"unset"

    def test_started_by_background_work(self, server: Server) -> None:
        """The next request begins while the first call still works: it does not inherit that call's values."""
        done = server.gate()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            before = variable.get()
            variable.set(scope["path"])
            await asyncio.sleep(0)
            await reply(send, before)
            if scope["path"] == "/0":
                await done.passed()
                assert variable.get() == "/0"

        server.use(app)
        with server.raw() as peer:
            peer.send(b"".join(GET.replace(b"/ ", b"/%d " % number, 1) for number in range(3)))
            for _ in range(3):
                assert peer.response().body == b"unset"
            done.open()

    def test_children_inherit(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            variable.set("call")

            async def child() -> str:
                value = variable.get()
                variable.set("child")
                return value

            assert await asyncio.create_task(child()) == "call"
            assert variable.get() == "call"
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"

    def test_reset_after_a_pause(self, server: Server) -> None:
        """A token is valid in the context it came from: that is the same one before and after the pause."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            token = variable.set("call")
            await asyncio.sleep(0)
            variable.reset(token)
            await reply(send, variable.get())

        server.use(app)
        assert server.get().body == b"unset"

    def test_callbacks_inherit(self, server: Server) -> None:
        seen: list[str] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            variable.set("call")
            asyncio.get_running_loop().call_soon(lambda: seen.append(variable.get()))
            await asyncio.sleep(0)
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"
        server.until(lambda: seen == ["call"], "the callback runs")

    def test_server_is_not_changed(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            variable.set("call")
            await reply(send, "ok")

        async def look() -> str:
            return variable.get()

        server.use(app)
        assert server.get().body == b"ok"
        assert server.run(look()) == "unset"

    @pytest.mark.skipif(not EAGER, reason="Task.get_context() is new in Python 3.12")
    def test_task_knows_its_context(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            variable.set("call")
            await asyncio.sleep(0)
            assert asyncio.current_task().get_context()[variable] == "call"
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"
