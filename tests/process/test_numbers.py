"""Numbers nobody can mean, over the whole table of settings: one line from the real command, and no traceback."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from pronghorn import Config, ConfigError
from pronghorn.cli import option
from pronghorn.forms import Number
from pronghorn.settings import table
from pronghorn.subjects import Setting

if TYPE_CHECKING:
    from process.conftest import Workplace

NUMBERS = [one for one in table() if isinstance(one.form, Number) and one.form.option != "-"]
NAMES = [setting.name for setting in NUMBERS]
TEXTS = ["99999999999999999999", "-1", "-99999999999999999999", "nan", "inf", "-inf", "1e300", "", " ", "x", "0x10", "9" * 5000, "1.5.2"]


async def application(scope: object, receive: object, send: object) -> None: ...


@pytest.mark.parametrize("setting", NUMBERS, ids=NAMES)
def test_text_that_is_no_such_number(setting: Setting) -> None:
    form: Number = setting.form
    for text in TEXTS:
        with pytest.raises(ValueError, match="^expected ") as error:
            form.parse(text)
        assert "\n" not in str(error.value) and len(str(error.value)) < 250


@pytest.mark.parametrize("name", NAMES)
def test_values_of_python(name: str) -> None:
    for value in (2**70, -(2**70), 10**5000, math.nan, math.inf, -math.inf, 1e300, -1, True, "", [], object()):
        with pytest.raises(ConfigError, match=f"^{name}: expected ") as error:
            Config(application, log_config=None, **{name: value})
        assert "\n" not in str(error.value) and len(str(error.value)) < 300


@pytest.mark.parametrize("text", ["99999999999999999999", "1e300", "9" * 5000])
def test_the_command(text: str, place: Workplace) -> None:
    """A few of them, those that once got through to the compiled layer among them."""
    for name in ("ws_max_queue", "port", "backlog", "limit_concurrency", "timeout_keep_alive", "limit_request_head", "fd"):
        command = place.pronghorn("hello:app", "--check", "--" + name.replace("_", "-"), text)
        assert command.exit() == 2
        [line] = command.lines
        assert line.startswith(f"pronghorn: error: Invalid value for '--{name.replace('_', '-')}': expected ")


def test_the_largest_numbers_are_served_with(place: Workplace) -> None:
    """What the forms let through, the compiled layer can count to: all at once, and a request is answered."""
    from process.command import Client

    args = []
    for setting in NUMBERS:
        form: Number = setting.form
        largest = form.maximum if form.maximum is not None else form.ceiling
        if form.option != "-" and setting.name not in ("port", "fd", "workers", "timeout_lifespan_startup", "shutdown_delay"):
            args += [option(setting).opts[0], str(int(largest))]
    command = place.pronghorn("hello:app", *args)
    with Client(command.port) as client:
        for _ in range(2):
            client.request()
            client.until(b"hello")
    assert command.stop() == 0
    command.clean()
