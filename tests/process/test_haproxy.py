"""HAProxy, configured as in docs/deploy: what it sees of a node's health."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from process.command import PATIENCE
from process.fronts import PROGRAMS, Site
from process.load import alive, until

if TYPE_CHECKING:
    from process.conftest import Workplace

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address"),
    pytest.mark.skipif(shutil.which("haproxy", path=PROGRAMS) is None, reason="haproxy is not installed"),
]


@pytest.fixture
def site(place: Workplace) -> Iterator[Site]:
    site = Site(place, "haproxy")
    yield site
    site.stop()


def states(site: Site) -> dict[str, str]:
    """What it thinks of the nodes."""
    with socket.socket(socket.AF_UNIX) as stats:
        stats.settimeout(PATIENCE)
        stats.connect(str(site.place.path / "admin.sock"))
        stats.sendall(b"show stat\n")
        text = stats.makefile().read().removeprefix("# ")
    return {row["svname"]: row["status"] for row in csv.DictReader(text.splitlines()) if row["pxname"] == "shop"}


def sees(site: Site, name: str, state: str) -> None:
    until(lambda: states(site)[name].startswith(state), f"node {name} is {state}")


def test_node_that_stops_is_taken_out(site: Site) -> None:
    """While it still serves; and it is taken in again when it is back."""
    site.start("shop:app", delay=60)
    sees(site, "a", "UP")
    sees(site, "b", "UP")
    site.reach_both()
    leaving, staying = site.nodes
    leaving.command.send(signal.SIGTERM)
    leaving.command.wait_for("Shutting down in 60 seconds (shutdown_delay)")
    sees(site, "a", "DOWN")
    assert leaving.command.process.poll() is None
    assert {site.ask()["node"] for _ in range(10)} == {staying.name}
    leaving.stop(signal.SIGINT)
    assert {site.ask()["node"] for _ in range(10)} == {staying.name}
    leaving.start()
    sees(site, "a", "UP")
    site.reach_both()
    assert states(site)["b"].startswith("UP")


def test_node_that_is_killed(site: Site) -> None:
    """Its port is closed: the next one is asked at once, before any health check has failed."""
    site.start("shop:app")
    site.reach_both()
    killed, staying = site.nodes
    workers = killed.processes
    killed.command.send(signal.SIGKILL)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in workers), "its workers have gone")
    assert {site.ask()["node"] for _ in range(10)} == {staying.name}
    sees(site, "a", "DOWN")
