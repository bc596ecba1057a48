"""Writes docs/settings.md from the table in pronghorn.settings: ``python docs/make_settings.py``."""

from __future__ import annotations

from dataclasses import Field
from pathlib import Path
from typing import Any

from pronghorn.cli import option
from pronghorn.settings import SUBJECTS, default_text, table

INTRODUCTION = """\
# Settings

Made by `docs/make_settings.py` from `pronghorn.settings`; change it there.

Each setting is an option of the `pronghorn` command, and under the name in the second column an argument of
`pronghorn.run()` and `pronghorn.Config`. In Python, None switches a limit or a time-out off as 0 does. Numbers in
the meaning are the status the client gets. APP, and `--app-dir` (where to look for its module), come on top.
"""


def row(setting: Field[Any]) -> str:
    form, meaning = setting.metadata["form"], setting.metadata["meaning"]
    names = "in Python only"
    if form.option != "-":
        names = ", ".join(f"`{name}`" for name in [*option(setting).opts, *option(setting).secondary_opts])
    cells = [names, f"`{setting.name}`", default_text(setting), form.words, meaning]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def page() -> str:
    subjects: dict[str, list[str]] = {subject: [] for subject in SUBJECTS}
    for setting in table():
        subjects[setting.metadata["subject"]].append(row(setting))
    text = INTRODUCTION
    for subject, rows in subjects.items():
        text += f"\n## {subject}\n\n| option | name | default | accepts | meaning |\n|---|---|---|---|---|\n"
        text += "\n".join(rows) + "\n"
    return text


if __name__ == "__main__":
    Path(__file__).with_name("settings.md").write_text(page(), encoding="utf-8")
