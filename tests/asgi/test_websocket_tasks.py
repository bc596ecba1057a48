"""Sessions in tasks, task groups, time-outs and contexts of all kinds."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest
from frames import close, connect, text
from serving import Server, modes
from sessions import begin, each, received

from pronghorn.errors import ClientDisconnected

MODES = modes("lazy", "eager", "task")
VALUE: contextvars.ContextVar[int] = contextvars.ContextVar("value", default=0)


def said(message: str) -> dict[str, Any]:
    return {"type": "websocket.send", "text": message}


def test_same_task_across_messages(server: Server) -> None:
    """current_task() is one object from the first step to the last, and so is the context."""
    tasks: list[Any] = []
    values: list[int] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        tasks.append(asyncio.current_task())
        await begin(receive, send)
        while True:
            tasks.append(asyncio.current_task())
            values.append(VALUE.get())
            VALUE.set(len(values))
            if (await receive())["type"] != "websocket.receive":
                return
            await send(said("ok"))

    server.use(app)
    with connect(server) as client:
        for number in range(10):
            client.send(text(str(number)) * (1 + number % 3))
            for _ in range(1 + number % 3):
                assert client.message() == "ok"
        client.leave()
    server.idle()
    assert len(tasks) > 10 and all(task is tasks[0] and task is not None for task in tasks)
    assert values == list(range(len(values)))


def test_contexts_are_apart(server: Server) -> None:
    """Two sessions at once do not see each other's variables, in whatever order their messages come."""

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            VALUE.set(VALUE.get() + int(message["text"]))
            await send(said(str(VALUE.get())))

    server.use(each(use))
    with connect(server) as one, connect(server) as other:
        for number in range(1, 6):
            one.send(text("1"))
            other.send(text("10"))
            assert (one.message(), other.message()) == (str(number), str(number * 10))
        one.leave()
        other.leave()


def test_receive_as_a_task(server: Server) -> None:
    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        while True:
            message = await asyncio.create_task(receive())
            if message["type"] != "websocket.receive":
                return
            await asyncio.create_task(send(said(message["text"])))

    server.use(each(use))
    with connect(server) as client:
        for number in range(5):
            client.send(text(str(number)))
            assert client.message() == str(number)
        client.send(text("a") + text("b") + text("c"))
        assert [client.message() for _ in range(3)] == ["a", "b", "c"]
        client.leave()


@pytest.mark.parametrize("way", ["wait_for", "timeout", "cancel"])
def test_receive_that_is_given_up(server: Server, way: str) -> None:
    """It loses nothing: the message comes to the next receive()."""
    given_up = server.gate()

    async def give_up(receive: Any) -> None:
        if way == "wait_for":
            await asyncio.wait_for(receive(), 0.01)
        elif way == "timeout":
            async with asyncio.timeout(0.01):
                await receive()
        else:
            task = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                raise TimeoutError from None

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await give_up(receive)
        given_up.open()
        for message in ("one", "two"):
            assert await receive() == received(message)
        await send(said("got both"))
        assert (await receive())["code"] == 3000

    server.use(each(use))
    with connect(server) as client:
        given_up.wait()
        client.send(text("one") + text("two"))
        assert client.message() == "got both"
        client.leave(3000)


def test_message_that_comes_as_it_is_given_up(server: Server) -> None:
    """Again and again with the shortest of times: every message is received once, in order."""
    count = 100
    seen: list[str] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        while True:
            try:
                message = await asyncio.wait_for(receive(), 0.0005)
            except TimeoutError:
                continue
            if message["type"] != "websocket.receive":
                return
            seen.append(message["text"])

    server.use(each(use))
    with connect(server) as client:
        for number in range(count):
            client.send(text(str(number)))
            if number % 3 == 0:
                server.settle()
        client.leave()
        server.idle()
    assert seen == [str(number) for number in range(count)]


def test_two_receivers(server: Server) -> None:
    """Each message comes to one of them; the end to one, and the error to the other."""
    seen: list[str] = []
    ends: list[Any] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def take() -> None:
            while (message := await receive())["type"] == "websocket.receive":
                seen.append(message["text"])
            ends.append(message["code"])

        ends.extend(type(one) for one in await asyncio.gather(take(), take(), return_exceptions=True) if one is not None)

    server.use(each(use))
    with connect(server) as client:
        for number in range(20):
            client.send(text(str(number)))
        client.leave()
        server.idle()
    assert sorted(seen, key=int) == [str(number) for number in range(20)]
    assert ends == [1000, ClientDisconnected]


def test_reader_and_writer(server: Server) -> None:
    """Two tasks, one for each direction, in a task group: the usual shape of a chat."""

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        queue: asyncio.Queue[str | None] = asyncio.Queue()

        async def reader() -> None:
            while (message := await receive())["type"] == "websocket.receive":
                await queue.put(message["text"])
            await queue.put(None)

        async def writer() -> None:
            while (item := await queue.get()) is not None:
                await send(said(item.upper()))

        async with asyncio.TaskGroup() as group:
            group.create_task(reader())
            group.create_task(writer())

    server.use(each(use))
    with connect(server) as client:
        for word in ("one", "two", "three"):
            client.send(text(word))
            assert client.message() == word.upper()
        client.leave()


