"""Every time-out of a WebSocket, on short settings (E02, E06, E10). The scenarios of a server run at the same time."""

from __future__ import annotations

import asyncio
import select
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from frames import CLOSE, CONTINUATION, PING, Client, Frame, binary, close, frame, parse, pong, switched, text, upgrade
from serving import Server, serve
from sessions import ACCEPT

from pronghorn.errors import ClientDisconnected

LIMIT = 1.0  # every time-out here but one
SILENCE = 2 * LIMIT  # after a ping; longer, so that the stall of a client that reads nothing comes first
TURN = 0.5  # between two looks at the clocks
SETTINGS: dict[str, Any] = {
    "ws_handshake_timeout": LIMIT,
    "ws_close_timeout": LIMIT,
    "ws_message_timeout": LIMIT,
    "ws_ping_interval": LIMIT,
    "ws_ping_timeout": SILENCE,
    "timeout_write_stall": LIMIT,
    "timeout_linger": LIMIT,
    "timeout_keep_alive": LIMIT,
    "timeout_first_byte": LIMIT,
}


@dataclass
class Outcome:
    """What the client saw, and what the application was told."""

    head: int | None = None
    frames: list[Frame] = field(default_factory=list)
    how: str | None = None  # fin, reset, or None while it was open
    after: float = 0.0
    told: list[Any] = field(default_factory=list)

    @property
    def codes(self) -> list[int | None]:
        return [one.code for one in self.frames if one.opcode == CLOSE]

    @property
    def pings(self) -> int:
        return len([one for one in self.frames if one.opcode == PING])


def wait(client: Client, seconds: float) -> bool:
    """Let time pass on this connection; True when the server did something meanwhile."""
    return bool(select.select([client.socket], [], [], seconds)[0])


def end(outcome: Outcome, client: Client, began: float) -> None:
    data, outcome.how = client.drain(6.0)
    outcome.after = time.monotonic() - began
    outcome.frames += parse(data) if outcome.head == 101 else []


def begin(outcome: Outcome, client: Client, target: str) -> float:
    client.send(upgrade(target=target))
    outcome.head = switched(client.head()).status
    return time.monotonic()


