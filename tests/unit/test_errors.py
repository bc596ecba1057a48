"""pronghorn.errors: what the exceptions are, for those who catch them by their base."""

import subprocess
import sys
from pathlib import Path

import pronghorn
from pronghorn import errors


def test_a_client_that_left_is_an_oserror() -> None:
    assert issubclass(errors.ClientDisconnected, OSError)


def test_a_broken_rule_is_a_runtimeerror() -> None:
    assert issubclass(errors.MessageError, RuntimeError)


def test_a_wrong_setting_is_a_valueerror() -> None:
    assert issubclass(errors.ConfigError, ValueError)


def test_a_failed_start_is_a_runtimeerror_and_no_broken_rule() -> None:
    assert issubclass(errors.StartupError, RuntimeError)
    assert not issubclass(errors.StartupError, errors.MessageError)


def test_the_module_needs_nothing_of_the_package() -> None:
    # Both layers import it, so it must load by itself.
    path = Path(pronghorn.__file__).with_name("errors.py")
    script = f"import runpy, sys; runpy.run_path({str(path)!r}); sys.exit('pronghorn' in sys.modules)"
    assert subprocess.run([sys.executable, "-S", "-c", script], check=False).returncode == 0
