"""What a service manager is told of the server: systemd's notification protocol (sd_notify(3)), without its library."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping

__all__ = ["Manager"]

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Manager:
    """The service manager that started this process; one that does not exist hears nothing."""

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        self.interval = watchdog / 2  # seconds between two signs of life; 0: nobody waits for them
        self.due = 0.0
        self.socket: socket.socket | None = None
        if address[:1] in ("/", "@") and hasattr(socket, "AF_UNIX"):
            self.address = "\0" + address[1:] if address.startswith("@") else address
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.socket.setblocking(False)

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Manager:
        """The one that the environment names. The variables are removed: no child is to speak for us."""
        address, microseconds, pid = (environ.pop(variable, "") for variable in VARIABLES)
        watched = microseconds.isascii() and microseconds.isdigit() and pid in ("", str(os.getpid()))
        return cls(address, int(microseconds) / 1e6 if watched else 0.0)

    def ready(self, status: str) -> None:
        """The server serves: for the first time, or again after ``reloading()``."""
        self.tell("READY=1", f"MAINPID={os.getpid()}", f"STATUS={status}")

    def reloading(self) -> None:
        """It is being reloaded, until it is ``ready()`` again."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.tell("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=Reloading")

    def stopping(self) -> None:
        self.tell("STOPPING=1", "STATUS=Stopping")

    def main_process(self, pid: int) -> None:
        """Another process is the one to be watched, and to be listened to."""
        self.tell(f"MAINPID={pid}")

    def status(self, text: str) -> None:
        self.tell(f"STATUS={text}")

    def alive(self) -> None:
        """Called every now and then while all is well; the watchdog hears of it when it is time."""
        now = time.monotonic()
        if self.interval and now >= self.due:
            self.due = now + self.interval
            self.tell("WATCHDOG=1")

    def tell(self, *lines: str) -> None:
        if self.socket is not None:
            with contextlib.suppress(OSError):  # a manager that does not listen must not hold us up
                self.socket.sendto("\n".join(lines).encode(), self.address)

    def close(self) -> None:
        """Let go of it; in a worker, too."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None
