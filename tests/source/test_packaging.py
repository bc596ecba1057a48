"""What the tree may contain: sizes, nothing fetched or generated, no host and no path of one machine, lists in step."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "pronghorn"
CORE = SOURCE / "_core"

# Joined here so that this file does not contain what it looks for.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pypi", "python", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("deb", "debian", "org"),
    ]
]
INDEX_URL = re.compile(r"(?:https?|file)://[^\s\"'<>]*/simple\b")


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """What git tracks or would add: the tree as it would be committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("git is not here")
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def test_nothing_fetched_or_generated_is_tracked(tracked: list[str]) -> None:
    forbidden = [
        name
        for name in tracked
        if name.startswith(("ext/llhttp/", "build/", "dist/"))
        or name.endswith((".so", ".pyd", ".whl", ".tar.gz", ".html.gz"))
        or (name.startswith("src/") and name.endswith((".c", ".html")))
    ]
    assert forbidden == []


def test_no_registry_host_and_no_index_url(tracked: list[str]) -> None:
    found = [
        (name, host)
        for name in tracked
        for host in REGISTRY_HOSTS
        if re.search(rf"\b{re.escape(host)}\b", text_of(name))
    ]
    found += [(name, match[0]) for name in tracked if (match := INDEX_URL.search(text_of(name)))]
    assert found == []


def test_no_path_of_this_machine(tracked: list[str]) -> None:
    if len(ROOT.parts) < 3:
        pytest.skip(f"{ROOT} is too short to look for")
    assert [name for name in tracked if str(ROOT) in text_of(name)] == []


@pytest.mark.parametrize(("pattern", "limit"), [("*.py", 300), ("*.pyx", 700), ("*.pxd", 700), ("*.pyi", 700)])
def test_files_stay_small(pattern: str, limit: int) -> None:
    lines = {path.name: len(path.read_text().splitlines()) for path in SOURCE.rglob(pattern)}
    assert {name: count for name, count in lines.items() if count > limit} == {}


def test_every_compiled_module_is_listed_and_has_its_stub() -> None:
    listed = re.search(r"^MODULES = (\[.*?\])$", text_of("setup.py"), re.MULTILINE | re.DOTALL)
    assert listed is not None
    modules = sorted(re.findall(r'"(\w+)"', listed[1]))
    assert modules == sorted(path.stem for path in CORE.glob("*.pyx"))
    assert modules == sorted(path.stem for path in CORE.glob("*.pyi") if path.stem != "__init__")


def test_the_package_is_typed() -> None:
    assert (SOURCE / "py.typed").is_file()


def test_one_pinned_archive_with_its_hash() -> None:
    lines = text_of("ext/vendor.lock").splitlines()
    assert len(lines) == 1
    assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+ --hash=sha256:[0-9a-f]{64}", lines[0])


def test_metadata() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    assert project["license"] == "MIT"
    assert "ext/llhttp/LICENSE" in project["license-files"]
    assert project["requires-python"] == ">=3.11"
    assert project["scripts"] == {"pronghorn": "pronghorn.cli:main"}


def test_scripts_can_be_run(tracked: list[str]) -> None:
    scripts = [name for name in tracked if name.startswith(("ci/", ".ci/", "bench/")) and "." not in Path(name).name]
    assert "ci/test" in scripts
    assert [name for name in scripts if not (ROOT / name).stat().st_mode & 0o111] == []
    assert [name for name in scripts if not text_of(name).startswith("#!")] == []


def test_the_readme_and_the_hosted_run_call_the_same_script() -> None:
    assert text_of(".ci/run").splitlines()[-1] == "exec ci/test"
    assert re.search(r"^    ci/test\b", text_of("README.md"), re.MULTILINE)


def test_the_changelog_has_an_unreleased_section() -> None:
    assert "\n## [Unreleased]\n" in text_of("CHANGELOG.md")


@pytest.mark.parametrize(
    ("compiler", "words"),
    [
        ("no-such-compiler", "there is no C compiler (no-such-compiler)"),
        ("false", "false cannot compile a program with Python.h (it fails)"),
    ],
)
def test_a_build_without_a_compiler_says_what_to_install(compiler: str, words: str) -> None:
    """At once: nothing is fetched or translated before."""
    command = [sys.executable, "setup.py", "-q", "dist_info"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"CC": compiler}, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"and {words}. Install what is missing:" in done.stderr
    assert "apt-get install gcc libc6-dev python3-dev" in done.stderr
    assert "Cythonizing" not in done.stdout + done.stderr
