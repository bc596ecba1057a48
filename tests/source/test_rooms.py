"""The shape of the compiled layer: knowledge runs one way, as the table in docs/architecture.md says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "pronghorn"
CORE = PACKAGE / "_core"
FOREIGN = {"llhttp", "system"}  # declarations of C libraries, not rooms

CIMPORT = re.compile(r"^\s*(?:from\s+(?P<source>[.\w]+)\s+cimport\b|cimport\s+(?P<module>[.\w]+))", re.MULTILINE)
IMPORT = re.compile(r"^\s*(?:from\s+(?P<source>[.\w]+)\s+import\b|import\s+(?P<module>[.\w]+))", re.MULTILINE)


def table() -> dict[str, set[str]]:
    """Room -> the rooms it may cimport, from the document; the rooms stand in it bottom first."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms: dict[str, set[str]] = {}
    for name, allowed in re.findall(r"^\| `(\w+)` \|[^|]*\|\s*([^|]*?)\s*\|$", text, re.MULTILINE):
        if below := re.search(r"(\w+) and below", allowed):
            rooms[name] = set(rooms)
            assert below[1] in rooms
        else:
            rooms[name] = set(re.findall(r"\w+", allowed))
    return rooms


def code(path: Path) -> str:
    """The text without comments and docstrings."""
    text = re.sub(r'"""[\s\S]*?"""', "", path.read_text())
    return re.sub(r"#.*", "", text)


def room_of(module: str) -> str | None:
    """The room that a module's name in an import means, if it is one of ours."""
    if module.startswith("pronghorn._core."):
        module = module.removeprefix("pronghorn._core.")
    elif module.startswith(".") and not module.startswith(".."):
        module = module[1:]
    else:
        return None
    return module.partition(".")[0]


def uses(name: str, pattern: re.Pattern[str]) -> set[str]:
    found: set[str] = set()
    for path in (CORE / f"{name}.pyx", CORE / f"{name}.pxd"):
        if path.exists():
            for match in pattern.finditer(code(path)):
                room = room_of(match["source"] or match["module"])
                if room:
                    found.add(room)
    return found - {name}


ROOMS = table()


def test_every_room_stands_in_the_table() -> None:
    assert {path.stem for path in CORE.glob("*.pyx")} == set(ROOMS)


def test_table_stands_bottom_first() -> None:
    below: set[str] = set()
    for name, allowed in ROOMS.items():
        assert allowed <= below, f"{name} knows {allowed - below}, which stand above it"
        below.add(name)


@pytest.mark.parametrize("name", ROOMS)
def test_room_knows_only_what_lies_below(name: str) -> None:
    assert uses(name, CIMPORT) - FOREIGN <= ROOMS[name]
    assert uses(name, IMPORT) <= ROOMS[name]


@pytest.mark.parametrize("name", ROOMS)
def test_table_lists_nothing_that_is_not_used(name: str) -> None:
    """Only for the rooms whose list is given name by name."""
    if name != "edge":
        assert ROOMS[name] <= uses(name, CIMPORT)


LOOPED = {"edge", "bound", "drive", "future", "exchange", "session", "poll", "sockets"}


@pytest.mark.parametrize("name", [name for name in ROOMS if name not in LOOPED])
def test_wire_knows_no_event_loop(name: str) -> None:
    """Bytes and states only: a wire can be driven from a test without a loop."""
    for path in (CORE / f"{name}.pyx", CORE / f"{name}.pxd"):
        assert not re.search(r"\b(asyncio|uvloop|create_future|call_soon|call_later)\b", code(path)), path.name


@pytest.mark.parametrize("name", [name for name in ROOMS if name not in ("edge", "sockets")])
def test_only_the_edge_touches_transports(name: str) -> None:
    for path in (CORE / f"{name}.pyx", CORE / f"{name}.pxd"):
        assert not re.search(r"\b(transport|pause_reading|resume_reading|write_eof)\b", code(path)), path.name


