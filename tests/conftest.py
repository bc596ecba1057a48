"""Fixtures of the outside-in tests; tests/serving.py is the server, tests/peer.py the client."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

FAILED = pytest.StashKey[bool]()

sys.path.insert(0, str(Path(__file__).parent))

# A shell that runs this in the background has them ignored, and so would every process that a test starts.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

if TYPE_CHECKING:
    from serving import Server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module that asks for `server` runs once for each of its MODES, a list of (loop, task)."""
    if "server" in metafunc.fixturenames and not hasattr(metafunc.module, "server"):
        from serving import LOOPS

        chosen = getattr(metafunc.module, "MODES", [(loop, "auto") for loop in LOOPS])
        metafunc.parametrize("server", chosen, ids=["-".join(mode) for mode in chosen], indirect=True, scope="module")


@pytest.fixture(scope="module", autouse=True)
def frozen() -> None:
    """What was there before a module is left out of every collection and every count: many tests ask for one."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One server for a module and a mode, made with the module's SETTINGS; each test sets its application."""
    from serving import serve

    loop, task = request.param
    with serve(loop=loop, task=task, **getattr(request.module, "SETTINGS", {})) as running:
        yield running


@pytest.fixture(autouse=True)
def leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test on a shared server: no call under way, no connection open, nothing in the log."""
    yield
    serving = sys.modules.get("serving")
    for running in request.node.funcargs.values() if serving else ():
        if isinstance(running, serving.Server) and running.thread.is_alive():
            running.check(report=not request.node.stash.get(FAILED, False))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember a failure, so that what it left behind is cleared away without a second report."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report