def answers(outcome: Outcome, client: Client, seconds: float) -> None:
    """Answer every ping for so long."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and wait(client, left):
        outcome.frames.append(got := client.frame())
        if got.opcode == PING:
            client.send(pong(got.payload))
        if got.opcode == CLOSE:
            return


def never_accepted(client: Client, outcome: Outcome) -> None:
    began = time.monotonic()
    client.send(upgrade(target="/never"))
    response = client.response()
    outcome.head = response.status
    assert response.closes
    end(outcome, client, began)
    outcome.after = time.monotonic() - began


def denied_slowly(client: Client, outcome: Outcome) -> None:
    """The denial has begun in time: that is an answer."""
    client.send(upgrade(target="/slow-denial"))
    response = client.response()
    outcome.head = response.status
    assert response.body == b"ab"


def silent(client: Client, outcome: Outcome) -> None:
    """Nothing is heard after a ping: the connection has vanished, as far as the server can tell."""
    end(outcome, client, begin(outcome, client, "/"))


def pongs(client: Client, outcome: Outcome) -> None:
    """A client that answers stays, and is not idle for the limits of HTTP either."""
    begin(outcome, client, "/")
    answers(outcome, client, 4 * LIMIT)
    client.send(close())
    end(outcome, client, time.monotonic())


def other_signs(client: Client, outcome: Outcome) -> None:
    """Anything that comes is a sign of life, not only a pong."""
    began = begin(outcome, client, "/")
    while time.monotonic() - began < 4 * LIMIT:
        client.send(text("x"))
        wait(client, 0.05)
        threading.Event().wait(0.3)
    client.send(close())
    end(outcome, client, began)


def unfinished(client: Client, outcome: Outcome) -> None:
    began = begin(outcome, client, "/")
    client.send(binary(b"x", fin=False))
    answers(outcome, client, 5 * LIMIT)
    end(outcome, client, began)


def unfinished_frame(client: Client, outcome: Outcome) -> None:
    began = begin(outcome, client, "/")
    client.send(binary(b"x" * 100)[:50])
    answers(outcome, client, 5 * LIMIT)
    end(outcome, client, began)


def trickled(client: Client, outcome: Outcome) -> None:
    """Something comes all the time, but the message does not end."""
    began = begin(outcome, client, "/")
    client.send(binary(b"x", fin=False))
    while time.monotonic() - began < 5 * LIMIT and not client.gone():
        if not client.offer(frame(CONTINUATION, b"y", fin=False) + pong()):
            break
        threading.Event().wait(0.1)
    end(outcome, client, began)


def trickled_ping(client: Client, outcome: Outcome) -> None:
    """Something comes all the time, but no frame that says anything."""
    began = begin(outcome, client, "/")
    for byte in frame(PING, b"y" * 100):
        if not client.offer(bytes([byte])) or client.gone():
            break
        threading.Event().wait(0.1)
    end(outcome, client, began)


def many_messages(client: Client, outcome: Outcome) -> None:
    """Each in two fragments with a moment between: the time is that of one message."""
    began = begin(outcome, client, "/")
    while time.monotonic() - began < 3 * LIMIT:
        client.send(binary(b"x", fin=False))
        threading.Event().wait(0.3)
        client.send(frame(CONTINUATION, b"y"))
    client.send(close())
    end(outcome, client, began)


def close_not_answered(client: Client, outcome: Outcome) -> None:
    end(outcome, client, begin(outcome, client, "/close"))


def close_and_data(client: Client, outcome: Outcome) -> None:
    """Data is no answer to a close."""
    began = begin(outcome, client, "/close")
    while time.monotonic() - began < 5 * LIMIT and client.offer(text("x")):
        threading.Event().wait(0.1)
        if client.gone():
            break
    end(outcome, client, began)


def close_answered(client: Client, outcome: Outcome) -> None:
    began = begin(outcome, client, "/close")
    outcome.frames.append(client.frame())
    client.send(close())
    end(outcome, client, began)


def refused_and_stays(client: Client, outcome: Outcome) -> None:
    """A client that does not go after a refusal."""
    began = begin(outcome, client, "/")
    client.send(b"\xff\xff")
    assert client.closed()[0] == 1002
    assert client.ended(1.0) == "fin"
    while time.monotonic() - began < 5 * LIMIT and client.offer(b"x" * 1000):
        threading.Event().wait(0.1)
    outcome.after = time.monotonic() - began


def stalled(client: Client, outcome: Outcome) -> None:
    """The client reads nothing of what is sent."""
    began = begin(outcome, client, "/flood")
    while not outcome.told and time.monotonic() - began < 8:
        threading.Event().wait(0.05)
    outcome.after = time.monotonic() - began
    _, outcome.how = client.drain()


def full(client: Client, outcome: Outcome) -> None:
    """The application takes nothing for long: what the client sent meanwhile may have been a pong, so it is not late."""
    begin(outcome, client, "/sleep")
    client.send(text("x") * 100)
    deadline = time.monotonic() + 8 * LIMIT
    while not (outcome.frames and outcome.frames[-1].opcode == CLOSE) and time.monotonic() < deadline:
        outcome.frames.append(got := client.frame())
        if got.opcode == PING:
            client.send(pong(got.payload))
    client.send(close())
    assert client.ended(2.0) == "fin"


SCENARIOS: list[Callable[[Client, Outcome], None]] = [
    never_accepted, denied_slowly, silent, pongs, other_signs, unfinished, unfinished_frame, trickled, trickled_ping, many_messages,
    close_not_answered, close_and_data, close_answered, refused_and_stays, stalled, full,
]  # fmt: skip


class App:
    """Does what the path says; `told` is where it notes what it was told, by its client's port."""

    def __init__(self) -> None:
        self.told: dict[int, list[Any]] = {}

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        told = self.told.setdefault(scope["client"][1], [])
        path = scope["path"]
        await receive()
        if path == "/never":
            told.append((await receive())["code"])
            try:
                await send(ACCEPT)
            except ClientDisconnected:
                told.append("raised")
            return
        if path == "/slow-denial":
            await send({"type": "websocket.http.response.start", "status": 404})
            await send({"type": "websocket.http.response.body", "body": b"a", "more_body": True})
            await asyncio.sleep(2.2 * LIMIT)
            await send({"type": "websocket.http.response.body", "body": b"b"})
            return
        await send(ACCEPT)
        if path == "/close":
            await send({"type": "websocket.close", "code": 3000})
        if path == "/sleep":
            await asyncio.sleep(5 * LIMIT)
            return
        try:
            while path == "/flood":
                await send({"type": "websocket.send", "bytes": bytes(100_000)})
        except ClientDisconnected:
            told.append("raised")
        count = 0
        while (message := await receive())["type"] == "websocket.receive":
            count += 1
        told.append(message["code"])
        told.append(count)


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[str, Outcome]]:
    """All scenarios against one server, at once."""
    app = App()
    found: dict[str, Outcome] = {}
    errors: list[str] = []

    def run(scenario: Callable[[Client, Outcome], None], server: Server) -> None:
        outcome = found[scenario.__name__] = Outcome()
        with Client(("127.0.0.1", server.port), 8.0) as client:
            outcome.told = app.told.setdefault(client.socket.getsockname()[1], [])
            try:
                scenario(client, outcome)
            except Exception as error:
                errors.append(f"{scenario.__name__}: {error!r}")

    with serve(app, loop=request.param, **SETTINGS) as server:
        threads = [threading.Thread(target=run, args=(scenario, server)) for scenario in SCENARIOS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        server.until(lambda: server.open == 0, "every connection is closed", within=5)
        log = server.take_log()
        found["log"] = Outcome(told=sorted(record.getMessage().partition(" (")[0] for record in log))
        found["errors"] = Outcome(told=errors + [record.getMessage() for record in log if record.exc_info])
        yield found


def in_time(outcome: Outcome, limits: float = 1.0, turns: float = 3.0) -> bool:
    """Not before the limit, and within so many turns after it, as far as a busy machine lets us tell."""
    return limits * LIMIT - 0.05 <= outcome.after <= limits * LIMIT + turns * TURN + 5


def test_scenarios_ran(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["errors"].told == []


def test_log(outcomes: dict[str, Outcome]) -> None:
    """One line for each that the server ended."""
    assert outcomes["log"].told == [
        "WebSocket closed: 1002 invalid frame",
        *["WebSocket closed: 1008 message not finished in time"] * 3,
        *["WebSocket closed: 1011 keepalive ping timeout"] * 2,
        "WebSocket handshake timed out.",
    ]


def test_handshake(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["never_accepted"]
    assert (outcome.head, outcome.how, outcome.told) == (503, "fin", [1006, "raised"])
    assert in_time(outcome), outcome.after


def test_denial_that_has_begun(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["denied_slowly"].head == 404


@pytest.mark.parametrize("name", ["silent", "trickled_ping"])
def test_no_answer_to_a_ping(outcomes: dict[str, Outcome], name: str) -> None:
    """One ping, and no second; then the close, and the application is told the same."""
    outcome = outcomes[name]
    assert (outcome.pings, outcome.codes, outcome.how) == (1, [1011], "fin")
    assert outcome.told == [1011, 0]
    assert in_time(outcome, 3, 5), outcome.after


def test_pongs(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["pongs"]
    assert (outcome.codes, outcome.told) == ([1000], [1000, 0])
    assert 2 <= outcome.pings <= 4


def test_other_signs(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["other_signs"]
    assert outcome.codes == [1000] and outcome.told[0] == 1000
    assert outcome.pings >= 2


@pytest.mark.parametrize("name", ["unfinished", "unfinished_frame", "trickled"])
def test_unfinished_message(outcomes: dict[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert (outcome.codes, outcome.told) == ([1008], [1008, 0])
    assert in_time(outcome, 1, 3), outcome.after


def test_messages_in_time(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["many_messages"]
    assert outcome.codes == [1000] and outcome.told[0] == 1000 and outcome.told[1] >= 5


@pytest.mark.parametrize("name", ["close_not_answered", "close_and_data"])
def test_no_answer_to_a_close(outcomes: dict[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert (outcome.codes, outcome.told) == ([3000], [3000, 0])
    assert outcome.how in ("fin", "reset")
    assert in_time(outcome), outcome.after


def test_close_answered(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["close_answered"]
    assert outcome.codes == [3000] and outcome.how == "fin"
    assert outcome.after < 0.5


def test_refused_client_has_to_go(outcomes: dict[str, Outcome]) -> None:
    assert in_time(outcomes["refused_and_stays"]), outcomes["refused_and_stays"].after


def test_stalled_reader(outcomes: dict[str, Outcome]) -> None:
    """The connection is reset, send() raises, and receive() says 1006. The one ping that was written meanwhile may put it
    off once."""
    outcome = outcomes["stalled"]
    assert outcome.told == ["raised", 1006, 0] and outcome.how == "reset"
    assert LIMIT <= outcome.after <= 2 * LIMIT + 5 * TURN, outcome.after


def test_pause_of_the_server_does_not_count(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["full"].codes == [1000]


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_pings_more_often_than_every_second(loop: str) -> None:
    """Twenty of them take far less than twenty seconds, to which they would come if the interval were rounded."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await receive()

    with serve(app, loop=loop, ws_ping_interval=0.2) as server, Client(("127.0.0.1", server.port), 30.0) as client:
        began = time.monotonic()
        client.open()
        for _ in range(20):
            got = client.frame()
            assert got.opcode == PING
            client.send(pong(got.payload))
        took = time.monotonic() - began
        assert 20 * 0.2 <= took < 15, took
        client.leave()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_switched_off(loop: str) -> None:
    """None: nothing is pinged, and an unfinished message and a silent application are waited for."""
    off = dict.fromkeys(SETTINGS, None)

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        if scope["path"] == "/never":
            await receive()
            return
        await send(ACCEPT)
        assert (await receive())["bytes"] == b"xy"

    with serve(app, loop=loop, **off) as server:
        clients = [Client(("127.0.0.1", server.port)) for _ in range(2)]
        clients[0].open()
        clients[0].send(binary(b"x", fin=False))
        clients[1].send(upgrade(target="/never"))
        assert select.select([client.socket for client in clients], [], [], 3 * TURN)[0] == []
        clients[0].send(frame(CONTINUATION, b"y"))
        assert clients[0].closed() == (1000, "")
        for client in clients:
            client.reset()
