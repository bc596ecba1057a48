"""Writes docs/settings.md and src/pronghorn/keywords.py from the table in pronghorn.settings:
``python docs/make_settings.py``."""

from __future__ import annotations

from pathlib import Path

from pronghorn.cli import option
from pronghorn.settings import SUBJECTS, Settings, default_text, table
from pronghorn.subjects import Setting

INTRODUCTION = """\
# Settings

Made by `docs/make_settings.py` from `pronghorn.settings`; change it there.

Each setting is an option of the `pronghorn` command, and under the name in the second column an argument of
`pronghorn.run()` and `pronghorn.Config`. In Python, None switches a limit or a time-out off as 0 does. Numbers in
the meaning are the status the client gets. APP, and `--app-dir` (where to look for its module), come on top.

The name in capitals behind `PRONGHORN_` is an environment variable: `PRONGHORN_ROOT_PATH`, `PRONGHORN_RELOAD_DIRS`.
`UVICORN_` is read where that is not set. In a `--config` file the name is the key. See
[configuration.md](configuration.md).
"""

UVICORN = """
## Where uvicorn's default is another one

Every option of uvicorn 0.54 is there, with its name and type; these have another default.

| option | uvicorn | here | why |
|---|---|---|---|
"""
DIFFERENT = {
    "timeout_keep_alive": ("5", "longer than the 60 s of common load balancers, which else send into a closing one"),
    "timeout_graceful_shutdown": ("wait for ever", "a stop that can hang is not a stop"),
    "timeout_worker_healthcheck": ("5", "a worker that is busy for some seconds is not dead"),
}


def row(setting: Setting) -> str:
    form, meaning = setting.form, setting.meaning
    names = "in Python only"
    if form.option != "-":
        names = ", ".join(f"`{name}`" for name in [*option(setting).opts, *option(setting).secondary_opts])
    cells = [names, f"`{setting.name}`", default_text(setting), form.words, meaning]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def page() -> str:
    subjects: dict[str, list[str]] = {subject: [] for subject in SUBJECTS}
    for setting in table():
        subjects[setting.subject].append(row(setting))
    text = INTRODUCTION
    for subject, rows in subjects.items():
        text += f"\n## {subject}\n\n| option | name | default | accepts | meaning |\n|---|---|---|---|---|\n"
        text += "\n".join(rows) + "\n"
    text += UVICORN
    for setting in table():
        if setting.name in DIFFERENT:
            theirs, why = DIFFERENT[setting.name]
            text += f"| `{option(setting).opts[0]}` | {theirs} | {default_text(setting)} | {why} |\n"
    return text


KEYWORDS = '''\
"""The keyword arguments of `pronghorn.run()` as type checkers see them.

Made by docs/make_settings.py from pronghorn.settings; change it there. Nothing imports it while the server runs.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypedDict

__all__ = ["Keywords"]


class Keywords(TypedDict, total=False):
    """Every setting; what is not given is its default."""

'''
WIDER = {
    "list[str]": "Sequence[str] | str | None",
    "list[str] | str": "Sequence[str] | str",
    "list[str] | str | None": "Sequence[str] | str | None",
    "list[tuple[str | bytes, str | bytes]]": "Sequence[tuple[str | bytes, str | bytes]] | None",
    "list[tuple[str, str, str | None]]": "Sequence[tuple[str, str, str | None]] | None",
    "dict[str, Any] | str | None": "dict[str, Any] | str | os.PathLike[str] | None",
}
PATHS = ("FILE", "PATH", "DIRECTORY")


def keyword(setting: Setting, kinds: dict[str, str]) -> str:
    """What may be passed: the attribute's type, or what becomes that when it is checked."""
    kind = kinds[setting.name]
    if kind == "str | None" and setting.form.metavar in PATHS:
        kind = "str | os.PathLike[str] | None"
    return f"    {setting.name}: {WIDER.get(kind, kind)}\n"


def keywords() -> str:
    kinds = {name: kind for base in reversed(Settings.__mro__) for name, kind in getattr(base, "__annotations__", {}).items()}
    return KEYWORDS + "".join(keyword(setting, kinds) for setting in table())


if __name__ == "__main__":
    package = Path(__file__).parents[1] / "src" / "pronghorn"
    (package / "keywords.py").write_text(keywords(), encoding="utf-8")
    Path(__file__).with_name("settings.md").write_text(page(), encoding="utf-8")
