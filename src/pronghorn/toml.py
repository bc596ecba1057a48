"""Settings as TOML: the file of ``--config``, and what ``--print-config`` writes."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pronghorn.errors import ConfigError

__all__ = ["line", "read"]

PROJECT = "pyproject.toml"


def read(file: str, known: Iterable[str]) -> dict[str, Any]:
    """The values in a file, or in [tool.pronghorn] of a pyproject.toml, by name; ConfigError for a name not known."""
    try:
        with Path(file).open("rb") as stream:
            table = tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"{file}: {(error.strerror or str(error)).lower()}") from None
    except ValueError as error:
        raise ConfigError(f"{file}: not TOML: {error}") from None
    if Path(file).name == PROJECT:
        table = table.get("tool", {}).get("pronghorn")
        if not isinstance(table, dict):
            raise ConfigError(f"{file}: it has no table [tool.pronghorn]")
    names = set(known)
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in names:
            close = get_close_matches(name, names, 1)
            raise ConfigError(f"{file}: unknown setting {key!r}" + (f", did you mean {close[0]!r}?" if close else ""))
        if name in values:
            raise ConfigError(f"{file}: {name} is set twice, with - and with _")
        values[name] = value
    return values


def line(name: str, value: Any, origin: str) -> str:
    """One setting; as a comment when it has no value, for which TOML has no word."""
    if value is None:
        return f"# {name} is not set ({origin})"
    return f"{name} = {literal(value)}  # {origin}"


def literal(value: Any) -> str:
    """A value in TOML's notation, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(literal(one) for one in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(str(key))} = {literal(one)}" for key, one in value.items()) + "}"
    text = str(value).encode("utf-8", "replace").decode()
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
