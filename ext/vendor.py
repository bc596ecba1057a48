"""llhttp, taken at build time from a source archive pinned by its hash.

The archive named in vendor.lock carries llhttp 9.4.3 and its licence. `ensure()` asks pip for it, so that pip's own
configuration, proxies and mirrors apply and no host is named here, and copies five files into ext/llhttp. A source
distribution of ours contains these files and their stamp: built from it, nothing is fetched.

PRONGHORN_LLHTTP_SDIST=/path/to/archive.tar.gz takes the archive from a file instead; its hash is checked as well.
"""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
LOCK = ROOT / "vendor.lock"
TARGET = ROOT / "llhttp"
STAMP = TARGET / ".sha256"

# What is copied: path inside the archive, below its top folder -> name in ext/llhttp.
MEMBERS = {
    "vendor/llhttp/LICENSE": "LICENSE",
    "vendor/llhttp/include/llhttp.h": "llhttp.h",
    "vendor/llhttp/src/api.c": "api.c",
    "vendor/llhttp/src/http.c": "http.c",
    "vendor/llhttp/src/llhttp.c": "llhttp.c",
}

# For setup.py, relative to its folder as setuptools wants them.
INCLUDE = "ext/llhttp"
SOURCES = [f"{INCLUDE}/{name}" for name in MEMBERS.values() if name.endswith(".c")]
HEADERS = [f"{INCLUDE}/{name}" for name in MEMBERS.values() if name.endswith(".h")]


def pinned_hash() -> str:
    match = re.search(r"--hash=sha256:([0-9a-f]{64})\b", LOCK.read_text())
    if match is None:
        sys.exit(f"{LOCK}: no sha256 in it")
    return match[1]


def present() -> bool:
    """True when ext/llhttp holds every file of the pinned archive."""
    files = all((TARGET / name).is_file() for name in MEMBERS.values())
    return files and STAMP.is_file() and STAMP.read_text().strip() == pinned_hash()


def ensure() -> None:
    """Have the pinned llhttp in ext/llhttp; does nothing when it is there."""
    if present():
        return
    if archive := os.environ.get("PRONGHORN_LLHTTP_SDIST"):
        unpack(Path(archive))
        return
    with tempfile.TemporaryDirectory() as folder:
        unpack(download(Path(folder)))


def download(folder: Path) -> Path:
    """The pinned archive, fetched by pip into the folder."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    # Without isolation: pip always runs the archive's metadata hook, and would otherwise fetch unpinned tools for it.
    command += ["--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
    command += ["--requirement", str(LOCK), "--dest", str(folder)]
    # A front end announces its backend to child processes; the archive's own hook must not hear of ours.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("_PYPROJECT_HOOKS_")}
    if subprocess.run(command, env=environment).returncode:
        sys.exit(
            "llhttp could not be fetched. Offline: build from a source distribution of pronghorn, or set "
            f"PRONGHORN_LLHTTP_SDIST to a copy of the archive named in {LOCK}"
        )
    (archive,) = folder.iterdir()
    return archive


def unpack(archive: Path) -> None:
    """Copy the named members, and nothing else, after checking the hash."""
    content = archive.read_bytes()
    found, wanted = hashlib.sha256(content).hexdigest(), pinned_hash()
    if found != wanted:
        sys.exit(f"{archive}: sha256 is {found}, ext/vendor.lock wants {wanted}")
    TARGET.mkdir(exist_ok=True)
    with tarfile.open(archive) as tar:
        top = os.path.commonpath(tar.getnames())
        for member, name in MEMBERS.items():
            source = tar.extractfile(f"{top}/{member}")
            if source is None:
                sys.exit(f"{archive}: {member} is not a file")
            (TARGET / name).write_bytes(source.read())
    STAMP.write_text(wanted + "\n")  # last: without it the files do not count


if __name__ == "__main__":
    ensure()
