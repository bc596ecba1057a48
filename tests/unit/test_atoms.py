"""pronghorn.atoms: formats to segments."""

import logging
import os
from collections.abc import Iterator

import pytest

from pronghorn.atoms import FORMATS, compile_format, is_json


@pytest.fixture
def info() -> Iterator[None]:
    yield
    logging.addLevelName(logging.INFO, "INFO")


def test_literals_and_atoms() -> None:
    assert compile_format("a %(h)s%(s)s 100%%") == [
        ("literal", b"a ", False),
        ("h", b"", False),
        ("s", b"", False),
        ("literal", b" 100%", False),
    ]


def test_what_is_known_beforehand_is_literal(monkeypatch: pytest.MonkeyPatch, info: None) -> None:
    monkeypatch.setenv("X", 'v"\n')
    monkeypatch.delenv("Y", raising=False)
    ((_, text, _),) = compile_format("%(l)s %(p)s %({X}e)s %({Y}e)s %(levelprefix)s|")
    assert text == b'- <%d> v\\"\\x0A - INFO:    |' % os.getpid()
    logging.addLevelName(logging.INFO, "note")
    assert compile_format("%(levelprefix)s|")[0][1] == b"note:    |"


def test_headers() -> None:
    assert compile_format("%(f)s") == compile_format("%({Referer}i)s") == [("i", b"referer", False)]
    assert compile_format("%({X-Y}o)s") == [("o", b"x-y", False)]


def test_json_gives_quotation_marks_to_what_may_not_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compile_format('{"a": "%(a)s", "b": "<%(a)s>", "m": "%(m)s"}') == [
        ("literal", b'{"a": ', False),
        ("i", b"user-agent", True),
        ("literal", b', "b": "<', False),
        ("i", b"user-agent", False),
        ("literal", b'>", "m": "', False),
        ("m", b"", False),
        ("literal", b'"}', False),
    ]
    monkeypatch.setenv("X", "\xe9")
    assert compile_format('{"x": "%({X}e)s"}') == [("literal", b'{"x": "\\u00C3\\u00A9"}', False)]


def test_names() -> None:
    assert set(FORMATS) == {"default", "common", "combined", "json"}
    assert [name for name in FORMATS if is_json(name)] == ["json"]
    assert compile_format("common") == compile_format('%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s')


@pytest.mark.parametrize("text", ["", "a\nb", "%(x)s", "%(h)d", "%h", "%", "%({}i)s", "%({a}x)s", "%(h", "\x7f", "%(Host)s"])
def test_what_is_not_understood(text: str) -> None:
    with pytest.raises(ValueError, match="is not an atom|printable") as error:
        compile_format(text)
    assert "\n" not in str(error.value)
