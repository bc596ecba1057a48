"""Autobahn's fuzzing client against a server started here; a table for each section on stdout.

    autobahn.py [--server COMMAND] [all | quick | SECTION...]

The server is pronghorn in the environment of this interpreter, with its default settings, or COMMAND, in which {port}
is filled in; it is started in tests/conformance, where echo:app is. Only OK and INFORMATIONAL pass: a case that fails,
is not strict, closes badly or did not run makes the exit status 1. The reports stay in build/autobahn.

The suite runs on Python 2.7 only. An interpreter is looked for on the path and among pyenv's; its packages go below
.venv, once. When that cannot be had, the reason is printed and the exit status is 77.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ROOT / ".venv" / "autobahn-python2.7"
REPORTS = ROOT / "build" / "autobahn"
SKIPPED = 77
START_PATIENCE, STOP_PATIENCE = 20.0, 40.0  # seconds
LIMIT = 3600.0  # seconds for the whole run

# Section -> what it is about, cases.
SECTIONS = {
    "1": ("framing", 16),
    "2": ("pings and pongs", 11),
    "3": ("reserved bits", 7),
    "4": ("opcodes", 10),
    "5": ("fragmentation", 20),
    "6": ("UTF-8", 145),
    "7": ("closing", 37),
    "9": ("limits and performance", 54),
    "10": ("automatic fragmentation", 1),
    "12": ("compression, one parameter set", 90),
    "13": ("compression, many parameter sets", 126),
}
QUICK = [section for section in SECTIONS if section not in ("12", "13")]
PASSING = {"OK", "INFORMATIONAL"}

# autobahn must be 0.10.9: later ones break section 12. The suite itself asks for more than it uses.
SUITE = "autobahntestsuite==25.10.1"
REQUIREMENTS = [
    "autobahn==0.10.9",
    "twisted==20.3.0",
    "txaio==2.1.0",
    "klein==17.10.0",
    "werkzeug==0.16.1",
    "jinja2==2.11.3",
    "markupsafe==1.1.1",
    "zope.interface==5.5.2",
    "cryptography==3.3.2",
    "pyopenssl==20.0.1",
    "service_identity==18.1.0",
    "incremental==21.3.0",
    "attrs==21.4.0",
    "unittest2==1.1.0",
    "ujson==2.0.3",
    "wsaccel==0.6.6",
]
WSTEST = "import site, sys; site.addsitedir(sys.argv.pop(1)); from autobahntestsuite.wstest import run; run()"


class Missing(Exception):
    """This machine cannot run the suite; the text says why."""


def python27() -> str:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [path] if (path := shutil.which("python2.7")) else []
    found += [str(path) for path in sorted(pyenv.glob("versions/2.7*/bin/python"))]
    for path in found:
        probe = [path, "-c", "import pip, sys; sys.exit(sys.version_info[:2] != (2, 7))"]
        if subprocess.run(probe, capture_output=True).returncode == 0:
            return path
    raise Missing("Autobahn's suite needs Python 2.7 with pip, and there is none on the path or in pyenv")


def install(python: str) -> None:
    """The suite and what it stands on, in a folder of their own; made once for each list of versions."""
    stamp = PACKAGES / "stamp"
    wanted = hashlib.sha256("\n".join([python, SUITE, *REQUIREMENTS]).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("installing Autobahn's suite for Python 2.7", file=sys.stderr, flush=True)
    shutil.rmtree(PACKAGES, ignore_errors=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-qq", "--target", str(PACKAGES)]
    for packages in (REQUIREMENTS, ["--no-deps", SUITE]):
        done = subprocess.run([*pip, *packages], capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise Missing(f"the suite does not install on {python}: {last}")
    stamp.write_text(wanted)


@contextlib.contextmanager
def server(template: str | None) -> Iterator[int]:
    """A server on a free port, gone at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    default = [sys.executable, "-m", "pronghorn", "echo:app", "--port", str(port), "--no-access-log"]
    command = shlex.split(template.replace("{port}", str(port))) if template else default
    log = REPORTS / "server.log"
    with log.open("wb") as output:
        folder = ROOT / "tests" / "conformance"
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_PATIENCE
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the server did not start: {shlex.join(command)}\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield port
        if process.poll() is not None:
            sys.exit(f"the server ended with code {process.returncode}\n{log.read_text(errors='replace')[-2000:]}")
    finally:
        process.terminate()
        try:
            process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run(python: str, port: int, sections: list[str]) -> dict[str, dict[str, str]]:
    """Case -> what the suite says about it."""
    specification = REPORTS / "specification.json"
    asked = {
        "outdir": str(REPORTS),
        "servers": [{"agent": "server", "url": f"ws://127.0.0.1:{port}"}],
        "cases": [f"{section}.*" for section in sections],
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    specification.write_text(json.dumps(asked, indent=1))
    log = REPORTS / "client.log"
    command = [python, "-c", WSTEST, str(PACKAGES), "-m", "fuzzingclient", "-s", str(specification)]
    with log.open("wb") as output:
        code = subprocess.run(command, cwd=REPORTS, stdout=output, stderr=output, timeout=LIMIT).returncode
    index = REPORTS / "index.json"
    if code or not index.exists():
        sys.exit(f"the suite ended with code {code}\n{log.read_text(errors='replace')[-2000:]}")
    return next(iter(json.loads(index.read_text()).values()), {})


def judge(cases: dict[str, dict[str, str]], sections: list[str]) -> bool:
    """Print the table; true when everything that was asked for has passed."""
    head = f"{'section':<40} {'cases':>5} {'ok':>5} {'info':>5} {'non-strict':>10} {'failed':>6} {'bad close':>9}"
    print(head)
    bad = []
    for section in sections:
        title, wanted = SECTIONS[section]
        found = {name: case for name, case in cases.items() if name.split(".")[0] == section}
        kinds = Counter(case["behavior"] for case in found.values())
        closes = [name for name, case in found.items() if case["behaviorClose"] not in PASSING]
        failed = len(found) - kinds["OK"] - kinds["INFORMATIONAL"] - kinds["NON-STRICT"]
        print(
            f"{section:>2}  {title:<36} {len(found):>5} {kinds['OK']:>5} {kinds['INFORMATIONAL']:>5}"
            f" {kinds['NON-STRICT']:>10} {failed:>6} {len(closes):>9}"
        )
        if len(found) != wanted:
            bad.append(f"{section}: {len(found)} cases ran, not {wanted}")
        for name, case in sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")]):
            if not {case["behavior"], case["behaviorClose"]} <= PASSING:
                bad.append(f"{name}: {case['behavior']}, close {case['behaviorClose']} ({case['reportfile']})")
    if bad:
        print("\n".join(["", f"not passed, details in {REPORTS.relative_to(ROOT)}:", *bad]))
    return not bad


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="ci/autobahn", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--server", metavar="COMMAND", default=os.environ.get("AUTOBAHN_SERVER"))
    parser.add_argument("sections", nargs="*", default=["all"], help=f"of {' '.join(SECTIONS)}")
    options = parser.parse_args()
    chosen = {"all": list(SECTIONS), "quick": QUICK}
    sections = [section for word in options.sections for section in chosen.get(word, [word])]
    if unknown := set(sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")

    PACKAGES.parent.mkdir(exist_ok=True)
    with (PACKAGES.parent / "autobahn.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one run at a time: the suite is not fair to another
        try:
            python = python27()
            install(python)
        except Missing as reason:
            print(reason)
            sys.exit(SKIPPED)
        shutil.rmtree(REPORTS, ignore_errors=True)
        REPORTS.mkdir(parents=True)
        began = time.monotonic()
        with server(options.server) as port:
            cases = run(python, port, sections)
        passed = judge(cases, sections)
        print(f"\n{'passed' if passed else 'NOT passed'}, {time.monotonic() - began:.0f} s")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
