"""An environment of its own for each interpreter: the pinned peers, pronghorn built from the tree, the C programs."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REQUIREMENTS = HERE / "requirements.txt"
SOURCES = ["setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "ext", "src"]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Environment:
    def __init__(self, interpreter: str) -> None:
        version = _output([interpreter, "-c", "import platform; print(platform.python_version())"])
        real = _output([interpreter, "-c", "import os, sys; print(os.path.realpath(sys.executable))"])
        self.interpreter, self.version = real, version
        self.folder = HERE / ".environments" / f"{version}-{hashlib.sha256(real.encode()).hexdigest()[:8]}"
        self.bin = self.folder / "bin"
        self.python = self.bin / "python"
        self.failures: dict[str, str] = {}  # requirement -> why it is not here
        self.description = (
            f"{version}, {'of the distribution' if real.startswith('/usr/bin/') else 'not of the distribution'}"
        )

    def prepare(self) -> None:
        if not self.python.exists():
            say(f"making {self.folder.relative_to(ROOT)}")
            _run([self.interpreter, "-m", "venv", str(self.folder)])
        self._install_peers()
        for source in (HERE / "served" / "epoll_floor.c", HERE / "served" / "ws_floor.c", HERE / "ws_load.c"):
            _run([os.environ.get("CC", "cc"), "-O2", "-o", str(self.folder / source.stem), str(source)])

        if not (self.folder / "certificate.pem").exists():
            command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost"
            places = ["-keyout", str(self.folder / "key.pem"), "-out", str(self.folder / "certificate.pem")]
            _run([*command.split(), "-days", "3650", *places])

    def _install_peers(self) -> None:
        wanted = [line for line in REQUIREMENTS.read_text().split("\n") if line and not line.startswith("#")]
        if not self._pip("install", *wanted):
            say("not every peer installs here: one by one")
            for requirement in wanted:
                if not self._pip("install", requirement):
                    self.failures[requirement.partition("==")[0]] = f"{requirement} does not install on {self.version}"

    def install_tree(self) -> str:
        """Build and install pronghorn as it stands in the tree; returns a description of it."""
        copy = self.folder / "tree"
        _copy_tree(copy)
        digest, stamp = _digest(copy), self.folder / "tree.sha256"
        if not stamp.exists() or stamp.read_text() != digest:
            say("building pronghorn from the tree")
            if not self._pip("install", "--force-reinstall", "--no-deps", str(copy)):
                raise RuntimeError("pronghorn does not build from this tree; pip's words are above")
            stamp.write_text(digest)
        commit = _output(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], "no git")
        changed = _output(["git", "-C", str(ROOT), "status", "--porcelain", "--", *SOURCES], "")
        return commit + (" with uncommitted changes" if changed else "")

    def install_revision(self, revision: str) -> tuple[str, Path]:
        """Build a commit into a folder of its own, for a comparison within one run."""
        commit = _output(["git", "-C", str(ROOT), "rev-parse", "--short", f"{revision}^{{commit}}"])
        target = self.folder / f"revision-{commit}"
        if not target.exists():
            say(f"building pronghorn {commit}")
            with tempfile.TemporaryDirectory() as folder:
                archive = Path(folder, "tree.tar")
                _run(["git", "-C", str(ROOT), "archive", "--output", str(archive), commit])
                with tarfile.open(archive) as tar:
                    tar.extractall(Path(folder, "tree"), filter="data")
                if not self._pip("install", "--no-deps", "--target", str(target), str(Path(folder, "tree"))):
                    raise RuntimeError(f"pronghorn does not build at {commit}")
        return commit, target

    def installed(self) -> dict[str, str]:
        """Version of each distribution in the environment."""
        listing = _output([str(self.python), "-m", "pip", "list", "--format", "freeze", "--disable-pip-version-check"])
        return dict(line.split("==") for line in listing.splitlines() if "==" in line)

    def _pip(self, *arguments: str) -> bool:
        command = [str(self.python), "-m", "pip", "--disable-pip-version-check", "-qq", *arguments]
        return subprocess.run(command, stdout=sys.stderr).returncode == 0


def _copy_tree(copy: Path) -> None:
    """A copy that nobody edits during the build; what was compiled in it before stays."""
    copy.mkdir(exist_ok=True)
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.rmtree(copy / name, ignore_errors=True)
            shutil.copytree(
                ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.so", "*.c~", "__pycache__", "*.egg-info")
            )
        else:
            shutil.copy2(ROOT / name, copy / name)


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(path for name in SOURCES for path in [folder / name, *(folder / name).rglob("*")]):
        if path.is_file():
            total.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return total.hexdigest()


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)


def _output(command: list[str], otherwise: str | None = None) -> str:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode == 0:
        return result.stdout.strip()
    if otherwise is None:
        raise RuntimeError(f"{' '.join(command)}: {result.stderr.strip()}")
    return otherwise
