"""What lets a program that imports uvicorn run on Pronghorn, unchanged.

    python -m pronghorn.compat script.py ARGUMENTS
    python -m pronghorn.compat -m MODULE ARGUMENTS

This directory is put in front of the places where Python looks for packages, and holds one named uvicorn. Processes
that multiprocessing spawns look in the same places.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["install", "main"]

HERE = str(Path(__file__).parent)
USAGE = """\
usage: python -m pronghorn.compat SCRIPT [ARGUMENT ...]
       python -m pronghorn.compat -m MODULE [ARGUMENT ...]
"""
USAGE_ERROR = 2


def install(position: int = 0) -> None:
    """Make ``import uvicorn`` find Pronghorn, from now on, with its place among the directories of ``sys.path``."""
    for name in [name for name in sys.modules if name == "uvicorn" or name.startswith("uvicorn.")]:
        del sys.modules[name]
    if HERE in sys.path:
        sys.path.remove(HERE)
    sys.path.insert(position, HERE)


def main(arguments: Sequence[str]) -> None:
    """Run a script, or with ``-m`` a module, as the interpreter would."""
    match list(arguments):
        case ["-h" | "--help"]:
            sys.stdout.write(USAGE)
        case ["-m", str(module), *rest]:
            install(1)
            sys.argv = [module, *rest]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case [str(script), *rest] if not script.startswith("-"):
            if not Path(script).exists():
                fail(f"cannot open {script}: there is no such file")
            install(1)
            sys.argv = [script, *rest]
            if not sys.flags.safe_path:
                sys.path[0] = str(Path(script).resolve().parent)
            runpy.run_path(script, run_name="__main__")
        case _:
            sys.stderr.write(USAGE)
            sys.exit(USAGE_ERROR)


def fail(text: str) -> None:
    sys.stderr.write(f"pronghorn.compat: error: {text}\n")
    sys.exit(USAGE_ERROR)
