"""The units in docs/deploy, as systemd reads them. The proxies' files are run: tests/process/test_fronts.py."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pronghorn import Config
from pronghorn.worker import time_to_stop

DEPLOY = Path(__file__).parents[2] / "docs/deploy"
OLDER = "Type=notify\nExecReload=/bin/kill -HUP $MAINPID"  # what the comment says


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("kind", ["Type=notify-reload", OLDER])
def test_units(tmp_path: Path, kind: str) -> None:
    version = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, timeout=60, check=True)
    if kind != OLDER and int(version.stdout.split()[1]) < 253:
        pytest.skip("this systemd is older than notify-reload")
    unit = (DEPLOY / "pronghorn.service").read_text()
    for old, new in (("/srv/shop/venv/bin/pronghorn", sys.executable), ("Type=notify-reload", kind)):
        assert old in unit
        unit = unit.replace(old, new)
    (tmp_path / "pronghorn.service").write_text(unit)
    shutil.copy(DEPLOY / "pronghorn.socket", tmp_path)
    units = [str(tmp_path / name) for name in ("pronghorn.service", "pronghorn.socket")]
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "pronghorn." in line]) == (0, [])


def test_grace_periods() -> None:
    """Nobody kills the server before it would have killed its last worker itself."""
    longest = time_to_stop(Config("app:app"))
    assert longest is not None
    (unit,) = re.findall(r"^TimeoutStopSec=(\d+)$", (DEPLOY / "pronghorn.service").read_text(), re.MULTILINE)
    assert longest < int(unit) <= longest + 10
    pod = (DEPLOY.parent / "operations.md").read_text()
    (delay,) = re.findall(r"--shutdown-delay=(\d+)", pod)
    (period,) = re.findall(r"terminationGracePeriodSeconds: (\d+)", pod)
    assert longest + int(delay) < int(period) <= longest + int(delay) + 10
