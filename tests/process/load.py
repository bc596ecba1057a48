"""Processes that serve together: who answers, which there are, and clients that keep them busy."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from pathlib import Path

from process.command import PATIENCE, Command

__all__ = ["Load", "alive", "ask", "children", "until"]


def ask(port: int, path: str = "/") -> int:
    """The process that answers a request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        assert response.status == 200
        return int(response.read())
    finally:
        connection.close()


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def children(command: Command) -> set[int]:
    return children_of(command.process.pid)


def children_of(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Load:
    """Clients that ask all the time, each request on a connection of its own, and note what goes wrong."""

    PAUSE = 0.005  # between two requests: what is under load is meant to get on, and asking costs more than answering

    def __init__(self, port: int, count: int = 4) -> None:
        self.port = port
        self.answered = 0
        self.errors: list[str] = []
        self.pids: set[int] = set()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(count)]

    def _run(self) -> None:
        while not self.over.wait(self.PAUSE):
            try:
                self.pids.add(ask(self.port))
                self.answered += 1
            except Exception as error:
                self.errors.append(repr(error))

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(PATIENCE)
