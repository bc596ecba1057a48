"""The modules of this process: which files they are from, and forgetting them, so that they are imported anew."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

__all__ = ["files", "forget", "program_folder"]

KEPT = ("__main__", "pronghorn", "uvicorn")
LIBRARY = os.path.realpath(sysconfig.get_path("stdlib"))
INSTALLED = ("site-packages", "dist-packages")


def files() -> set[str]:
    """The source files of everything that is imported."""
    return {file for _, file in located()}


def located() -> list[tuple[str, str]]:
    """The name and the file of every module that has one."""
    found = [(name, getattr(module, "__file__", None)) for name, module in list(sys.modules.items())]
    return [(name, os.path.realpath(file)) for name, file in found if isinstance(file, str)]


def forget(folders: Iterable[str]) -> None:
    """Forget what was imported from these directories, except what is installed there, or is the program itself.

    A process that is forked has the modules of the one before it, as they were then. Packages with compiled modules
    stay: those cannot be imported twice.
    """
    below = tuple(os.path.join(os.path.realpath(folder), "") for folder in folders)
    theirs: set[str] = set()
    kept = set(KEPT)
    for name, file in located():
        package = name.partition(".")[0]
        if file.startswith(below) and file.endswith(".py") and not is_installed(file):
            theirs.add(package)
        else:
            kept.add(package)
    for name in list(sys.modules):
        if name.partition(".")[0] in theirs - kept:
            del sys.modules[name]


def is_installed(file: str) -> bool:
    return file.startswith(LIBRARY) or any(part in INSTALLED for part in Path(file).parts)


def program_folder() -> str:
    """The directory of the script that runs, where imports look first; the current one when there is no script."""
    return os.path.dirname(getattr(sys.modules.get("__main__"), "__file__", None) or "") or "."
