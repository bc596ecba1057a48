"""nginx and HAProxy in front, configured as in docs/deploy: nothing is lost, and everything gets through."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import struct
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from frames import BINARY, CLOSE, frame, upgrade
from process.command import PATIENCE
from process.fronts import CHAOS, CLIENT, KINDS, Site, talk
from process.load import until

if TYPE_CHECKING:
    from process.conftest import Workplace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")


@pytest.fixture(params=KINDS)
def site(place: Workplace, request: pytest.FixtureRequest) -> Iterator[Site]:
    program = request.param.partition("-")[0]
    if shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin") is None:
        pytest.skip(f"{program} is not installed")
    site = Site(place, request.param)
    yield site
    site.stop()


def test_rolling_restart(site: Site) -> None:
    """One node after the other is stopped, and started again."""
    site.start("served:app")
    rounds = 10 if CHAOS else 1
    with site.load() as load:
        load.wait_for(100)
        for _ in range(rounds):
            for node in site.nodes:
                node.stop()
                load.wait_for(50)
                node.start()
                before = site.journal.read_text().count("\n")
                pids = node.processes
                until(lambda: begun_by(site, before, pids), "it gets requests")  # noqa: B023
                load.wait_for(100)
    assert (verdict := site.verdict(load)).spotless, str(verdict)


def begun_by(site: Site, after: int, pids: set[int]) -> bool:
    return any(int(line.split()[1]) in pids for line in site.journal.read_text().splitlines()[after:])


def test_rolling_reload(site: Site) -> None:
    site.start("served:app")
    with site.load() as load:
        load.wait_for(100)
        for _ in range(20 if CHAOS else 2):
            for node in site.nodes:
                node.reload()
                load.wait_for(50)
    assert (verdict := site.verdict(load)).spotless, str(verdict)
