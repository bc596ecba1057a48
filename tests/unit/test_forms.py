"""pronghorn.forms: what a setting's value may look like."""

import math
from pathlib import Path
from typing import Any

import pytest

from pronghorn.forms import Choice, Flag, Folder, Form, Number, Text, Texts, Truth
from pronghorn.headers import Headers, encode
from pronghorn.logsettings import Level, LogConfig

PORT = Number("PORT", "a port", 0, 65535)
SECONDS = Number("SECONDS", "seconds", 0, None, "never", whole=False, ceiling=10**9)


@pytest.mark.parametrize(
    ("form", "value", "kept"),
    [
        (PORT, 0, 0),
        (PORT, 65535, 65535),
        (PORT, "8000", 8000),
        (SECONDS, 0, 0),
        (SECONDS, 1.5, 1.5),
        (SECONDS, "1.5", 1.5),
        (SECONDS, None, None),
        (Text(), "", ""),
        (Text(), Path("a/b"), "a/b"),
        (Text(optional=True), None, None),
        (Flag(), True, True),
        (Truth(), False, False),
        (Truth(), "Yes", True),
        (Folder(), "/", "/"),
        (Folder(), Path("/"), "/"),
        (Texts(Text()), None, []),
        (Texts(Text()), "a", ["a"]),
        (Texts(Text()), ("a", Path("b")), ["a", "b"]),
        (Choice(("on",), importable=True), Path, Path),
        (Flag(optional=True), None, None),
        (Choice(("on", "off")), "on", "on"),
        (Choice(("on", "off"), importable=True), "module:attribute", "module:attribute"),
        (Level(), "DEBUG", "debug"),
        (Level(), 15, 15),
        (Level(), None, None),
        (LogConfig(), None, None),
        (LogConfig(), {"version": 1}, {"version": 1}),
        (LogConfig(), Path("a.json"), "a.json"),
        (Headers(), None, []),
        (Headers(), [("X-A", "b"), (b"x", b"y")], [("X-A", "b"), (b"x", b"y")]),
        (Headers(), {"a": "b"}.items(), [("a", "b")]),
    ],
)
def test_accepts(form: Form, value: Any, kept: Any) -> None:
    assert form.check(value) == kept


@pytest.mark.parametrize(
    ("form", "value", "words"),
    [
        (PORT, -1, "a port from 0 to 65535, got -1"),
        (PORT, 65536, "a port from 0 to 65535"),
        (PORT, 1.5, "a port from 0 to 65535"),
        (PORT, True, "got True"),
        (PORT, None, "got None"),
        (PORT, "eighty", "got 'eighty'"),
        (SECONDS, -0.1, r"seconds from 0, or None \(never\)"),
        (SECONDS, math.nan, "got nan"),
        (SECONDS, math.inf, "got inf"),
        (SECONDS, "soon", "got 'soon'"),
        (Text(), None, "text, got None"),
        (Text(), "a\0b", "text"),
        (Text(), 3, "got 3"),
        (PORT, "9" * 5000, r"got '9+\.\.\. \(5002 characters\)"),
        (SECONDS, 1e10, "seconds from 0 to 1000000000, got 10000000000.0"),
        (Folder(), "/no/such", "a directory that exists, got '/no/such'"),
        (Folder(), "a\0b", "a directory that exists"),
        (Folder(), 3, "a directory that exists"),
        (Texts(Text()), 3, "a list, each text"),
        (Texts(Text()), [3], "text, got 3"),
        (Choice(("on",)), Path, "one of on"),
        (Flag(), None, "True or False"),
        (Flag(), 1, "got 1"),
        (Flag(optional=True), "yes", "True, False or None"),
        (Choice(("on", "off")), "maybe", "one of on, off, got 'maybe'"),
        (Choice(("on", "off")), "a:b", "one of on, off"),
        (Choice(("on",), importable=True), "other", "or module:attribute"),
        (Level(), "loud", "one of critical, error, warning, info, debug, trace"),
        (Level(), True, "got True"),
        (LogConfig(), 3, "the path of a .json"),
        (Headers(), 3, "pairs"),
        (Headers(), ["abc"], "pairs"),
        (Headers(), [("a", 3)], "two of str or bytes"),
    ],
)
def test_refuses_in_one_line(form: Form, value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        form.check(value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "a"),
        ("a b", "a"),
        ("a:", "a"),
        ("a\n", "a"),
        ("\xe9", "a"),
        (b"\xe9", "a"),
        ("a", "b\r\nc: d"),
        ("a", "b\0"),
        ("a", "b\x7f"),
        ("a", "\u0119"),
        ("Content-Length", "3"),
        (b"transfer-encoding", b"chunked"),
        ("CONNECTION", "close"),
    ],
)
def test_headers_that_cannot_be_sent_are_refused(name: str | bytes, value: str | bytes) -> None:
    with pytest.raises(ValueError, match="header") as error:
        encode([(name, value)])
    assert "\n" not in str(error.value)


def test_headers_are_encoded_with_lower_case_names_and_trimmed_values() -> None:
    assert encode([("X-A", " b\tc "), (b"B", b"\xff"), ("c", "\xe9"), ("d", "")]) == [
        (b"x-a", b"b\tc"),
        (b"b", b"\xff"),
        (b"c", b"\xe9"),
        (b"d", b""),
    ]


def test_a_header_of_the_command_line_is_split_at_its_first_colon() -> None:
    assert Headers().parse("X-A:  b:c ") == ("X-A", "b:c")


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        (Flag(), "ON", True),
        (Flag(), "f", False),
        (Text(), "a b", "a b"),
        (PORT, "80", 80),
        (Headers(), " A:1\tB:2\n", [("A", "1"), ("B", "2")]),
        (Texts(Text()), "*.a  *.b", ["*.a", "*.b"]),
        (Texts(Text(), ":"), "a b:c:", ["a b", "c"]),
    ],
)
def test_the_text_of_a_variable(form: Form, text: str, value: Any) -> None:
    assert form.parse_all(text) == value


def test_headers_of_a_file_go_there_and_back() -> None:
    assert Headers().read(["A: 1", "B:2:3"]) == [("A", "1"), ("B", "2:3")]
    assert Headers().plain([("A", "1"), (b"B", b"\xe9")]) == ["A:1", "B:\xe9"]
    for value in ("A:1", [1], {"A": "1"}):
        with pytest.raises(ValueError, match='^expected a list of "Name:Value"'):
            Headers().read(value)


@pytest.mark.parametrize("text", ["X-A", "X A: b", "a: b\nc", ": b"])
def test_a_bad_header_of_the_command_line_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="header|Name:Value"):
        Headers().parse(text)
