"""The real command in a process of its own: its lines as they come, its port, its exit status."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

__all__ = ["PATIENCE", "Client", "Command"]

PATIENCE = 60.0  # seconds until something that should happen counts as not happening
RUNNING = re.compile(r"Pronghorn running on (?:http://\S+:(\d+)|\S+)")


class Command:
    """A started command. Its output is read all the time, so that it never waits for us."""

    def __init__(
        self, args: Sequence[str], cwd: Path, *, pass_fds: Sequence[int] = (), env: Mapping[str, str] | None = None
    ) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            args,
            cwd=cwd,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error", "COLUMNS": "200"} | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        assert self.process.stdout and self.process.stderr
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.out), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stderr, self.err), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    lines.append(line.rstrip("\n"))
                    self.lines.append(line.rstrip("\n"))
                    self._changed.notify_all()

    def wait_for(self, text: str, times: int = 1) -> str:
        """Wait for a line with a text in it, or for so many of them, and return the last of these.

        What several processes print may run into one line: print() writes the end of a line by itself.
        """
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while len(found := [line for line in self.lines for _ in range(line.count(text))]) < times:
                left = deadline - time.monotonic()
                assert left > 0 and self._alive_or_read(), f"no line with {text!r}:\n" + "\n".join(self.lines)
                self._changed.wait(min(left, 0.1))
        return found[times - 1]

    def _alive_or_read(self) -> bool:
        return self.process.poll() is None or any(reader.is_alive() for reader in self._readers)

    @property
    def port(self) -> int:
        """The port it says it is running on."""
        found = RUNNING.search(self.wait_for("running on"))
        assert found and found[1], self.lines
        return int(found[1])

    def send(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def exit(self) -> int:
        """Wait for the end: the exit status. All lines are there then."""
        status = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        return status

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop, and wait until it has."""
        self.send(number)
        return self.exit()

    def clean(self) -> None:
        """No traceback, no warning, nothing that was ignored."""
        noise = [line for line in self.err if "Traceback" in line or "Warning" in line or "ignored" in line]
        assert not noise, "\n".join(self.lines)

    def kill(self) -> None:
        """End it whatever it does; for the end of a test."""
        if self.process.poll() is None:
            self.process.kill()
        self.exit()


class Client:
    """One connection, in plain bytes."""

    def __init__(self, address: int | str) -> None:
        if isinstance(address, int):
            self.socket = socket.create_connection(("127.0.0.1", address), timeout=PATIENCE)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            try:
                self.socket.connect(address)
            except OSError:
                self.socket.close()
                raise

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def request(self, target: str = "/", *headers: str) -> None:
        lines = [f"GET {target} HTTP/1.1", "Host: test", *headers, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())

    def until(self, end: bytes) -> bytes:
        """Read until what was read contains ``end``."""
        data = b""
        while end not in data:
            part = self.socket.recv(65536)
            assert part, f"closed after {data!r}"
            data += part
        return data

    def rest(self) -> bytes:
        """Read until the other side closes; a reset counts as well."""
        data = b""
        try:
            while part := self.socket.recv(65536):
                data += part
        except ConnectionResetError:
            pass
        return data
