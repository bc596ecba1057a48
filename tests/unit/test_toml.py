"""pronghorn.toml: settings written as TOML, and read back."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from pronghorn.errors import ConfigError
from pronghorn.toml import line, literal, read


@pytest.mark.parametrize(
    "value",
    [True, False, 0, -7, 2**63 - 1, 0.25, 1e22, "", "a", "\u00e9\u4e2d\U0001f40e", '"\\\b\t\n\r\x00\x1f\x7f', [], ["a", 1], {}, {"a b": {"c": [1]}, "": 2}],
)
def test_there_and_back(value: Any) -> None:
    text = line("name", value, "here")
    assert "\n" not in text
    assert tomllib.loads(text) == {"name": value}


def test_what_has_no_value_is_a_comment() -> None:
    assert line("uds", None, "default") == "# uds is not set (default)"


def test_what_is_no_text_is_shown_all_the_same() -> None:
    assert literal("a\udcff") == '"a?"'


def test_reading(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("a-b = 1\nc = [2]\n")
    assert read(str(file), ["a_b", "c", "d"]) == {"a_b": 1, "c": [2]}
    project = tmp_path / "pyproject.toml"
    project.write_text("[project]\nname = 'x'\n[tool.pronghorn]\na-b = 1\n")
    assert read(str(project), ["a_b"]) == {"a_b": 1}


@pytest.mark.parametrize("content", [b"a = ", b"\xff", b"a = 1\na = 2\n", b"unknown = 1", b"a-b = 1\na_b = 1\n"])
def test_a_file_that_cannot_be_used_is_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"^{file}: ") as error:
        read(str(file), ["a", "a_b"])
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=": is a directory$"):
        read(str(tmp_path), [])
