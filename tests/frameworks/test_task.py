"""The call's task, kept as asyncio promises it, whichever way it is made.

An application may look at its task before it has ever waited, and it may never wait at all; it must not be able to
tell whether the server made a task for it at once, late, or by hand.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from probes import reply
from serving import Server, modes

MODES = modes("lazy", "eager", "task")
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def test_mode_is_the_one_asked_for(server: Server) -> None:
    """The tests of a mode run in that mode, not in one the server fell back to."""
    assert server.server.connections.task_mode == server.task


class TestCurrentTask:
    def test_is_a_task(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            task = asyncio.current_task()
            assert isinstance(task, asyncio.Task)
            assert isinstance(task, asyncio.Future)
            assert asyncio.isfuture(task)
            assert task.get_loop() is asyncio.get_running_loop()
            assert not task.done() and not task.cancelled()
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"

    def test_same_before_and_after_a_pause(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            before = asyncio.current_task()
            assert before is asyncio.current_task()
            name = before.get_name()
            await asyncio.sleep(0)
            assert asyncio.current_task() is before
            await asyncio.sleep(0.001)
            assert asyncio.current_task() is before
            assert before.get_name() == name
            assert before in asyncio.all_tasks()
            await reply(send, "ok")

        server.use(app)
        for _ in range(3):
            assert server.get().body == b"ok"

    def test_another_for_each_request(self, server: Server) -> None:
        """While two requests run they have two tasks, with two names."""
        gate = server.gate()
        tasks: list[asyncio.Task[Any]] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            tasks.append(asyncio.current_task())
            await gate.passed()
            await reply(send, "ok")

        server.use(app)
        with server.raw() as one, server.raw() as two:
            one.send(GET)
            two.send(GET)
            server.until(lambda: len(tasks) == 2, "both calls begin")
            assert tasks[0] is not tasks[1]
            assert tasks[0].get_name() != tasks[1].get_name()
            gate.open()
            assert one.response().body == two.response().body == b"ok"

    @pytest.mark.parametrize("kept", ["task", "weak", "callback"])
    def test_object_in_use_is_not_used_again(self, server: Server, kept: str) -> None:
        """Calls that never wait, one after another: what one has hung on its task is not found on the next."""
        keep: list[Any] = []
        data: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            task = asyncio.current_task()
            if kept == "task":
                assert task not in keep
                keep.append(task)
            elif kept == "weak":
                assert task not in data
                data[task] = 1
            else:
                task.add_done_callback(lambda task: keep.append(scope["path"]))
            await reply(send, "ok")

        server.use(app)
        with server.raw() as peer:
            peer.send(b"".join(GET.replace(b"/ ", b"/%d " % number, 1) for number in range(5)))
            for _ in range(5):
                assert peer.response().body == b"ok"
        server.settle()
        if kept == "callback":
            server.until(lambda: len(keep) == 5, "every callback is called")
            assert keep == [f"/{number}" for number in range(5)]

    def test_name(self, server: Server) -> None:
        """A name given before the first pause stays."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            task = asyncio.current_task()
            assert isinstance(task.get_name(), str) and task.get_name()
            task.set_name("mine")
            assert task.get_name() == "mine"
            await asyncio.sleep(0)
            assert task.get_name() == asyncio.current_task().get_name() == "mine"
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"

    def test_name_does_not_stay_for_the_next(self, server: Server) -> None:
        seen: list[str] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            seen.append(asyncio.current_task().get_name())
            asyncio.current_task().set_name("mine")
            await reply(send, "ok")

        server.use(app)
        with server.raw() as peer:
            peer.send(GET * 5)
            for _ in range(5):
                peer.response()
        assert "mine" not in seen

    def test_representation(self, server: Server) -> None:
        """repr(), hash(), weak references and sets take it, before and after a pause."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            task = asyncio.current_task()
            known = {task: 1}
            reference = weakref.ref(task)
            assert "Task" in repr(task) or "task" in repr(task)
            str(task.get_coro())
            task.get_stack()
            await asyncio.sleep(0)
            assert known[asyncio.current_task()] == 1
            assert reference() is task
            assert "pending" in repr(task)
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"

    def test_weak_key_dictionary(self, server: Server) -> None:
        """Libraries hang data on tasks; it is gone when the task is."""
        data: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            assert asyncio.current_task() not in data
            data[asyncio.current_task()] = "data"
            if scope["path"] == "/pause":
                await asyncio.sleep(0)
            assert data[asyncio.current_task()] == "data"
            await reply(send, "ok")

        server.use(app)
        for target in ("/", "/pause", "/", "/pause"):
            assert server.get(target).body == b"ok"
        server.idle()
        gc.collect()
        assert len(data) <= 1

    @pytest.mark.parametrize("pause", [False, True])
    def test_done_callback(self, server: Server, pause: bool) -> None:
        """A callback added at once is called when the call is over."""
        called = server.gate()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            asyncio.current_task().add_done_callback(lambda task: called.open())
            if pause:
                await asyncio.sleep(0)
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"
        called.wait()

    def test_is_done_afterwards(self, server: Server) -> None:
        tasks: list[asyncio.Task[Any]] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            tasks.append(asyncio.current_task())
            await asyncio.sleep(0)
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"
        server.idle()
        server.until(lambda: tasks[0].done(), "the task is done")
        assert not tasks[0].cancelled() and tasks[0].exception() is None

    def test_none_outside_of_calls(self, server: Server) -> None:
        """Between two requests, and in callbacks, no task is the current one."""
        found: list[Any] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await reply(send, "ok")
            asyncio.get_running_loop().call_soon(lambda: found.append(asyncio.current_task()))

        server.use(app)
        assert server.get().body == b"ok"
        server.until(lambda: len(found) == 1, "the callback runs")
        assert found == [None]

    def test_child_has_its_own(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            parent = asyncio.current_task()

            async def child() -> bool:
                return asyncio.current_task() is not parent

            first = asyncio.create_task(child())
            assert asyncio.current_task() is parent
            assert await first and await asyncio.create_task(child())
            assert asyncio.current_task() is parent
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"

    def test_only_our_own_are_left(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if scope["path"] == "/pause":
                await asyncio.sleep(0)
            await reply(send, "ok")

        async def count() -> int:
            return len(asyncio.all_tasks())

        server.use(app)
        before = server.run(count())
        for number in range(50):
            assert server.get("/pause" if number % 2 else "/").body == b"ok"
        server.idle()
        assert server.run(count()) <= before


class TestCancellation:
    def test_itself_before_a_pause(self, server: Server) -> None:
        """cancel() before the first await: that await raises."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            assert asyncio.current_task().cancel("because") is True
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError as error:
                assert error.args == ("because",)
                asyncio.current_task().uncancel()
                await reply(send, "cancelled")

        server.use(app)
        assert server.get().body == b"cancelled"

    def test_counts(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            task = asyncio.current_task()
            assert task.cancelling() == 0
            task.cancel()
            task.cancel()
            assert task.cancelling() == 2
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(1)
            assert (task.uncancel(), task.uncancel()) == (1, 0)
            await reply(send, "ok")

        server.use(app)
        assert server.get().body == b"ok"

    def test_from_outside(self, server: Server) -> None:
        """Another task cancels the call while it waits."""
        tasks: list[asyncio.Task[Any]] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            tasks.append(asyncio.current_task())
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                await reply(send, "cancelled")
                raise

        server.use(app)
        with server.raw() as peer:
            peer.send(GET)
            server.until(lambda: len(tasks) == 1, "the call begins")
            server.loop.call_soon_threadsafe(tasks[0].cancel)
            assert peer.response().body == b"cancelled"
        log = server.take_log()
        assert len(log) <= 1

    def test_while_it_receives(self, server: Server) -> None:
        tasks: list[asyncio.Task[Any]] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            tasks.append(asyncio.current_task())
            assert (await receive())["body"] == b"a"
            with pytest.raises(asyncio.CancelledError):
                await receive()
            asyncio.current_task().uncancel()
            await reply(send, (await receive())["body"].decode())

        server.use(app)
        with server.raw() as peer:
            peer.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na")
            server.until(lambda: len(tasks) == 1, "the call begins")
            server.settle()
            server.loop.call_soon_threadsafe(tasks[0].cancel)
            server.settle()
            peer.send(b"b")
            assert peer.response().body == b"b"

    def test_next_call_is_untouched(self, server: Server) -> None:
        """A cancellation that never took effect does not hit the next request on the connection."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if scope["path"] == "/cancel":
                await reply(send, "ok")
                asyncio.current_task().cancel()
            else:
                assert asyncio.current_task().cancelling() == 0
                await asyncio.sleep(0)
                await reply(send, "ok")

        server.use(app)
        with server.raw() as peer:
            peer.send(GET.replace(b"/ ", b"/cancel ", 1) + GET + GET.replace(b"/ ", b"/cancel ", 1) + GET)
            for _ in range(4):
                assert peer.response().body == b"ok"
        assert len(server.take_log()) <= 2
