"""pronghorn.stopping: the order of a graceful stop, against connections that obey at a chosen step."""

import asyncio
import logging
import socket

import pytest

from pronghorn import stopping
from pronghorn.accepting import Accepting
from pronghorn.listeners import Listener
from pronghorn.stopping import close_connections, empty_backlog

STEPS = ["drain", "disconnect", "cancel", "abort"]


class Obedient:
    """Connections that are closed once a given step has been taken, and that note the steps."""

    def __init__(self, obeys: str | None, open: int = 1, active: int = 1) -> None:
        self.obeys = obeys
        self.open, self.active = open, active
        self.steps: list[str] = []
        self.messages: list[str] = []
        self.over = asyncio.Event()

    def step(self, name: str) -> None:
        self.steps.append(name)
        if name == self.obeys:
            self.over.set()

    def drain(self, prompt: bool) -> None:
        self.step("drain promptly" if prompt else "drain")

    def disconnect(self, endless: bool = False) -> None:
        self.step("disconnect streams" if endless else "disconnect")

    def cancel(self, message: str, endless: bool = False) -> int:
        self.messages.append(message)
        self.step("cancel streams" if endless else "cancel")
        return self.active

    def cancel_abandoned(self, message: str) -> int:
        if self.obeys == "cancel abandoned":
            self.messages.append(message)
            self.step("cancel abandoned")
        return self.active

    def abort(self) -> None:
        self.step("abort")

    async def wait_closed(self) -> None:
        await self.over.wait()


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("pronghorn").propagate = True
    caplog.set_level(logging.DEBUG, "pronghorn.error")


def close(connections: Obedient, limit: float | None, *, forced: bool = False, prompt: bool = False) -> list[str]:
    async def main() -> list[str]:
        force = asyncio.Event()
        if forced:
            force.set()
        await close_connections(connections, limit, force, prompt)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return connections.steps

    return asyncio.run(main())


@pytest.mark.parametrize("step", STEPS)
def test_goes_only_as_far_as_it_must(step: str) -> None:
    assert close(Obedient(step), 0.25) == STEPS[: STEPS.index(step) + 1]


def test_ends_even_when_nothing_helps(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(stopping, "LEFT_BEHIND_AFTER", 0.01)
    assert close(Obedient(None), 0.25) == STEPS
    assert "left behind" in caplog.messages[-1]


@pytest.mark.parametrize("limit", [None, 3600])
def test_waits_as_long_as_the_limit_says(limit: float | None) -> None:
    # An hour, or for ever: it is over when the connections are, and no earlier step was needed.
    assert close(Obedient("drain"), limit) == ["drain"]


@pytest.mark.parametrize("limit", [None, 3600])
def test_force_cuts_the_waiting_short(limit: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    connections = Obedient("cancel")
    assert close(connections, limit, forced=True) == ["drain", "disconnect", "cancel"]
    assert connections.messages == ["Task cancelled, the stop was cut short"]


@pytest.mark.parametrize("limit", [None, 3600])
def test_streams_are_told_soon_after_a_ctrl_c(limit: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "PROMPT", 0.01)
    assert close(Obedient("disconnect streams"), limit, prompt=True) == ["drain promptly", "disconnect streams"]


@pytest.mark.parametrize("limit", [None, 3600])
def test_streams_that_go_on_after_a_ctrl_c_are_cancelled(limit: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "PROMPT", 0.01)
    monkeypatch.setattr(stopping, "LAST_PART", 0.02)
    connections = Obedient("cancel streams")
    assert close(connections, limit, prompt=True) == ["drain promptly", "disconnect streams", "cancel streams"]
    assert connections.messages == ["Task cancelled, the server stops, and the stream has no end"]


@pytest.mark.parametrize("limit", [None, 3600])
def test_calls_whose_client_has_gone_are_cancelled_first(limit: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "ABANDONED", 0.01)
    connections = Obedient("cancel abandoned")
    assert close(connections, limit) == ["drain", "cancel abandoned"]
    assert connections.messages == ["Task cancelled, the server stops, and the client has gone"]


def test_a_limit_of_nothing_disconnects_and_cancels_at_once() -> None:
    assert close(Obedient("cancel"), 0) == ["drain promptly", "disconnect", "cancel"]


def test_says_what_it_waits_for(caplog: pytest.LogCaptureFixture) -> None:
    close(Obedient("drain", open=1, active=1), 1)
    close(Obedient("drain", open=0, active=1), 1)
    close(Obedient("drain", open=0, active=0), 1)
    assert caplog.messages == [
        "Waiting for connections to close. (CTRL+C to force quit)",
        "Waiting for background tasks to complete. (CTRL+C to force quit)",
    ]


def test_says_how_many_it_cancels(caplog: pytest.LogCaptureFixture) -> None:
    close(Obedient("cancel", active=3), 0)
    assert "Cancel 3 running task(s), timeout graceful shutdown exceeded" in caplog.messages


def test_cancels_nothing_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    """A connection may be all that is left: a client that does not answer the close of a WebSocket."""
    assert close(Obedient("abort", open=1, active=0), 0.25) == STEPS
    assert caplog.messages == ["Waiting for connections to close. (CTRL+C to force quit)"]


def listening() -> Listener:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    sock.setblocking(False)
    return Listener(sock, "test")


def test_the_backlog_is_accepted_before_the_end() -> None:
    async def main() -> None:
        listener = listening()
        loop = asyncio.get_running_loop()
        clients = [socket.create_connection(listener.socket.getsockname()) for _ in range(5)]
        accepted: list[socket.socket] = []
        loop.add_reader(listener.socket, lambda: accepted.append(listener.socket.accept()[0]))
        await empty_backlog([listener], asyncio.Event())
        assert len(accepted) == 5
        loop.remove_reader(listener.socket)
        for sock in [*clients, *accepted]:
            sock.close()
        listener.close()

    asyncio.run(main())


@pytest.mark.parametrize("why", ["limit", "force"])
def test_a_backlog_that_nobody_empties_is_left(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "BACKLOG_LIMIT", 0.05 if why == "limit" else 3600)

    async def main() -> None:
        listener = listening()
        force = asyncio.Event()
        if why == "force":
            asyncio.get_running_loop().call_soon(force.set)
        with socket.create_connection(listener.socket.getsockname()):
            await empty_backlog([listener], force)
            assert listener.has_waiting()
        listener.close()

    asyncio.run(main())


@pytest.mark.parametrize("turn", range(3 * stopping.QUIET_TURNS))
def test_a_connection_in_any_turn_of_the_end_is_ours_or_the_next_ones(turn: int) -> None:
    """asyncio's server drops what it has accepted and not begun to serve; somebody else may have the same socket."""

    async def main() -> None:
        listener, loop = listening(), asyncio.get_running_loop()
        other = listener.socket.dup()
        made: list[asyncio.BaseTransport] = []

        class Protocol(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                made.append(transport)

        accepting = Accepting(listener.socket, await loop.create_server(Protocol, sock=listener.socket))
        client = socket.socket()

        def count(turns: int) -> None:
            if turns:
                loop.call_soon(count, turns - 1)
            else:
                client.connect(other.getsockname())

        loop.call_soon(count, turn)
        await empty_backlog([listener], asyncio.Event(), [accepting])
        accepting.close()
        for _ in range(4 * stopping.QUIET_TURNS):
            await asyncio.sleep(0)
        if not made:
            left, _ = other.accept()
            left.close()
        for transport in made:
            transport.close()
        await asyncio.sleep(0)
        client.close()
        other.close()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main())
