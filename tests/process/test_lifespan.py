"""The lifespan protocol as the operator sees it: lines and exit status."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from process.command import Client, Command

if TYPE_CHECKING:
    from process.conftest import Workplace

Start = Callable[..., Command]

PRINTS = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                print("starting")
"""
RAISES = """
async def app(scope, receive, send):
    await receive()
    raise LookupError("no database")
"""
FAILS = """
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
"""
SLOW_END = """
import asyncio
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("ending")
    await asyncio.sleep(3600)
"""
CLEANS_UP = """
import asyncio
async def app(scope, receive, send):
    await receive()
    print("starting")
    try:
        await asyncio.sleep(3600)
    finally:
        print("cleaned up")
"""


def test_an_application_that_never_answers_is_named_and_given_up(place: Workplace) -> None:
    place.write("prints", PRINTS)
    command = place.pronghorn("prints:app", "--timeout-lifespan-startup", "5.5")
    command.wait_for("starting")
    begun = time.monotonic()
    warning = command.wait_for("WARNING:")
    assert 4 < time.monotonic() - begun < 7
    assert "'lifespan.startup.complete'" in warning
    assert command.exit() == 3
    assert command.err[-1] == (
        "ERROR:    The application has not sent 'lifespan.startup.complete' within 5.5 seconds "
        "(timeout_lifespan_startup). Exiting."
    )
    command.clean()


def test_without_lifespan_it_serves_all_the_same(start: Start, place: Workplace) -> None:
    place.write("prints", PRINTS)
    command = start("prints:app", "--lifespan", "off")
    assert command.port
    assert command.stop() == 0
    assert command.out == []


def test_on_and_an_exception_is_a_traceback_and_status_3(start: Start, place: Workplace) -> None:
    place.write("raises", RAISES)
    command = start("raises:app", "--lifespan", "on")
    assert command.exit() == 3
    assert "LookupError: no database" in command.err
    assert command.err[-1] == "ERROR:    Application startup failed. Exiting."


def test_auto_and_an_exception_is_served_all_the_same(start: Start, place: Workplace) -> None:
    place.write("raises", RAISES)
    command = start("raises:app")
    assert command.port
    assert "LookupError: no database" in command.err
    assert command.stop() == 0


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_startup_failed_is_its_message_and_status_3(mode: str, start: Start, place: Workplace) -> None:
    place.write("fails", FAILS)
    command = start("fails:app", "--lifespan", mode)
    assert command.exit() == 3
    assert command.err[-2:] == ["ERROR:    no database", "ERROR:    Application startup failed. Exiting."]
    command.clean()


def test_an_application_for_requests_only_starts_under_auto(start: Start) -> None:
    command = start("hello:app")
    with Client(command.port) as client:
        client.request()
        client.until(b"hello")
    assert command.stop() == 0


def test_a_shutdown_has_its_limit(start: Start, place: Workplace) -> None:
    place.write("slow_end", SLOW_END)
    command = start("slow_end:app", "--timeout-lifespan-shutdown", "0.2")
    assert command.port
    assert command.stop() == 0
    assert "ending" in command.out
    assert command.err[-2].startswith("ERROR:    Application shutdown takes too long")


def test_a_second_interrupt_shortens_a_shutdown(place: Workplace) -> None:
    place.write("slow_end", SLOW_END)
    command = place.pronghorn("slow_end:app")
    assert command.port
    command.send(signal.SIGINT)
    command.wait_for("ending")
    begun = time.monotonic()
    assert command.stop(signal.SIGINT) == 0
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_cancels_it(number: int, start: Start, place: Workplace) -> None:
    place.write("cleans_up", CLEANS_UP)
    command = start("cleans_up:app")
    command.wait_for("starting")
    assert command.stop(number) == 0
    assert command.out == ["starting", "cleaned up"]
    assert not [line for line in command.err if "running on" in line]
    command.clean()
