"""Print what building Pronghorn and an extra of it take, one requirement on a line: requirements.py EXTRA"""

import sys
import tomllib
from pathlib import Path


def main(extra: str) -> None:
    with (Path(__file__).resolve().parents[1] / "pyproject.toml").open("rb") as file:
        table = tomllib.load(file)
    project = table["project"]
    building, serving = table["build-system"]["requires"], project["dependencies"]
    print(*building, *serving, *project["optional-dependencies"][extra], sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