def test_only_the_head_knows_the_parser() -> None:
    users = {path.stem for path in CORE.glob("*.p[yx][xd]") if re.search(r"\bllhttp_\w+", code(path))}
    assert users - {"llhttp", "head"} <= {"http1"}
    calls = {path.stem for path in CORE.glob("*.pyx") if re.search(r"\bllhttp_execute\b", code(path))}
    assert calls == {"head"}


def test_no_lenient_flag() -> None:
    """llhttp is strict unless told otherwise; nobody tells it."""
    for path in [*CORE.glob("*.py[xi]"), *CORE.glob("*.pxd"), *(ROOT / "ext").glob("*.[ch]"), *(ROOT / "ext").glob("*.py")]:
        assert "llhttp_set_lenient" not in code(path), path.name


@pytest.mark.parametrize("name", ROOMS)
def test_declarations_and_stubs(name: str) -> None:
    """The .pxd is the table of contents, the .pyi what Python may use."""
    assert (CORE / f"{name}.pxd").exists()
    assert (CORE / f"{name}.pyi").exists()


def test_no_stub_without_a_module() -> None:
    assert {path.stem for path in CORE.glob("*.pyi")} <= set(ROOMS)


def test_compiled_layer_reads_no_configuration() -> None:
    """No files, no environment, no command line, no logging configuration."""
    forbidden = re.compile(r"\b(?:os\.environ|getenv|sys\.argv|logging\.config|basicConfig|click|argparse)\b|(?<!def )\bopen\(")
    for path in CORE.glob("*.pyx"):
        found = forbidden.findall(code(path))
        assert not found, f"{path.name}: {found}"


def test_python_layer_does_not_format_wire_bytes() -> None:
    for path in PACKAGE.glob("*.py"):
        assert b"HTTP/1." not in re.sub(rb"#.*|HTTP/%s", b"", path.read_bytes()), path.name


def test_compiled_layer_imports_of_the_package() -> None:
    """Only what both layers share: the errors, and the plain form of the call."""
    for path in CORE.glob("*.pyx"):
        for match in IMPORT.finditer(code(path)):
            source = match["source"] or match["module"]
            if source.startswith(("..", "pronghorn.")) and not source.startswith("pronghorn._core"):
                assert source.lstrip(".").removeprefix("pronghorn.") in ("errors", "calling"), f"{path.name}: {source}"


def check(module: str, *arguments: str) -> None:
    probe = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True)
    if probe.returncode:
        pytest.skip(f"{module} is not installed")
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff() -> None:
    check("ruff", "check", "--no-cache", "src/pronghorn", "tests")


CALLS = """
import pronghorn
pronghorn.run("app:app", port=8000, reload_dirs="src", headers=[("X-A", "b")], timeout_keep_alive=5)
pronghorn.run("app:app", prot=8000)
pronghorn.run("app:app", port="8000")
"""


def test_run_is_typed(tmp_path: Path) -> None:
    """A type checker refuses a setting that does not exist, and a value of the wrong type."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    (tmp_path / "calls.py").write_text(CALLS)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "calls.py"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout.splitlines()
    assert [line.partition(": error: ")[0] for line in found[:-1] if ": error: " in line] == ["calls.py:4", "calls.py:5"]
    assert 'Unexpected keyword argument "prot"' in found[0]
    assert 'Argument "port" to "run" has incompatible type "str"; expected "int"' in "\n".join(found)


def test_mypy(tmp_path: Path) -> None:
    check("mypy", "--strict", "--cache-dir", str(tmp_path), "src/pronghorn")


def test_stubs_tell_the_truth(tmp_path: Path) -> None:
    """mypy's stubtest compares the stubs with the built modules."""
    pytest.importorskip("mypy.stubtest", reason="mypy is not installed")
    allowed = tmp_path / "allowed"
    allowed.write_text(r".*\.(__test__|__pyx_capi__)" + "\n")
    modules = [f"pronghorn._core.{name}" for name in sorted(table())]
    command = [sys.executable, "-m", "mypy.stubtest", "--ignore-disjoint-bases", "--ignore-unused-allowlist"]
    done = subprocess.run(
        [*command, "--allowlist", str(allowed), *modules], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
