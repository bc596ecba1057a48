"""A call that waits in receive() has no task of asyncio's yet; whoever looks at its task finds a real one."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import anyio
import pytest
from probes import reply
from serving import Server, modes

MODES = modes("lazy", "eager", "task")
HEAD = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n"


class Waiting:
    """An application: a POST waits for its body, a GET does something to the task of the POST."""

    def __init__(self, act: Any = None) -> None:
        self.act = act
        self.task: Any = None
        self.ended: Any = None
        self.tasks: list[Any] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["method"] == "GET":
            await reply(send, repr(await self.act(self.task)))
            return
        self.task = asyncio.current_task()
        try:
            body = b""
            while True:
                message = await receive()
                self.tasks.append(asyncio.current_task())
                body += message["body"]
                if not message["more_body"]:
                    break
            await reply(send, body.decode())
            self.ended = "replied"
        except asyncio.CancelledError as error:
            self.ended = error.args
            raise


def act(server: Server, app: Waiting, ends: bool = False) -> str:
    """What a GET answers while a POST waits for the last byte of its body."""
    server.use(app)
    with server.raw() as peer:
        peer.send(HEAD + b"ab")
        server.until(lambda: len(app.tasks) == 1, "the body's first part is received")
        answer = server.get().body.decode()
        if not ends:
            peer.send(b"c")
            server.until(lambda: len(app.tasks) == 2, "the next part, too")
            peer.send(b"d")
            assert peer.response().body == b"abcd"
        server.until(lambda: app.ended is not None, "the application has ended")
    assert all(task is app.task for task in app.tasks)
    return answer


def test_nobody_looks(server: Server) -> None:
    async def look(task: Any) -> str:
        return "nothing"

    assert act(server, Waiting(look)) == "'nothing'"


def test_it_is_not_done_and_has_its_coroutine(server: Server) -> None:
    async def look(task: Any) -> Any:
        coroutine = task.get_coro()
        state = inspect.getcoroutinestate(coroutine) if inspect.iscoroutine(coroutine) else inspect.CORO_SUSPENDED
        return task.done(), task.cancelled(), task.cancelling(), state

    assert act(server, Waiting(look)) == "(False, False, 0, 'CORO_SUSPENDED')"


def test_it_has_no_result_yet_and_goes_on_as_a_real_task(server: Server) -> None:
    async def look(task: Any) -> Any:
        with pytest.raises(asyncio.InvalidStateError):
            task.result()
        return task in asyncio.all_tasks()

    assert act(server, Waiting(look)) == "True"


@pytest.mark.parametrize("pauses", [0, 1, 3])
def test_it_can_be_cancelled(server: Server, pauses: int) -> None:
    async def cancel(task: Any) -> Any:
        cancelled = task.cancel("enough")
        for _ in range(pauses):
            await asyncio.sleep(0)
        return cancelled

    app = Waiting(cancel)
    assert act(server, app, ends=True) == "True"
    assert app.ended == ("enough",)
    server.take_log()


def test_it_can_be_waited_for(server: Server) -> None:
    finished = []

    async def watch(task: Any) -> Any:
        task.add_done_callback(finished.append)
        return "watched"

    app = Waiting(watch)
    act(server, app)
    server.until(lambda: bool(finished), "the callback is called")
    assert finished == [app.task]


def test_a_cancel_scope_ends_the_wait(server: Server) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        first = asyncio.current_task()
        with anyio.move_on_after(0.01) as limit:
            await receive()
        assert limit.cancelled_caught and asyncio.current_task() is first
        await reply(send, "moved on")

    server.use(app)
    with server.raw() as peer:
        peer.send(HEAD + b"ab")
        assert peer.response().body == b"moved on"


def test_a_wait_of_another_kind_follows(server: Server) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        tasks = {asyncio.current_task()}
        message = await receive()
        while message["more_body"]:
            tasks.add(asyncio.current_task())
            message = await receive()
            tasks.add(asyncio.current_task())
            await asyncio.sleep(0)
        tasks.add(asyncio.current_task())
        await reply(send, str(len(tasks)))

    server.use(app)
    with server.raw() as peer:
        for piece in (HEAD, b"a", b"b", b"c", b"d"):
            peer.send(piece)
        assert peer.response().body == b"1"
