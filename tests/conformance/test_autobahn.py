"""The Autobahn test suite, the sections that are done within a minute; `ci/autobahn` runs the others too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = 77  # the status that says: this machine cannot run the suite
PATIENCE = 1500.0  # seconds on a busy machine; installing the suite and ourselves for the first time is among them


def test_quick_sections() -> None:
    """Once, with the loop that is the default: what the suite looks at is the wire, and that knows no loop."""
    if "PRONGHORN_TEST_LOOPS" in os.environ:
        pytest.skip("the suite looks at bytes: once, with the first interpreter, is enough")
    command = [sys.executable, str(ROOT / "ci" / "autobahn.py"), "quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode == SKIPPED:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
