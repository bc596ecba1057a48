"""pronghorn.loading: from ``module:attribute`` to the application."""

import logging
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from pronghorn.errors import ConfigError
from pronghorn.loading import foreign_traceback, load


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory to write modules into; those imported from it are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


async def application(scope: object, receive: object, send: object) -> None: ...


def test_an_object_is_taken_as_it_is() -> None:
    assert load(application) is application


def test_a_name_may_have_several_parts(modules: Path) -> None:
    (modules / "site1").mkdir()
    (modules / "site1" / "main.py").write_text(
        "class api:\n    class v1:\n        @staticmethod\n        async def app(scope, receive, send): ...\n"
    )
    assert load("site1.main:api.v1.app").__name__ == "app"


@pytest.mark.parametrize("name", ["main", "main:", ":app", ""])
def test_a_name_without_both_parts_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="module:attribute"):
        load(name)


@pytest.mark.parametrize("name", ["nowhere:app", "nowhere.at.all:app", "json.nowhere:app"])
def test_a_module_that_is_not_there_is_one_line(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^cannot import the module '{name[:-4]}'") as error:
        load(name)
    assert "\n" not in str(error.value)


def test_an_attribute_that_is_not_there_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^no attribute 'tool.nothing' in the module 'json'$"):
        load("json:tool.nothing")


def test_a_module_that_misses_another_keeps_its_own_error(modules: Path) -> None:
    (modules / "needy.py").write_text("import nowhere_at_all\n")
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        load("needy:app")


def test_the_traceback_of_a_broken_module_begins_in_that_module(modules: Path) -> None:
    (modules / "broken.py").write_text("def fail():\n    raise LookupError('mine')\n\nfail()\n")
    with pytest.raises(LookupError) as error:
        load("broken:app")
    kind, value, frames = foreign_traceback(error.value)
    assert (kind, value) == (LookupError, error.value)
    # The first frames here are this test's own, as they are not the server's.
    names = [Path(frame.filename).name for frame in traceback.extract_tb(frames)]
    assert names[-2:] == ["broken.py", "broken.py"]


def test_the_servers_own_frames_are_not_shown(modules: Path) -> None:
    (modules / "broken2.py").write_text("raise LookupError('mine')\n")
    try:
        load("broken2:app")
    except LookupError as error:
        assert error.__traceback__
        _, _, frames = foreign_traceback(error.with_traceback(error.__traceback__.tb_next))
    assert [Path(frame.filename).name for frame in traceback.extract_tb(frames)] == ["broken2.py"]


def test_a_factory_makes_the_application() -> None:
    assert load(lambda: application, factory=True) is application


def test_a_factory_is_recognised_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "pronghorn.error"):
        logging.getLogger("pronghorn").propagate = True
        assert load(lambda: application) is application
    assert "factory" in caplog.text


def test_a_callable_of_any_arguments_is_no_factory() -> None:
    def any_arguments(*args: object) -> None: ...

    assert load(any_arguments) is any_arguments


def test_a_factory_that_needs_arguments_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be called without arguments"):
        load(application, factory=True)


def test_what_a_factory_raises_is_left_alone() -> None:
    def factory() -> None:
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        load(factory, factory=True)


@pytest.mark.parametrize(("target", "factory"), [("json:__name__", False), (lambda: 3, True), (None, False)])
def test_what_cannot_be_called_is_refused(target: object, factory: bool) -> None:
    with pytest.raises(ConfigError, match="cannot be called$"):
        load(target, factory)
