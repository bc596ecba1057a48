"""pronghorn.server: one server in one event loop."""

import asyncio
import contextvars
import logging
import signal
import socket
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import pronghorn
from pronghorn import Config, Server, StartupError, banner
from pronghorn.running import run_until_stopped
from pronghorn.server import HANDLED_SIGNALS

Startup = Callable[..., Coroutine[Any, Any, None]]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine in each of the loops; nothing of it may be left."""
    factory = pytest.importorskip(request.param).new_event_loop

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        async def main() -> Any:
            result = await work
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return result

        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main())

    return run


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("pronghorn").propagate = True
    caplog.set_level(logging.DEBUG, "pronghorn.error")


async def hello(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


def config(app: Any = hello, **settings: Any) -> Config:
    given = {"port": 0, "log_config": None, "access_log": False, "timeout_graceful_shutdown": 1} | settings
    return Config(app, **given)


async def ask(port: int | None) -> bytes:
    """The whole answer to one request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


def refused(port: int | None) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port or 0)) != 0


def test_async_with_serves_inside_its_block(run: Any) -> None:
    async def main() -> None:
        server = Server(config())
        assert server.port is None
        async with server as same:
            assert same is server
            assert server.started
            port = server.port
            assert (await ask(port)).endswith(b"\r\n\r\nhello")
        assert refused(port)
        assert server.should_exit

    run(main())


def test_async_with_stops_also_when_its_block_fails(run: Any) -> None:
    async def main() -> None:
        with pytest.raises(LookupError):
            async with Server(config()) as server:
                port = server.port
                raise LookupError
        assert refused(port)

    run(main())


def test_async_with_raises_what_kept_it_from_starting(run: Any) -> None:
    async def main() -> None:
        with pytest.raises(StartupError, match=r"^Error loading ASGI app\. no attribute"):
            async with Server(config("json:nothing")):
                raise AssertionError("served")

    run(main())


def test_async_with_leaves_signals_alone(run: Any) -> None:
    async def main() -> None:
        before = [signal.getsignal(number) for number in HANDLED_SIGNALS]
        async with Server(config()):
            assert [signal.getsignal(number) for number in HANDLED_SIGNALS] == before

    run(main())


def test_serve_ends_when_it_should_exit(run: Any) -> None:
    async def main() -> None:
        server = Server(config())
        serving = asyncio.ensure_future(server.serve())
        await until(lambda: server.started)
        assert (await ask(server.port)).endswith(b"hello")
        server.should_exit = True
        async with asyncio.timeout(5):
            await serving

    run(main())


def test_should_exit_may_be_set_by_another_thread(run: Any) -> None:
    async def main() -> None:
        server = Server(config())
        serving = asyncio.ensure_future(server.serve())
        await until(lambda: server.started)
        thread = threading.Thread(target=setattr, args=(server, "should_exit", True))
        thread.start()
        async with asyncio.timeout(5):
            await serving
        thread.join()

    run(main())


def test_should_exit_set_beforehand_stops_at_once(run: Any) -> None:
    async def main() -> None:
        server = Server(config())
        server.should_exit = True
        async with asyncio.timeout(5):
            await server.serve()
        assert not server.started
        assert server.failure is None

    run(main())


def test_setting_should_exit_after_the_loop_has_gone_does_no_harm() -> None:
    async def main(server: Server) -> None:
        async with server:
            pass

    server = Server(config())
    asyncio.run(main(server))
    server.should_exit = True


def test_serve_that_is_cancelled_stops_gracefully(run: Any) -> None:
    async def main() -> None:
        server = Server(config())
        serving = asyncio.ensure_future(server.serve())
        await until(lambda: server.started)
        port = server.port
        serving.cancel()
        async with asyncio.timeout(5):
            await asyncio.wait({serving})
        assert serving.cancelled()
        assert refused(port)

    run(main())


def test_serve_raises_its_signals_again(run: Any) -> None:
    async def main() -> None:
        server = Server(config())
        serving = asyncio.ensure_future(server.serve())
        await until(lambda: server.started)
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            await serving

    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        run(main())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    server = Server(config())
    server_ended = threading.Event()

    def work() -> None:
        server.run()
        server_ended.set()

    before = [signal.getsignal(number) for number in HANDLED_SIGNALS]
    thread = threading.Thread(target=work)
    started = threading.Event()
    server.startup = signalling(server.startup, started)  # type: ignore[method-assign]
    thread.start()
    assert started.wait(10)
    assert [signal.getsignal(number) for number in HANDLED_SIGNALS] == before
    server.should_exit = True
    assert server_ended.wait(10)
    thread.join()


def signalling(startup: Startup, event: threading.Event) -> Startup:
    """What embedders do: wrap a step of the server's life."""

    async def wrapped(sockets: Any = None) -> None:
        await startup(sockets)
        event.set()

    return wrapped


