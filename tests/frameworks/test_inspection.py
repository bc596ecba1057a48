"""What the standard library asks of a request's task and coroutine; and an asyncio whose tasks are written in Python."""

from __future__ import annotations

import asyncio
import inspect
import io
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from serving import Server, modes

MODES = modes("lazy", "task")


@pytest.mark.parametrize("asked", [False, True], ids=["", "asked"])
def test_state_of_a_waiting_request(server: Server, asked: bool) -> None:
    seen: list[Any] = []
    over = server.gate()

    def look(task: Any) -> None:
        coroutine = task.get_coro()
        seen.append(inspect.getcoroutinestate(coroutine))
        names = inspect.getcoroutinelocals(coroutine)
        assert "local" in names or server.task == "task"
        assert coroutine.cr_frame is not None and coroutine.cr_code.co_name
        assert coroutine.cr_await is not None and not coroutine.cr_running and coroutine.cr_origin is None
        assert coroutine.__qualname__ and repr(task)
        assert task.get_stack()
        file = io.StringIO()
        task.print_stack(file=file)
        assert "test_inspection.py" in file.getvalue() or "calling.py" in file.getvalue()
        over.open()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        local = "seen from outside"
        task: Any = asyncio.current_task()
        if asked:
            task.add_done_callback(lambda _: None)  # makes it a real one within its first step
            assert inspect.getcoroutinestate(task.get_coro()) == inspect.CORO_RUNNING
        asyncio.get_running_loop().call_later(0.01, look, task)
        await over.passed()
        assert inspect.getcoroutinestate(task.get_coro()) == inspect.CORO_RUNNING
        seen.append(task)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": local.encode()})

    server.use(app)
    assert server.get().body == b"seen from outside"
    server.idle()
    assert seen[0] == inspect.CORO_SUSPENDED

    async def closed() -> str:
        await asyncio.wait([seen[1]])
        return inspect.getcoroutinestate(seen[1].get_coro())

    assert server.run(closed()) == inspect.CORO_CLOSED
    seen.clear()


PATCHED = """
    import asyncio, asyncio.tasks, asyncio.futures
    # As nest_asyncio does it.
    asyncio.Task = asyncio.tasks._CTask = asyncio.tasks.Task = asyncio.tasks._PyTask
    asyncio.Future = asyncio.futures._CFuture = asyncio.futures.Future = asyncio.futures._PyFuture
    if hasattr(asyncio.tasks, "_py_current_task"):
        for name in ("current_task", "_enter_task", "_leave_task", "_swap_current_task", "_register_task"):
            if hasattr(asyncio.tasks, "_py_" + name.removeprefix("_")):
                setattr(asyncio.tasks, name, getattr(asyncio.tasks, "_py_" + name.removeprefix("_")))
        asyncio.current_task = asyncio.tasks.current_task
    import http.client, threading, pronghorn

    async def app(scope, receive, send):
        async with asyncio.timeout(10):
            assert asyncio.current_task() is not None
            await receive()
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})

    def ask(port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/")
        return connection.getresponse().read()

    async def main():
        config = pronghorn.Config(app, port=0, lifespan="off", loop="asyncio", log_config=None)
        async with pronghorn.Server(config) as server:
            assert server.connections.task_mode != "lazy", server.connections.task_mode
            for _ in range(3):
                assert await asyncio.to_thread(ask, server.port) == b"fine"

    asyncio.run(main())
    print("served")
"""


def test_tasks_written_in_python() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PATCHED)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0 and done.stdout == "served\n", done.stdout + done.stderr
