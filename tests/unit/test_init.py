"""pronghorn itself: the public names, and the version."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pronghorn


def test_public_names() -> None:
    assert sorted(pronghorn.__all__) == [
        "ClientDisconnected",
        "Config",
        "ConfigError",
        "MessageError",
        "Server",
        "StartupError",
        "__version__",
        "main",
        "run",
    ]
    for name in pronghorn.__all__:
        assert hasattr(pronghorn, name)


def test_the_version_is_that_of_the_package() -> None:
    path = Path(__file__).parents[2] / "pyproject.toml"
    if not path.exists():
        pytest.skip("not in a source tree")
    assert tomllib.loads(path.read_text(encoding="utf-8"))["project"]["version"] == pronghorn.__version__


def test_importing_does_not_configure_logging_nor_import_the_loop() -> None:
    script = (
        "import logging, sys, pronghorn\n"
        "assert not logging.getLogger('pronghorn').handlers\n"
        "assert not logging.getLogger().handlers\n"
        "assert 'uvloop' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)
