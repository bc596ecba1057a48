"""Every time-out, on short settings (B01-B04). The scenarios of a server run at the same time, one thread each."""

from __future__ import annotations

import asyncio
import select
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from peer import Peer
from probes import FIRST, head
from serving import LOOPS, Server, serve

from pronghorn.errors import ClientDisconnected

LIMIT = 1.0  # every time-out here
TURN = 0.5  # between two looks at the clocks
SETTINGS = {
    "timeout_first_byte": LIMIT,
    "timeout_request_head": LIMIT,
    "timeout_request_body": LIMIT,
    "timeout_write_stall": LIMIT,
    "timeout_keep_alive": LIMIT,
    "timeout_linger": LIMIT,
    "body_rate_minimum": 1000,
    "body_rate_grace": LIMIT,
}


@dataclass
class Outcome:
    """What the client saw, and what the application did."""

    status: int | None = None
    how: str | None = None  # fin, reset, or None while it was open
    after: float = 0.0
    closes: bool | None = None
    body: bytes = b""
    answers: int = 0
    told: list[str] = field(default_factory=list)


def wait(peer: Peer, seconds: float) -> bool:
    """Let time pass on this connection; True when the server did something meanwhile."""
    return bool(select.select([peer.socket], [], [], seconds)[0])


def end(outcome: Outcome, peer: Peer, began: float, within: float = 5.0) -> Outcome:
    """Read what comes until the connection ends, and note how long after `began` it did."""
    data, outcome.how = peer.drain(within)
    outcome.after = time.monotonic() - began
    outcome.body = data
    if data.startswith(b"HTTP/1.1 "):
        outcome.status = int(data[9:12])
        outcome.closes = b"\r\nconnection: close\r\n" in data
    return outcome


def silent(peer: Peer, outcome: Outcome) -> None:
    end(outcome, peer, time.monotonic())


def half_head(peer: Peer, outcome: Outcome) -> None:
    peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
    end(outcome, peer, time.monotonic())


def late_half_head(peer: Peer, outcome: Outcome) -> None:
    """The head's time begins with its first byte."""
    wait(peer, 0.6 * LIMIT)
    half_head(peer, outcome)


def trickled_head(peer: Peer, outcome: Outcome) -> None:
    """A byte every tenth of a second: the limit is for the whole, not for each byte."""
    began = time.monotonic()
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100:
        if not peer.offer(bytes([byte])) or wait(peer, 0.1):
            break
    end(outcome, peer, began)


def trickled_second_head(peer: Peer, outcome: Outcome) -> None:
    peer.send(FIRST)
    outcome.answers = peer.response().status == 200
    trickled_head(peer, outcome)


def empty_lines(peer: Peer, outcome: Outcome) -> None:
    """Empty lines before a request are no reason to wait for it longer."""
    began = time.monotonic()
    for _ in range(40):
        if not peer.offer(b"\r\n") or wait(peer, 0.1):
            break
    end(outcome, peer, began)


def idle(peer: Peer, outcome: Outcome) -> None:
    peer.send(FIRST)
    outcome.answers = peer.response().status == 200
    end(outcome, peer, time.monotonic())


def kept_busy(peer: Peer, outcome: Outcome) -> None:
    """A request now and then keeps the connection open, far beyond the limit for an idle one."""
    for _ in range(6):
        peer.send(FIRST)
        outcome.answers += peer.response().status == 200
        if wait(peer, 0.6 * LIMIT):
            break
    else:
        peer.send(FIRST)
        outcome.answers += peer.response().status == 200


def slow_call(peer: Peer, outcome: Outcome) -> None:
    """The application takes its time; no time-out of the client's is running."""
    peer.send(head(method="GET", target="/slow"))
    outcome.status = peer.response().status


def body_gap(peer: Peer, outcome: Outcome) -> None:
    peer.send(head("Content-Length: 10", target="/read") + b"x")
    end(outcome, peer, time.monotonic())


def chunk_gap(peer: Peer, outcome: Outcome) -> None:
    peer.send(head("Transfer-Encoding: chunked", target="/read") + b"5\r\nab")
    end(outcome, peer, time.monotonic())


def never_continued(peer: Peer, outcome: Outcome) -> None:
    peer.send(head("Content-Length: 10", "Expect: 100-continue", target="/read"))
    assert peer.head().status == 100
    end(outcome, peer, time.monotonic())


