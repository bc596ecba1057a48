"""anyio and sniffio inside the application."""

from __future__ import annotations

from typing import Any

import pytest
from probes import reply
from serving import Server, modes

anyio = pytest.importorskip("anyio", reason="anyio is not installed")
sniffio = pytest.importorskip("sniffio", reason="sniffio is not installed")

MODES = modes("lazy", "eager", "task")


def test_library_is_known(server: Server) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        before = sniffio.current_async_library()
        await anyio.sleep(0)
        await reply(send, f"{before} {sniffio.current_async_library()}")

    server.use(app)
    assert server.get().body == b"asyncio asyncio"


def test_task_group(server: Server) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        results: list[int] = []

        async def child(number: int) -> None:
            await anyio.sleep(0)
            results.append(number)

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(child, number)
        await reply(send, sum(results))

    server.use(app)
    assert server.get().body == b"3"


def test_task_group_over_receive_and_send(server: Server) -> None:
    """receive and send themselves are started as tasks, as middlewares do."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        messages: list[Any] = []

        async def take() -> None:
            messages.append(await receive())

        async with anyio.create_task_group() as group:
            group.start_soon(take)
        async with anyio.create_task_group() as group:
            group.start_soon(send, {"type": "http.response.start", "status": 200})
        async with anyio.create_task_group() as group:
            group.start_soon(send, {"type": "http.response.body", "body": messages[0]["body"]})

    server.use(app)
    assert server.get("/", method="POST", body=b"hello").body == b"hello"


def test_cancel_scopes(server: Server) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        with anyio.move_on_after(0.005) as moved:
            await anyio.sleep(10)
        assert moved.cancelled_caught
        with pytest.raises(TimeoutError), anyio.fail_after(0.005):
            await receive()
            await receive()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0)
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 10)
            group.cancel_scope.cancel()
        await anyio.sleep(0)
        await reply(send, "ok")

    server.use(app)
    assert server.get().body == b"ok"


def test_cancel_scope_without_a_pause(server: Server) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        with anyio.fail_after(10):
            await reply(send, "ok")

    server.use(app)
    for _ in range(3):
        assert server.get().body == b"ok"


def test_failing_child(server: Server) -> None:
    async def fail() -> None:
        raise ValueError("child")

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(fail)
                await anyio.sleep(10)
        except* ValueError:
            pass
        await reply(send, "ok")

    server.use(app)
    assert server.get().body == b"ok"


def test_task_information(server: Server) -> None:
    """The call's identity is the same before and after a pause."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        before = anyio.get_current_task()
        await anyio.sleep(0)
        after = anyio.get_current_task()
        assert (before.id, before.name) == (after.id, after.name)
        await reply(send, "ok")

    server.use(app)
    assert server.get().body == b"ok"


def test_threads_and_streams(server: Server) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        into, out = anyio.create_memory_object_stream[str](1)
        async with into, out, anyio.create_task_group() as group:
            group.start_soon(into.send, await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(anyio.sleep, 0) or "x"))
            item = await out.receive()
        await reply(send, item)

    server.use(app)
    assert server.get().body == b"x"


def test_disconnect_cancels_the_stream(server: Server) -> None:
    """A group of two: one listens for the disconnect, one streams; the first cancels the second."""
    ended = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as group:

            async def listen() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            async def stream() -> None:
                await send({"type": "http.response.start", "status": 200})
                while True:
                    await send({"type": "http.response.body", "body": b"tick", "more_body": True})
                    await anyio.sleep(0.001)

            group.start_soon(listen)
            group.start_soon(stream)
        ended.open()

    server.use(app)
    peer = server.raw()
    peer.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    peer.head()
    assert peer.chunk() == b"tick"
    peer.reset()
    server.idle()
    assert len(server.take_log()) <= 1
