"""Logging configurations that were written for uvicorn: the same, for the server's own loggers and formatters."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from configparser import ConfigParser

__all__ = ["translate", "translate_ini"]

THEIRS = "uvicorn"
LOGGERS = ("", ".error", ".access", ".asgi")
FORMATTERS = "uvicorn.logging."
CLASSES = ("DefaultFormatter", "AccessFormatter", "ColourizedFormatter")


def translate(config: Mapping[str, Any], root: str) -> tuple[dict[str, Any], list[str]]:
    """The configuration for loggers that begin with ``root``, and the names that were translated.

    A logger that the configuration has under both names keeps what it says of ours.
    """
    if root == THEIRS:
        return dict(config), []
    made: dict[str, Any] = deepcopy(dict(config))
    names: list[str] = []
    loggers: Any = made.get("loggers")
    for part in LOGGERS if isinstance(loggers, dict) else ():
        if THEIRS + part in loggers and root + part not in loggers:
            loggers[root + part] = loggers.pop(THEIRS + part)
            names.append(THEIRS + part)
    formatters: Any = made.get("formatters")
    for formatter in formatters.values() if isinstance(formatters, dict) else ():
        for key in ("()", "class") if isinstance(formatter, dict) else ():
            if (ours := formatter_class(formatter.get(key))) is not None:
                names.append(formatter[key])
                formatter[key] = ours
    return made, list(dict.fromkeys(names))


def translate_ini(parser: ConfigParser, root: str) -> list[str]:
    """The same for a file in the format of ``logging.config.fileConfig``, in place."""
    if root == THEIRS:
        return []
    names: list[str] = []
    taken = {parser.get(section, "qualname", fallback="") for section in parser.sections()}
    for section in parser.sections():
        name = parser.get(section, "qualname", fallback="")
        if name.startswith(THEIRS) and name.removeprefix(THEIRS) in LOGGERS:
            ours = root + name.removeprefix(THEIRS)
            if ours not in taken:
                parser.set(section, "qualname", ours)
                names.append(name)
        cls = parser.get(section, "class", fallback=None) if section.startswith("formatter_") else None
        if cls is not None and (ours_class := formatter_class(cls)) is not None:
            parser.set(section, "class", ours_class)
            names.append(cls)
    return list(dict.fromkeys(names))


def formatter_class(name: object) -> str | None:
    if isinstance(name, str) and name.startswith(FORMATTERS) and name.removeprefix(FORMATTERS) in CLASSES:
        return "pronghorn.logs." + name.removeprefix(FORMATTERS)
    return None
