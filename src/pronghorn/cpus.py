"""How many CPUs this process may keep busy: those it may run on, or what its control groups allow it of their time."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = ["usable"]

ESCAPED = re.compile(r"\\([0-7]{3})")


def usable(root: Path = Path("/")) -> int:
    """At least one. ``root`` is where /proc and /sys are."""
    allowed = [quota for folder, version in groups(root) for quota in quotas(folder, version)]
    return max(min([math.ceil(quota) for quota in allowed] + [affinity()]), 1)


def affinity() -> int:
    """Those the scheduler may choose from."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def groups(root: Path) -> Iterator[tuple[list[Path], int]]:
    """The directories of this process's control group and of those above it, and whose version they are."""
    for line in read(root / "proc/self/cgroup").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            version, kind, controller = 2, "cgroup2", ""
        elif "cpu" in controllers.split(","):
            version, kind, controller = 1, "cgroup", "cpu"
        else:
            continue
        for top, place in mounts(root, kind, controller):
            yield list(lineage(root / place.lstrip("/"), top, path)), version


def mounts(root: Path, kind: str, controller: str) -> Iterator[tuple[str, str]]:
    """What of the hierarchy is mounted, and where; see proc_pid_mountinfo(5)."""
    for line in read(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, described = before.split(" "), after.split(" ")
        if len(fields) < 5 or len(described) < 3 or described[0] != kind:
            continue
        if not controller or controller in described[2].split(","):
            yield unescape(fields[3]), unescape(fields[4])


def lineage(mounted: Path, top: str, path: str) -> Iterator[Path]:
    """A group's directory and those above it. In a container the group may be one that cannot be seen from there: then
    it is the topmost directory that is."""
    own = PurePosixPath(path)
    below = own.relative_to(top) if own.is_relative_to(top) and ".." not in own.parts else PurePosixPath()
    for part in (below, *below.parents):
        yield mounted / part


def quotas(folders: list[Path], version: int) -> Iterator[float]:
    """How many CPUs' time each of them allows, where it allows less than all of it."""
    for folder in folders:
        if version == 2:
            fields = read(folder / "cpu.max").split()
        else:
            fields = read(folder / "cpu.cfs_quota_us").split() + read(folder / "cpu.cfs_period_us").split()
        if len(fields) == 2 and all(field.isdigit() for field in fields) and int(fields[1]):  # not max, and not -1
            yield int(fields[0]) / int(fields[1])


def read(file: Path) -> str:
    """Nothing, when it cannot be read."""
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def unescape(text: str) -> str:
    return ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