@pytest.mark.parametrize("loses", ["client", "application"])
def test_race_of_messages_and_the_end(server: Server, loses: str) -> None:
    """A task that sends, and receive() for the end: what Starlette's users do."""
    go = server.gate()

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def ticks() -> None:
            while True:
                await send(said("tick"))
                await asyncio.sleep(0.001)

        task = asyncio.create_task(ticks())
        listener = asyncio.create_task(receive())
        waiter = asyncio.create_task(go.passed())
        done, _ = await asyncio.wait({task, listener, waiter}, return_when=asyncio.FIRST_COMPLETED)
        for one in (task, listener, waiter):
            one.cancel()
        results = await asyncio.gather(task, listener, waiter, return_exceptions=True)
        assert all(not isinstance(one, AssertionError) for one in results)
        if loses == "client":
            assert waiter not in done

    server.use(each(use))
    client = connect(server)
    assert client.message() == "tick"
    if loses == "client":
        client.send(close(3000))
        client.drain()
    else:
        go.open()
        while client.frame().opcode != 8:
            pass
    client.close()
    server.idle(1.0)


def test_anyio(server: Server) -> None:
    """Task groups and cancel scopes of anyio around receive() and send()."""
    anyio = pytest.importorskip("anyio", reason="anyio is not installed")
    given_up = server.gate()

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        with anyio.move_on_after(0.005) as moved:
            await receive()
        assert moved.cancelled_caught
        given_up.open()
        async with anyio.create_task_group() as group:
            streams = anyio.create_memory_object_stream(10)

            async def reader() -> None:
                async with streams[0]:
                    while (message := await receive())["type"] == "websocket.receive":
                        await streams[0].send(message["text"])
                group.cancel_scope.cancel()

            async def writer() -> None:
                async with streams[1]:
                    async for item in streams[1]:
                        await send(said(item))

            group.start_soon(reader)
            group.start_soon(writer)
            group.start_soon(anyio.sleep_forever)

    server.use(each(use))
    with connect(server) as client:
        given_up.wait()
        for number in range(10):
            client.send(text(str(number)))
            assert client.message() == str(number)
        client.leave()


def test_broadcast(server: Server) -> None:
    """One session's message goes out on all of them."""
    everybody: list[Any] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        everybody.append(send)
        while (message := await receive())["type"] == "websocket.receive":
            for other in everybody:
                await other(said(message["text"]))
        everybody.remove(send)

    server.use(each(use))
    clients = [connect(server) for _ in range(50)]
    try:
        server.until(lambda: len(everybody) == 50, "all are there")
        for number, client in enumerate(clients[:5]):
            client.send(text(str(number)))
            for other in clients:
                assert other.message() == str(number)
        for client in clients:
            client.leave()
    finally:
        for client in clients:
            client.close()


def test_send_from_another_session_after_the_end(server: Server) -> None:
    """One that has ended: ClientDisconnected for whoever sends there, and nothing for anybody else."""
    others: list[Any] = []
    raised: list[type[BaseException]] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/first":
            others.append(send)
            await receive()
            return
        await receive()
        try:
            await others[0](said("x"))
        except OSError as error:
            raised.append(type(error))
        await send(said("done"))

    server.use(each(use))
    with connect(server, target="/second") as second:
        with connect(server, target="/first") as first:
            first.leave()
        server.until(lambda: server.active == 1, "the first has ended")
        second.send(text("?"))
        assert second.message() == "done"
        assert second.closed() == (1000, "")
    assert raised == [ClientDisconnected]


def test_task_that_outlives_the_call(server: Server) -> None:
    """A receive() and a send() that go on when the application has returned: told like anybody else, never for ever."""
    ends: list[Any] = []
    tasks: list[asyncio.Task[Any]] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def listen() -> None:
            try:
                ends.append((await receive())["type"])
            except OSError as error:
                ends.append(type(error))

        tasks.append(asyncio.create_task(listen()))
        await asyncio.sleep(0)

    server.use(each(use))
    with connect(server) as client:
        assert client.closed() == (1000, "")
        client.send(close())
        assert client.ended(1.5) == "fin"
    server.until(lambda: len(ends) == 1, "the task is told")
    assert ends == ["websocket.disconnect"]
    tasks.clear()


@pytest.mark.parametrize("size", [1, 20_000])
def test_order_of_senders(server: Server, size: int) -> None:
    """A callback of the loop, another task and the application itself, all in one turn: in the order of the calls."""
    sent: list[str] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        def one(name: str) -> Any:
            message = name * size if name == "t" else name
            sent.append(message)
            return send(said(message))

        async def task() -> None:
            await one("t")

        for _ in range(20):
            server.loop.call_soon(one, "c")
            other = asyncio.create_task(task())
            server.loop.call_soon(one, "d")
            await asyncio.sleep(0)
            await one("a")
            await other
        await one("end")

    server.use(each(use))
    with connect(server) as client:
        got = [client.message()]
        while got[-1] != "end":
            got.append(client.message())
        assert client.closed() == (1000, "")
    assert got == sent and len(got) == 81
