"""pronghorn.notify: whom the environment names."""

from __future__ import annotations

import os

import pytest

from pronghorn.notify import Manager


@pytest.mark.parametrize(
    ("variables", "interval"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid() + 1)}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "-1"}, 0.0),
    ],
)
def test_watchdog(variables: dict[str, str], interval: float) -> None:
    environ = dict(variables, OTHER="stays")
    manager = Manager.take(environ)
    assert manager.interval == interval
    assert environ == {"OTHER": "stays"}
    manager.close()


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234"])
def test_address_of_nobody(address: str) -> None:
    manager = Manager.take({"NOTIFY_SOCKET": address})
    assert manager.socket is None
    manager.ready("Serving")
    manager.close()
