"""Print the interpreters of this machine that can build Pronghorn: "VERSION PATH", oldest first.

interpreters.py               every one: CPython 3.11 or newer with venv and C headers
interpreters.py --from PATH   PATH first, then one for each newer minor version
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROBE = """
import ensurepip, os, platform, sys, sysconfig
headers = os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
if platform.python_implementation() == "CPython" and sys.version_info >= (3, 11) and headers:
    print(platform.python_version(), os.path.realpath(sys.executable))
"""


def candidates() -> list[str]:
    names = ["python3", *(f"python3.{minor}" for minor in range(11, 20))]
    found = [path for name in names for folder in ("/usr/bin", None) if (path := shutil.which(name, path=folder))]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return found + sorted(map(str, pyenv.glob("versions/3.*/bin/python")))


def probe(path: str) -> tuple[str, str] | None:
    """Version and real path, or None when it cannot build."""
    result = subprocess.run([path, "-c", PROBE], capture_output=True, text=True)
    return tuple(result.stdout.split()) if result.returncode == 0 and result.stdout else None  # type: ignore[return-value]


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.split("."))


def main(arguments: list[str]) -> None:
    every = sorted({known for path in candidates() if (known := probe(path))}, key=lambda known: numbers(known[0]))
    if arguments[:1] == ["--from"]:
        first = probe(arguments[1])
        if first is None:
            sys.exit(f"{arguments[1]} cannot build Pronghorn: it takes CPython >= 3.11 with venv and C headers")
        newer = {numbers(version)[:2]: (version, path) for version, path in every}
        every = [first, *(known for minor, known in newer.items() if minor > numbers(first[0])[:2])]
    for version, path in every:
        print(version, path)


if __name__ == "__main__":
    main(sys.argv[1:])
