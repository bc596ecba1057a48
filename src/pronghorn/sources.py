"""Where values come from: the defaults, then a file, then the environment, then the command line, the last one wins."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from typing import Any, NamedTuple

from pronghorn import activation
from pronghorn.errors import ConfigError
from pronghorn.forms import Folder, Form, Text
from pronghorn.settings import PLACE, table

__all__ = ["COMMAND_LINE", "Given", "collect", "known"]

COMMAND_LINE = "command line"
PREFIXES = ("PRONGHORN_", "UVICORN_")
FILE = "PRONGHORN_CONFIG"
LIKENESS = 0.8  # from 0 to 1; two letters that changed places in a short name


class Given(NamedTuple):
    """A value somebody gave, and where."""

    value: Any
    origin: str


def known() -> dict[str, Form]:
    """The form of everything that can be given: the settings, APP, and where to look for it."""
    return {"app": Text("APP"), "app_dir": Folder()} | {
        setting.name: setting.form for setting in table() if setting.form.option != "-"
    }


def collect(typed: Mapping[str, Any], environ: MutableMapping[str, str], file: str | None) -> dict[str, Given]:
    """What was given, by name: ``typed`` on the command line, in the environment, or in the file.

    One way of saying where to listen replaces the others that a weaker source names: whoever types ``--bind`` does
    not mean the port of the file as well.
    """
    file = file or environ.get(FILE) or None
    merged: dict[str, Given] = {}
    for layer in (
        from_file(file) if file else {},
        from_environment(environ, typed),
        {name: Given(value, COMMAND_LINE) for name, value in typed.items()},
    ):
        places = sorted(layer.keys() & PLACE)
        binds = "bind" in layer and bool(layer["bind"].value)
        if binds and places:
            raise ConfigError(f"bind: cannot be combined with {places[0]} ({layer['bind'].origin})")
        for name in PLACE if binds else ["bind"] if places else []:
            merged.pop(name, None)
        merged |= layer
    if not merged.keys() & {"bind", *PLACE} and (sockets := activation.inherited(environ)):
        merged["bind"] = Given(sockets, "LISTEN_FDS")
    return merged


def from_file(file: str) -> dict[str, Given]:
    from pronghorn import toml  # slow to import, as is what it needs

    forms = known()
    given = {}
    for name, value in toml.read(file, forms).items():
        try:
            given[name] = Given(forms[name].read(value), os.fspath(file))
        except ValueError as error:
            raise ConfigError(f"{file}: {name}: {error}") from None
    return given


def from_environment(environ: Mapping[str, str], typed: Mapping[str, Any]) -> dict[str, Given]:
    """What variables say that are set and not empty; of what was typed, nobody asks them."""
    given = {}
    forms = known()
    for present in environ:
        if present.startswith(PREFIXES[0]) and present != FILE:
            refuse_misspelt(present, forms)
    for name, form in forms.items():
        variables = (prefix + name.upper() for prefix in PREFIXES)
        variable = next((variable for variable in variables if environ.get(variable)), None)
        if variable is None or name in typed:
            continue
        try:
            given[name] = Given(form.parse_all(environ[variable]), variable)
        except ValueError as error:
            raise ConfigError(f"{variable}: {error}") from None
    return given


def refuse_misspelt(variable: str, forms: Mapping[str, Form]) -> None:
    """ConfigError for a variable that is nearly one of ours. Others are let pass: with a service named pronghorn,
    Kubernetes sets PRONGHORN_SERVICE_HOST and more."""
    name = variable.removeprefix(PREFIXES[0]).lower()
    if name in forms:
        return
    from difflib import get_close_matches  # slow to import, and of use here only

    if close := get_close_matches(name, forms, 1, LIKENESS):
        meant = PREFIXES[0] + close[0].upper()
        raise ConfigError(f"{variable}: unknown setting {name!r}, did you mean {meant!r}?")
