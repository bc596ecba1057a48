"""One server at a time: started on its core, watched through /proc, ended by its process ids."""

import http.client
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
START_PATIENCE = 15.0  # seconds until the first answer
STOP_PATIENCE = 5.0  # seconds between SIGTERM and SIGKILL


class Failure(Exception):
    """A server did not do what was asked of it; the text is for the report."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A running server with its children.

    `first_answer` is the number of seconds from its start to its first complete response. What it says goes to `log`;
    with an access log (not `quiet`) standard output goes nowhere, the same for all.
    """

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        core: int | str,
        folder: Path,
        log: Path,
        environment: Mapping[str, str],
        quiet: bool = True,
        secure: bool = False,
    ) -> None:
        self.port = port
        self._secure = secure
        self._log = log
        started = time.perf_counter()
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                ["taskset", "--cpu-list", str(core), *command],
                cwd=folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output if quiet else subprocess.DEVNULL,
                stderr=output,
                start_new_session=True,
            )
        try:
            self._wait_for_answer(started + START_PATIENCE)
        except BaseException:
            self.stop()
            raise
        self.first_answer = time.perf_counter() - started

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _wait_for_answer(self, deadline: float) -> None:
        while True:
            if self._popen.poll() is not None:
                raise Failure(f"ended with code {self._popen.returncode}: {self._last_line()}")
            if time.perf_counter() > deadline:
                raise Failure(f"no answer {START_PATIENCE:.0f} s after its start: {self._last_line()}")
            try:
                self.ask("GET", None)
                return
            except (OSError, http.client.HTTPException):
                time.sleep(0.002)

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "it printed nothing"

    def ask(self, method: str, body: bytes | None) -> tuple[int, bytes]:
        """One request on a connection of its own."""
        if self._secure:
            context = ssl._create_unverified_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=5, context=context
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request(method, "/", body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def tree(self) -> list[int]:
        """Process ids: the one that was started and all that stand below it."""
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (fields := _stat(int(entry.name))):
                parents[int(entry.name)] = int(fields[1])
        found = [self._popen.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def cpu(self) -> tuple[float, float]:
        """Seconds of user and system time used so far by the whole tree."""
        fields = [fields for pid in self.tree() if (fields := _stat(pid))]
        return sum(int(f[11]) for f in fields) / TICK, sum(int(f[12]) for f in fields) / TICK

    def peak(self) -> int:
        """Bytes: the sum of each process's largest resident size; pages they share count in each."""
        return sum(_status(pid, "VmHWM") for pid in self.tree())

    def resident(self) -> int:
        return sum(_status(pid, "VmRSS") for pid in self.tree())

    def stop(self) -> None:
        pids = self.tree()
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
            try:
                self._popen.wait(STOP_PATIENCE)
            except subprocess.TimeoutExpired:
                pass
        for pid in pids:
            # Its session is our own child's: a process id that was given to somebody else meanwhile is left alone.
            try:
                if os.getsid(pid) == self._popen.pid:
                    os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._popen.wait()


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, state first; none when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _status(pid: int, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":")), 0)
