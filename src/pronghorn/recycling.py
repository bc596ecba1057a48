"""When a worker that serves well is replaced all the same: its requests, its age, its memory."""

from __future__ import annotations

import os
import random
from typing import Protocol

__all__ = ["jitter", "reason_to_replace", "resident"]

SAMPLE = 5.0  # seconds between two looks, and from the start to the first: not even a wrong limit makes a storm
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Limits(Protocol):
    """The settings."""

    workers_lifetime: float | None
    workers_max_rss: int | None


class Aged(Protocol):
    """A worker."""

    pid: int
    born: float
    luck: float
    looked_at: float
    worn: bool


def jitter() -> float:
    """A number from 0 to 0.1: workers that were started together must not be replaced together."""
    return random.random() / 10


def reason_to_replace(limits: Limits, worker: Aged, now: float) -> str | None:
    """What the log says of it, or None."""
    if now < worker.looked_at + SAMPLE:
        return None
    worker.looked_at = now
    if worker.worn:
        return "it has served as many requests as limit_max_requests allows"
    if limits.workers_lifetime and now - worker.born > limits.workers_lifetime * (1 + worker.luck):
        return "it is as old as workers_lifetime allows"
    if limits.workers_max_rss and (size := resident(worker.pid)) > limits.workers_max_rss:
        return f"it has {size} bytes of memory, more than workers_max_rss allows"
    return None


def resident(pid: int) -> int:
    """Bytes of memory that a process has for itself or shares with others; 0 where nobody tells."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * PAGE
    except (OSError, ValueError, IndexError):
        return 0
