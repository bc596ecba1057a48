"""What asyncio promises to a coroutine, kept for the application, whichever way its task is made.

An application may look at its task before it has ever waited, and it may never wait at all; it must not be able to
tell whether the server made a task for it at once, late, or by hand.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from serving import EAGER, Server, modes, serve

MODES = modes("lazy", "eager", "task")
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def reply(send: Any, body: object) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": str(body).encode()})


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
