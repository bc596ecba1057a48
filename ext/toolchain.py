"""What compiling takes beside Python packages: a C compiler and the headers of the interpreter."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig

__all__ = ["require"]

BUILDING = {"bdist_wheel", "build", "build_ext", "dist_info", "editable_wheel", "install"}
HELP = """
Pronghorn is compiled here, and {lacks}. Install what is missing:

    Debian, Ubuntu    apt-get install gcc libc6-dev python3-dev
    Fedora, RHEL      dnf install gcc python3-devel
    Alpine            apk add gcc musl-dev python3-dev
    macOS             xcode-select --install

($CC names another compiler. A wheel needs none of this: pip takes one where there is one for this interpreter and system.)
"""


def require(commands: list[str]) -> None:
    """Exit with what to install if one of these commands of setup.py compiles, and cannot."""
    if os.name != "nt" and BUILDING.intersection(commands) and (lacks := missing()):
        sys.exit(HELP.format(lacks=lacks))


def missing() -> str:
    """What is not there, in words; empty when a program with the interpreter's headers compiles."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        return f"there is no C compiler ({compiler[0]})"
    command = [*compiler, "-I", sysconfig.get_path("include"), "-fsyntax-only", "-x", "c", "-"]
    tried = subprocess.run(command, input="#include <Python.h>\n", capture_output=True, text=True)
    if tried.returncode == 0:
        return ""
    lines = [line for line in tried.stderr.splitlines() if "error" in line] or ["it fails"]
    return f"{compiler[0]} cannot compile a program with Python.h ({lines[0].strip()})"
