"""pronghorn.cpus: how many CPUs there are to be used, over made-up trees of /proc and /sys."""

from __future__ import annotations

from pathlib import Path

import pytest

from pronghorn import cpus

UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
FIRST = "32 31 0:29 {top} /sys/fs/cgroup/cpu\\040time rw - cgroup cgroup rw,cpu,cpuacct"
OTHER = "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


class Tree:
    """Files below a directory that stands for the root."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")

    def unified(self, group: str, **quotas: str) -> None:
        self.put("proc/self/cgroup", f"0::{group}")
        self.put("proc/self/mountinfo", UNIFIED)
        for path, quota in quotas.items():
            self.put(f"sys/fs/cgroup/{path.replace('__', '/')}/cpu.max", quota)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """One of a machine with eight CPUs."""
    monkeypatch.setattr(cpus, "affinity", lambda: 8)
    return Tree(tmp_path)


def test_nothing_is_known(tree: Tree) -> None:
    assert cpus.usable(tree.root) == 8


@pytest.mark.parametrize(
    ("quota", "count"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("10000 100000", 1),
        ("1600000 100000", 8),
        ("50000 25000", 2),
        ("100000 0", 8),
        ("nonsense", 8),
        ("", 8),
    ],
)
def test_quota(tree: Tree, quota: str, count: int) -> None:
    tree.unified("/web", web=quota)
    assert cpus.usable(tree.root) == count


def test_group_above_allows_less(tree: Tree) -> None:
    tree.unified("/web/blue", web="300000 100000", web__blue="max 100000")
    assert cpus.usable(tree.root) == 3
    tree.put("sys/fs/cgroup/cpu.max", "250000 100000")
    assert cpus.usable(tree.root) == 3
    tree.put("sys/fs/cgroup/cpu.max", "100000 100000")
    assert cpus.usable(tree.root) == 1


def test_group_of_somebody_else(tree: Tree) -> None:
    tree.unified("/web", other="100000 100000")
    assert cpus.usable(tree.root) == 8


def test_container_with_a_namespace_of_its_own(tree: Tree) -> None:
    """Its group is the root of what it sees, or, joined later, lies outside of that."""
    tree.put("sys/fs/cgroup/cpu.max", "200000 100000")
    for group in ("/", "/../../joined"):
        tree.unified(group)
        assert cpus.usable(tree.root) == 2


@pytest.mark.parametrize(
    ("top", "group"), [("/", "/docker/1"), ("/docker/1", "/docker/1"), ("/docker", "/docker/1"), ("/docker/1", "/else")]
)
def test_first_version(tree: Tree, top: str, group: str) -> None:
    """Each controller has a hierarchy of its own, of which a container may see only its part."""
    tree.put("proc/self/cgroup", f"5:cpu,cpuacct:{group}\n4:memory:/\n1:name=systemd:/\n0::/")
    tree.put("proc/self/mountinfo", f"{OTHER}\n{FIRST.format(top=top)}")
    below = Path(group).relative_to(top) if Path(group).is_relative_to(top) else Path()
    for folder in ("", below):
        tree.put(f"sys/fs/cgroup/cpu time/{folder}/cpu.cfs_quota_us", "-1")
        tree.put(f"sys/fs/cgroup/cpu time/{folder}/cpu.cfs_period_us", "100000")
    assert cpus.usable(tree.root) == 8
    tree.put(f"sys/fs/cgroup/cpu time/{below}/cpu.cfs_quota_us", "320000")
    assert cpus.usable(tree.root) == 4


def test_this_machine() -> None:
    assert 1 <= cpus.usable() <= cpus.affinity()