def test_handle_exit_may_be_replaced(run: Any) -> None:
    class Mine(Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            seen.append(sig)
            super().handle_exit(sig, frame)

    async def main() -> None:
        server = Mine(config())
        server._raise_signals_again = False
        serving = asyncio.ensure_future(server.serve())
        await until(lambda: server.started)
        signal.raise_signal(signal.SIGINT)
        async with asyncio.timeout(5):
            await serving
        assert server.should_exit and not server.force_exit

    seen: list[int] = []
    run(main())
    assert seen == [signal.SIGINT]


def test_a_second_interrupt_forces_the_exit_a_second_termination_does_not() -> None:
    server = Server(config())
    server.config.load()
    server.handle_exit(signal.SIGTERM, None)
    server.handle_exit(signal.SIGTERM, None)
    assert (server.should_exit, server.force_exit) == (True, False)
    server.handle_exit(signal.SIGINT, None)
    assert server.force_exit


def test_a_signal_while_the_application_is_imported_ends_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "interrupted.py").write_text(
        "import signal\nsignal.raise_signal(signal.SIGTERM)\nreached = app = print\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    server = Server(config("interrupted:app"))
    server.run()
    assert (server.should_exit, server.started, server.config.loaded, server.failure) == (True, False, False, None)


def test_a_signal_before_that_keeps_the_application_from_being_imported() -> None:
    def loop() -> asyncio.AbstractEventLoop:
        signal.raise_signal(signal.SIGINT)
        return asyncio.new_event_loop()

    server = Server(config("nowhere:app", loop=loop))
    server.run()
    assert (server.should_exit, server.started, server.failure) == (True, False, None)


def test_handle_exit_called_before_the_start_asks_for_the_exit() -> None:
    server = Server(config())
    server.handle_exit(signal.SIGTERM, None)
    assert server.should_exit


def test_requests_start_from_the_context_of_the_lifespan(run: Any) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            variable.set("of the lifespan")
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = variable.get().encode()
        variable.set("of a request")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def main() -> None:
        async with Server(config(app)) as server:
            for _ in range(2):
                assert b"of the lifespan" in await ask(server.port)

    run(main())


def test_the_state_of_the_lifespan_is_copied_into_each_request(run: Any) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["greeting"] = "from the start"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = str(scope["state"]).encode()
        scope["state"]["mine"] = 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def main() -> None:
        async with Server(config(app)) as server:
            for _ in range(2):
                assert b"{'greeting': 'from the start'}" in await ask(server.port)

    run(main())


def test_sockets_may_be_given(run: Any) -> None:
    async def main() -> None:
        first, second = config().bind_socket(), config().bind_socket()
        ports = [sock.getsockname()[1] for sock in (first, second)]
        server = Server(config())
        serving = asyncio.ensure_future(server.serve(sockets=[first, second]))
        await until(lambda: server.started)
        assert len(server.servers) == 2
        for port in ports:
            assert (await ask(port)).endswith(b"hello")
        server.should_exit = True
        await serving
        assert first.fileno() == second.fileno() == -1

    run(main())


def test_a_unix_socket_is_removed_in_the_end(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "s"

    async def main() -> None:
        async with Server(config(uds=str(path))) as server:
            assert server.port is None
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).endswith(b"hello")
            writer.close()
            await writer.wait_closed()
        assert not path.exists()

    run(main())


def test_a_port_in_use_is_found_before_the_application_starts(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        raise AssertionError("called")

    async def main() -> None:
        async with Server(config()) as first:
            second = Server(config(app, port=first.port))
            await second.serve()
            assert not second.started
            assert "address already in use" in str(second.failure)

    run(main())
    assert [record.levelno for record in caplog.records].count(logging.ERROR) == 1


def test_an_address_taken_between_bind_and_listen_is_one_line_and_ends_the_lifespan(run: Any) -> None:
    ended: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        # Both may bind, as SO_REUSEADDR is set, while nobody listens.
        rival.bind(("127.0.0.1", port))
        rival.listen()
        await send({"type": "lifespan.startup.complete"})
        ended.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})

    async def main() -> None:
        server = Server(config(app, port=port))
        await server.serve()
        assert str(server.failure) == f"cannot listen on http://127.0.0.1:{port}: address already in use"

    with socket.socket() as finder:
        finder.bind(("127.0.0.1", 0))
        port = finder.getsockname()[1]
    with socket.socket() as rival:
        rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        run(main())
    assert ended == ["lifespan.shutdown"]


def test_connections_in_the_backlog_are_answered_at_the_stop(run: Any) -> None:
    async def main() -> None:
        server = Server(config())
        await server._start(None)
        # All within one turn of the loop, so that nobody has accepted them yet when the stop begins.
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server.should_exit = True
        await server.shutdown()
        for client in clients:
            answer = client.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200 OK") and answer.endswith(b"hello"), answer
            client.close()

    run(main())


def test_the_limit_of_requests_stops_the_server(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        server = Server(config(limit_max_requests=2))
        serving = asyncio.ensure_future(server.serve())
        await until(lambda: server.started)
        port = server.port
        await ask(port)
        assert not server.should_exit
        await ask(port)
        async with asyncio.timeout(5):
            await serving

    run(main())
    assert "Maximum request limit of 2 exceeded. Terminating process." in caplog.messages


def test_the_lines_that_tools_look_for(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> int | None:
        async with Server(config()) as server:
            return server.port

    port = run(main())
    lines = [record.getMessage() for record in caplog.records if record.name == "pronghorn.error"]
    assert lines[0].startswith("Started server process [")
    assert lines[1:] == [
        "Waiting for application startup.",
        "ASGI 'lifespan' protocol appears unsupported.",
        "Application startup complete.",
        banner.text(config()),
        f"Pronghorn running on http://127.0.0.1:{port} (Press CTRL+C to quit)",
        "Shutting down",
    ]


def test_run_exits_with_3_when_it_could_not_start() -> None:
    with pytest.raises(SystemExit) as exit:
        pronghorn.run("json:nothing", log_config=None, port=0)
    assert exit.value.code == 3


def test_run_raises_for_a_wrong_setting() -> None:
    with pytest.raises(pronghorn.ConfigError, match=r"^port: "):
        pronghorn.run(hello, port=-1)


def test_run_returns_after_a_signal() -> None:
    class Stopping(Server):
        async def main_loop(self) -> None:
            signal.raise_signal(signal.SIGTERM)
            await super().main_loop()

    server = Stopping(config())
    run_until_stopped(server)
    assert server.started
