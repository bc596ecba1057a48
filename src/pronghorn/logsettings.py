"""Logging as settings: the forms of a level, of a configuration, and of a line."""

from __future__ import annotations

import logging
import os
from typing import Any

from pronghorn.atoms import compile_format
from pronghorn.forms import Form
from pronghorn.logs import LOG_LEVELS

__all__ = ["Level", "LineFormat", "LogConfig"]


class Level(Form):
    """A log level by name, or, in Python, by number."""

    metavar: str = "|".join(LOG_LEVELS)

    @property
    def words(self) -> str:
        return "one of " + ", ".join(LOG_LEVELS)

    def check(self, value: Any) -> Any:
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        if isinstance(value, str) and value.lower() in LOG_LEVELS:
            return value.lower()
        if isinstance(value, str) and isinstance(logging.getLevelName(value), int):
            return logging.getLevelName(value)
        raise self.refuse(value)


class LogConfig(Form):
    """A dictionary for ``logging.config``, or the path of a file with one."""

    metavar: str = "PATH"

    @property
    def words(self) -> str:
        return "a logging dictionary, the path of a .json, .yaml, .toml or .ini file, or None"

    def check(self, value: Any) -> Any:
        if value is None or isinstance(value, dict):
            return value
        if isinstance(value, str | os.PathLike):
            return os.fspath(value)
        raise self.refuse(value)


class LineFormat(Form):
    """The format of an access line, by name or in atoms."""

    metavar: str = "FORMAT"

    @property
    def words(self) -> str:
        return "default, common, combined, json, a line with atoms, or None"

    def check(self, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.refuse(value)
        compile_format(value)
        return value
