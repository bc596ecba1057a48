"""pronghorn.server: what programs written for uvicorn override, patch and read."""

import asyncio
import contextlib
import contextvars
import logging
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import pronghorn
from pronghorn import Config, Server
from pronghorn.running import run_until_stopped


async def hello(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


def config(app: Any = hello, **settings: Any) -> Config:
    return Config(app, **{"port": 0, "log_config": None, "timeout_graceful_shutdown": 1} | settings)


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    factory = pytest.importorskip(request.param).new_event_loop

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(asyncio.wait_for(work, 20))

    return run


@contextlib.asynccontextmanager
async def serving(server: Server) -> Any:
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not task.done()
            await asyncio.sleep(0.01)
        yield server
    finally:
        server.should_exit = True
        await task


def address(server: Server) -> tuple[str, int]:
    """Where it listens, as programs for uvicorn find out."""
    return server.servers[0].sockets[0].getsockname()  # type: ignore[no-any-return]


async def ask(server: Server, target: str = "/") -> bytes:
    reader, writer = await asyncio.open_connection(*address(server))
    writer.write(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def test_the_sockets_of_its_servers_are_the_bound_ones(run: Any) -> None:
    async def main() -> None:
        async with serving(Server(config())) as server:
            assert address(server) == ("127.0.0.1", server.port)
            assert server.servers[0].is_serving()
            assert (await ask(server)).endswith(b"hello")
        assert server.servers == []

    run(main())


def test_every_socket_has_its_server(run: Any) -> None:
    async def main() -> None:
        sockets = [config().bind_socket() for _ in range(2)]
        names = [sock.getsockname() for sock in sockets]
        server = Server(config())
        task = asyncio.create_task(server.serve(sockets=sockets))
        while not server.started:
            await asyncio.sleep(0.01)
        assert [sock.getsockname() for one in server.servers for sock in one.sockets] == names
        server.should_exit = True
        await task

    run(main())


def test_a_server_of_its_own_may_be_closed_early(run: Any) -> None:
    async def main() -> None:
        async with serving(Server(config())) as server:
            where = address(server)
            server.servers[0].close()
            await server.servers[0].wait_closed()
            assert not server.servers[0].is_serving() and server.servers[0].sockets == ()
            with socket.socket() as probe:
                assert probe.connect_ex(where) != 0

    run(main())


def test_in_a_thread_as_tests_do() -> None:
    class Threaded(Server):
        def install_signal_handlers(self) -> None:  # of uvicorn before 0.29
            raise AssertionError("called")

        @contextlib.contextmanager
        def run_in_thread(self) -> Iterator[None]:
            thread = threading.Thread(target=self.run)
            thread.start()
            try:
                while not self.started:
                    assert thread.is_alive()
                    time.sleep(0.001)
                yield
            finally:
                self.should_exit = True
                thread.join(10)
                assert not thread.is_alive()

    server = Threaded(config())
    with server.run_in_thread(), socket.create_connection(address(server), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = b""
        while part := client.recv(65536):
            data += part
    assert data.endswith(b"hello")


def test_several_servers_in_one_process(run: Any) -> None:
    async def main() -> None:
        async with serving(Server(config())) as one, serving(Server(config())) as two:
            assert address(one) != address(two)
            for server in (one, two):
                assert (await ask(server)).endswith(b"hello")

    run(main())


def test_the_steps_of_its_life_may_be_overridden(run: Any) -> None:
    class Mine(Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            assert self.config.loaded
            done.append("startup")
            await super().startup(sockets=sockets)

        async def main_loop(self) -> None:
            done.append("main_loop")
            await super().main_loop()

        async def on_tick(self, counter: int) -> bool:
            ticks.append(counter)
            return await super().on_tick(counter)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            done.append("shutdown")
            await super().shutdown(sockets=sockets)

    async def main() -> None:
        async with serving(Mine(config())):
            while len(ticks) < 3:
                await asyncio.sleep(0.01)

    done: list[str] = []
    ticks: list[int] = []
    run(main())
    assert done == ["startup", "main_loop", "shutdown"]
    assert ticks[:3] == [0, 1, 2]


def test_a_tick_may_end_it(run: Any) -> None:
    class Mine(Server):
        async def on_tick(self, counter: int) -> bool:
            return counter == 2

    async def main() -> None:
        server = Mine(config())
        await server.serve()
        assert server.started and not server.should_exit

    run(main())


def test_a_main_loop_of_ones_own(run: Any) -> None:
    class Mine(Server):
        async def main_loop(self) -> None:
            assert self.started
            while not self.should_exit:
                await asyncio.sleep(0.01)

    async def main() -> None:
        async with serving(Mine(config())) as server:
            assert (await ask(server)).endswith(b"hello")

    run(main())


def test_its_steps_may_be_taken_one_by_one(run: Any) -> None:
    async def main() -> None:
        server = Server(config())
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup()
        assert server.started
        assert (await ask(server)).endswith(b"hello")
        server.should_exit = True
        await server.main_loop()
        await server.shutdown()

    run(main())


def test_a_start_up_that_fails_asks_for_the_exit(run: Any) -> None:
    class Mine(Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets=sockets)
            after.append((self.started, self.should_exit))

    async def failing(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "not today"})

    after: list[tuple[bool, bool]] = []
    server = Mine(config(failing))
    run(server.serve())
    assert after == [(False, True)]
    assert server.failure is not None


def test_it_is_notified_regularly(run: Any) -> None:
    calls: list[float] = []

    async def notify() -> None:
        calls.append(time.time())

    async def main() -> None:
        async with serving(Server(config(callback_notify=notify, timeout_notify=0.2))) as server:
            while len(calls) < 3:
                await asyncio.sleep(0.01)
            assert 0 < server.last_notified <= calls[-1]

    run(main())


def test_the_state_of_the_server(run: Any) -> None:
    seen: dict[str, Any] = {}
    inside = asyncio.Event()
    leave = asyncio.Event()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/wait":
            inside.set()
            await leave.wait()
        seen["tasks"] = (len(server.server_state.tasks), asyncio.current_task() in server.server_state.tasks)
        seen["connections"] = (len(server.server_state.connections), len(list(server.server_state.connections)))
        await hello(scope, receive, send)

    server = Server(config(app, lifespan="off", headers=[("X-A", "b")]))
    state = server.server_state

    async def main() -> None:
        assert (state.total_requests, len(state.tasks), len(state.connections)) == (0, 0, 0)
        async with serving(server):
            await ask(server)
            assert seen == {"tasks": (1, True), "connections": (1, 1)}
            waiting = asyncio.create_task(ask(server, "/wait"))
            await inside.wait()
            assert (len(state.tasks), len(state.connections), state.total_requests) == (1, 1, 1)
            (task,) = state.tasks
            assert not task.done() and task in state.tasks and state.tasks <= {task}
            leave.set()
            assert (await waiting).endswith(b"hello")
            while state.connections:
                await asyncio.sleep(0.01)
            assert not state.tasks
        assert state.total_requests == 2
        names = [name for name, _ in state.default_headers]
        assert names == [b"date", b"server", b"x-a"]

    run(main())


def test_a_task_of_the_state_may_be_cancelled(run: Any) -> None:
    inside = asyncio.Event()
    ended: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        inside.set()
        try:
            await receive()
            await receive()
        except asyncio.CancelledError:
            ended.append("cancelled")
            await hello(scope, receive, send)

    async def main() -> None:
        async with serving(Server(config(app, lifespan="off"))) as server:
            asking = asyncio.create_task(ask(server))
            await inside.wait()
            for task in server.server_state.tasks:
                task.cancel()
            assert (await asking).endswith(b"hello")

    run(main())
    assert ended == ["cancelled"]


def test_the_limit_of_requests_with_its_jitter() -> None:
    limits = {Server(config(limit_max_requests=10, limit_max_requests_jitter=5)).limit_max_requests for _ in range(500)}
    assert limits == {10, 11, 12, 13, 14, 15}
    assert Server(config(limit_max_requests_jitter=5)).limit_max_requests is None


def test_the_limit_of_requests_may_be_changed_before_the_start(run: Any) -> None:
    async def main() -> None:
        server = Server(config(limit_max_requests=1000))
        server.limit_max_requests = 1
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        await ask(server)
        await task

    run(main())


@pytest.mark.parametrize("when", ["before", "after"])
def test_handle_exit_may_be_patched_in_the_class(run: Any, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As sse-starlette does, when the application imports it: with a function that calls the original."""
    original = Server.handle_exit
    seen: list[int] = []

    def patched(*args: Any, **kwargs: Any) -> None:
        seen.append(args[1])
        original(*args, **kwargs)

    async def main() -> None:
        server = Server(config())
        server._raise_signals_again = False
        if when == "before":
            monkeypatch.setattr(Server, "handle_exit", patched)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        monkeypatch.setattr(Server, "handle_exit", patched)
        assert getattr(signal.getsignal(signal.SIGTERM), "__self__", None) is server
        signal.raise_signal(signal.SIGTERM)
        await task
        assert server.should_exit

    run(main())
    assert seen == [signal.SIGTERM]


def test_handle_exit_may_be_patched_in_the_instance(run: Any) -> None:
    seen: list[int] = []

    async def main() -> None:
        async with serving(Server(config())) as server:
            server.handle_exit = lambda sig, frame: seen.append(sig)
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(0)
            assert not server.should_exit

    run(main())
    assert seen == [signal.SIGINT]


def test_capture_signals_may_be_overridden() -> None:
    class Mine(Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            entered.append(signal.getsignal(signal.SIGTERM))
            yield

        async def main_loop(self) -> None:
            entered.append(signal.getsignal(signal.SIGTERM))

    entered: list[Any] = []
    run_until_stopped(Mine(config()))
    assert entered[0] == entered[1]


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.mark.parametrize(("reset", "expected"), [(True, b"unset"), (False, b"lifespan")])
@pytest.mark.parametrize("task", ["lazy", "task"])
def test_reset_contextvars(run: Any, reset: bool, expected: bytes, task: str) -> None:
    """Pipelined requests: none sees what another one set, nor, with a reset, what was set before the server ran."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            variable.set("lifespan")
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        before = variable.get().encode()
        variable.set("request")
        await asyncio.sleep(0)
        assert variable.get() == "request"
        headers = [(b"content-length", b"%d" % len(before))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": before})

    async def main() -> None:
        variable.set("outside")
        async with serving(Server(config(app, reset_contextvars=reset, task=task))) as server:
            reader, writer = await asyncio.open_connection(*address(server))
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
        bodies = [part.split(b"HTTP/1.1")[0] for part in answer.split(b"\r\n\r\n")[1:]]
        assert bodies == [expected] * 4

    run(main())


def test_a_configuration_can_be_pickled() -> None:
    made = Config("hello:app", port=0, headers=[("a", "b")], log_level="error")
    made.loaded, made.loaded_app = True, lambda: None  # cannot be pickled, and would be loaded again anyway
    copy = pickle.loads(pickle.dumps(made))
    assert (copy.app, copy.port, copy.encoded_headers, copy.loaded) == ("hello:app", 0, [(b"a", b"b")], False)
    assert made.loaded


def test_what_is_gone_says_what_to_use() -> None:
    with pytest.raises(AttributeError, match="get_loop_factory"):
        config().setup_event_loop()


def test_what_the_configuration_is_asked() -> None:
    made = config()
    assert made.lifespan_class.__name__ == "Lifespan"
    assert made.http_protocol_class.__name__ == "Connection"
    assert made.ws_protocol_class is not None and config(ws="none").ws_protocol_class is None
    assert made.interface == "auto"
    made.load()
    assert made.interface == "asgi3"


@pytest.mark.parametrize("setting", [{"reload": True}, {"workers": 2}], ids=str)
def test_reload_and_workers_need_the_application_by_name(
    setting: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("pronghorn").propagate = True
    caplog.set_level(logging.WARNING, "pronghorn.error")
    with pytest.raises(SystemExit) as exit:
        pronghorn.run(hello, log_config=None, port=0, **setting)
    assert exit.value.code == 3
    assert caplog.messages[-1:] == ["reload and workers need the application by name, as in 'main:app'."]


def test_a_start_up_by_hand_whose_loading_is_interrupted_binds_nothing(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "interrupting.py").write_text("import signal\nsignal.raise_signal(signal.SIGTERM)\napp = print\n")
    monkeypatch.syspath_prepend(tmp_path)

    async def main() -> None:
        server = Server(config("interrupting:app"))
        server._raise_signals_again = False
        with server.capture_signals():
            await server.startup()
        assert (server.started, server.should_exit, server.port) == (False, True, None)
        await server.shutdown()

    run(main())


def test_a_stop_during_a_stop(run: Any) -> None:
    """Each returns when all is over, and the application is told once."""
    told: list[str] = []
    called = asyncio.Event()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                told.append((await receive())["type"])
                await send({"type": f"lifespan.{kind}.complete"})
            return
        called.set()
        await asyncio.sleep(0.2)
        await hello(scope, receive, send)

    async def main() -> None:
        server = Server(config(app, timeout_graceful_shutdown=15))
        await server._start(None)
        reader, writer = await asyncio.open_connection(*address(server))
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await called.wait()
        await asyncio.gather(server.shutdown(), server.shutdown())
        assert told == ["lifespan.startup", "lifespan.shutdown"]
        assert (await reader.read()).endswith(b"hello")
        await server.shutdown()
        writer.close()
        await writer.wait_closed()

    run(main())
    assert told == ["lifespan.startup", "lifespan.shutdown"]


class Named(Server):
    def __init__(self, config: Config, name: str) -> None:
        super().__init__(config)
        self.name = name


def test_a_server_can_be_pickled() -> None:
    """With what a subclass has added, for programs that run it in another process by multiprocessing."""
    server = Named(Config("hello:app", log_config=None, port=1234), "first")
    server.should_exit = True
    again = pickle.loads(pickle.dumps(server.run)).__self__
    assert type(again) is Named and again.name == "first"
    assert again.config.port == 1234
    assert not again.should_exit


def test_a_connection_that_has_gone_may_be_called(run: Any) -> None:
    """As a transport does, by a program that has kept it: nothing happens."""

    async def main() -> None:
        async with serving(Server(config())) as server:
            reader, writer = await asyncio.open_connection(*address(server))
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readuntil(b"hello")
            (connection,) = server.server_state.connections
            writer.close()
            await writer.wait_closed()
            while server.server_state.connections:
                await asyncio.sleep(0.01)
            connection.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            connection.eof_received()
            connection.pause_writing()
            connection.resume_writing()
            connection.resume_now()
            connection.connection_lost(None)

    run(main())