def body_gap_in_the_answer(peer: Peer, outcome: Outcome) -> None:
    """The response has begun, so no 408 can be said: the connection is cut."""
    peer.send(head("Content-Length: 10", target="/begin-read") + b"x")
    end(outcome, peer, time.monotonic())


def body_gap_nobody_listens(peer: Peer, outcome: Outcome) -> None:
    """The application is not even waiting for the body; the client is late all the same."""
    peer.send(head("Content-Length: 10", target="/slow-read") + b"x")
    end(outcome, peer, time.monotonic())


def trickled_body(peer: Peer, outcome: Outcome) -> None:
    """Never a gap, but only a fifth of the least rate."""
    began = time.monotonic()
    peer.send(head("Content-Length: 100000", target="/read"))
    while time.monotonic() - began < 10:
        if not peer.offer(b"x" * 40) or wait(peer, 0.2):
            break
    end(outcome, peer, began)


def steady_body(peer: Peer, outcome: Outcome) -> None:
    """Three times the least rate, for longer than any limit."""
    peer.send(head("Content-Length: 9000", target="/read"))
    for _ in range(15):
        peer.send(b"x" * 600)
        if wait(peer, 0.2):
            break
    outcome.body = peer.response().body


def unread_body(peer: Peer, outcome: Outcome) -> None:
    """The application reads late: the server's own pause is not the client's fault."""
    total = 30_000_000
    peer.send(head(f"Content-Length: {total}", target="/slow-read"))
    for sent in range(0, total, 1_000_000):
        peer.socket.settimeout(10.0)
        peer.send(bytes(min(1_000_000, total - sent)))
    outcome.body = peer.response().body


def early_answer(peer: Peer, outcome: Outcome) -> None:
    """Answered without its body, which then never comes: the connection does not wait for it for ever."""
    peer.send(head("Content-Length: 1000", target="/"))
    outcome.answers = peer.response().status == 200
    end(outcome, peer, time.monotonic())


def stalled_reader(peer: Peer, outcome: Outcome) -> None:
    """The client reads nothing of a large answer."""
    peer.send(head(method="GET", target="/flood"))
    began = time.monotonic()
    while "raised" not in outcome.told and time.monotonic() - began < 8:
        threading.Event().wait(0.05)
    outcome.after = time.monotonic() - began
    _, outcome.how = peer.drain()


def slow_reader(peer: Peer, outcome: Outcome) -> None:
    """The client reads now and then: that is progress."""
    peer.send(head(method="GET", target="/large"))
    began = time.monotonic()
    peer.head()
    left = 40_000_000
    while left:
        piece = peer.exactly(min(4_000_000, left))
        left -= len(piece)
        threading.Event().wait(0.3)
    outcome.after = time.monotonic() - began
    outcome.answers = left == 0


SCENARIOS = [
    silent,
    half_head,
    late_half_head,
    trickled_head,
    trickled_second_head,
    empty_lines,
    idle,
    kept_busy,
    slow_call,
    body_gap,
    chunk_gap,
    never_continued,
    body_gap_in_the_answer,
    body_gap_nobody_listens,
    trickled_body,
    steady_body,
    unread_body,
    early_answer,
    stalled_reader,
    slow_reader,
]


class App:
    """Does what the path says; `told` is where it notes what it was told, by its client's port."""

    def __init__(self) -> None:
        self.told: dict[int, list[str]] = {}

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        told = self.told.setdefault(scope["client"][1], [])
        path = scope["path"]
        if path.startswith("/slow"):
            await asyncio.sleep(2.5 * LIMIT)
        if path.startswith("/begin"):
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
        size = 0
        if path.endswith("read"):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    told.append("disconnect")
                    return
                size += len(message["body"])
                more = message["more_body"]
        if path == "/flood":
            try:
                await send({"type": "http.response.start", "status": 200})
                for _ in range(1000):
                    await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
            except ClientDisconnected:
                told.append("raised")
                raise
        if path == "/large":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"40000000")]})
            for number in range(400):
                await send({"type": "http.response.body", "body": bytes(100_000), "more_body": number < 399})
            return
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"%d" % size})


