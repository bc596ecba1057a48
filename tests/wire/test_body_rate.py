"""The rate of a request body counts over its whole time, and a pause is for the limit of a gap alone (B03)."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from peer import Peer, Response
from probes import Recorder, head
from serving import LOOPS, serve

RATE = 1000
GRACE = 1.0
LONG = 6.0  # seconds: beyond the grace and some looks at the clock, below the limit of a gap
SETTINGS = {"timeout_request_body": 30.0, "body_rate_minimum": RATE, "body_rate_grace": GRACE}


def pause(peer: Peer) -> Response:
    """Almost nothing, then a long pause, then all the rest."""
    peer.send(head("Content-Length: 9000") + b"x")
    if not select.select([peer.socket], [], [], LONG)[0]:
        peer.send(b"x" * 8999)
    return peer.response()


def pause_late(peer: Peer) -> Response:
    """Fast, then a long pause before the last byte."""
    peer.send(head("Content-Length: 200000") + bytes(199_999))
    if not select.select([peer.socket], [], [], LONG)[0]:
        peer.send(b"x")
    return peer.response()


def barely_fast(peer: Peer) -> Response:
    """A little above the least rate, counted from the beginning: in pieces, so that some looks at the clock find less."""
    total = int(1.04 * RATE * LONG)
    peer.send(head(f"Content-Length: {total}"))
    began, sent = time.monotonic(), 0
    while sent < total:
        due = min(total, int(1.04 * RATE * (time.monotonic() - began)))
        peer.send(b"x" * (due - sent))
        sent = due
        if select.select([peer.socket], [], [], 0.8)[0]:
            break
    return peer.response()


def too_slow(peer: Peer) -> Response:
    """Fast for a moment, then a byte now and then: what it had in the beginning carries it for so long."""
    peer.send(head("Content-Length: 100000") + bytes(1000))
    began = time.monotonic()
    while time.monotonic() - began < 30 and not select.select([peer.socket], [], [], 0.2)[0]:
        peer.offer(b"x")
    assert time.monotonic() - began > GRACE
    return peer.response()


SCENARIOS: dict[Callable[[Peer], Response], int] = {pause: 200, pause_late: 200, barely_fast: 200, too_slow: 408}


@pytest.fixture(scope="module", params=LOOPS)
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[str, Response | Exception]]:
    """All scenarios against one server, at once."""
    found: dict[str, Response | Exception] = {}

    def run(scenario: Callable[[Peer], Response], port: int) -> None:
        try:
            with Peer(("127.0.0.1", port), 60.0) as peer:
                found[scenario.__name__] = scenario(peer)
        except Exception as error:
            found[scenario.__name__] = error

    with serve(Recorder(), loop=request.param, **SETTINGS) as server:
        threads = [threading.Thread(target=run, args=(scenario, server.port)) for scenario in SCENARIOS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert "408" in server.line()
        yield found


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_body(outcomes: dict[str, Response | Exception], scenario: Callable[[Peer], Response]) -> None:
    outcome = outcomes[scenario.__name__]
    assert isinstance(outcome, Response), outcome
    assert outcome.status == SCENARIOS[scenario]