@pytest.fixture(scope="module", params=LOOPS)
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[str, Outcome]]:
    """All scenarios against one server, at once."""
    app = App()
    found: dict[str, Outcome] = {}
    errors: list[str] = []

    def run(scenario: Any, server: Server) -> None:
        outcome = found[scenario.__name__] = Outcome()
        with server.raw(timeout=10.0) as peer:
            outcome.told = app.told.setdefault(peer.socket.getsockname()[1], [])
            try:
                scenario(peer, outcome)
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
        found["log"] = Outcome(told=[record.getMessage() for record in log if record.exc_info])
        found["errors"] = Outcome(told=errors)
        yield found


def in_time(outcome: Outcome, turns: float = 2.0) -> bool:
    """Not before the limit, and within so many turns after it."""
    return LIMIT - 0.05 <= outcome.after <= LIMIT + turns * TURN


def test_scenarios_ran(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["errors"].told == []


def test_no_traceback(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["log"].told == []


@pytest.mark.parametrize("name", ["silent", "idle"])
def test_closed_without_a_status(outcomes: dict[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert (outcome.body, outcome.how) == (b"", "fin")
    assert in_time(outcome), outcome.after


@pytest.mark.parametrize("name", ["half_head", "late_half_head", "trickled_head", "trickled_second_head"])
def test_head(outcomes: dict[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert (outcome.status, outcome.closes, outcome.how) == (408, True, "fin")
    assert in_time(outcome, 3), outcome.after


def test_empty_lines(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["empty_lines"]
    assert outcome.status in (None, 400, 408)
    assert outcome.after <= LIMIT + 4 * TURN


def test_busy_connection_stays(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["kept_busy"].answers == 7


def test_slow_application(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["slow_call"].status == 200


@pytest.mark.parametrize("name", ["body_gap", "chunk_gap", "never_continued"])
def test_body_gap(outcomes: dict[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert (outcome.status, outcome.closes, outcome.how) == (408, True, "fin")
    assert outcome.told == ["disconnect"]
    assert in_time(outcome, 3), outcome.after


def test_body_gap_nobody_listens(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["body_gap_nobody_listens"]
    assert (outcome.status, outcome.closes) == (408, True)
    assert outcome.told == ["disconnect"]


def test_body_gap_in_the_answer(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["body_gap_in_the_answer"]
    assert outcome.status == 200 and outcome.told == ["disconnect"]
    assert not outcome.body.endswith(b"0\r\n\r\n")
    assert in_time(outcome, 3), outcome.after


def test_body_rate(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["trickled_body"]
    assert (outcome.status, outcome.told) == (408, ["disconnect"])
    assert LIMIT <= outcome.after <= 3 * LIMIT + 2 * TURN


def test_body_rate_kept(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["steady_body"].body == b"9000"


def test_pause_of_the_server_does_not_count(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["unread_body"].body == b"30000000"


def test_early_answer(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["early_answer"]
    assert outcome.answers == 1
    assert outcome.how is not None and outcome.after <= LIMIT + 4 * TURN


def test_stalled_reader(outcomes: dict[str, Outcome]) -> None:
    """The connection is reset and send() raises, so that the application ends too."""
    outcome = outcomes["stalled_reader"]
    assert (outcome.told, outcome.how) == (["raised"], "reset")
    assert in_time(outcome, 4), outcome.after


def test_slow_reader(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["slow_reader"].answers == 1
    assert outcomes["slow_reader"].after > 2 * LIMIT


@pytest.mark.parametrize("loop", LOOPS)
def test_switched_off(loop: str) -> None:
    """None: a silent, a half and an idle connection are all still open after three turns of the clock."""
    off = dict.fromkeys(SETTINGS, None) | {"body_rate_grace": 5}
    with serve(loop=loop, **off) as server:

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"ok"})

        server.use(app)
        with server.raw() as silent_peer, server.raw() as half, server.raw() as idle_peer:
            half.send(FIRST[:-2])
            idle_peer.send(FIRST)
            assert idle_peer.response().status == 200
            sockets = [silent_peer.socket, half.socket, idle_peer.socket]
            assert select.select(sockets, [], [], 3 * TURN)[0] == []
            half.send(FIRST[-2:])
            silent_peer.send(FIRST)
            idle_peer.send(FIRST)
            for peer in (silent_peer, half, idle_peer):
                assert peer.response().status == 200
