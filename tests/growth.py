"""What a server has in memory and open, to see whether it grows."""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from serving import Server

__all__ = ["measure", "resident"]


def measure(server: Server) -> tuple[Counter[str], int, int]:
    """Objects that are the server's or asyncio's, allocated blocks, open descriptors."""
    server.until(lambda: server.open == 0 and server.active == 0, "nothing is under way", within=5)
    server.take_log()
    server.calls.clear()
    gc.collect()
    kinds = Counter(
        f"{type(one).__module__}.{type(one).__qualname__}"
        for one in gc.get_objects()
        if str(type(one).__module__).startswith(("pronghorn", "asyncio", "_asyncio", "uvloop"))
    )
    return kinds, sys.getallocatedblocks(), len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """The resident size of this process, in bytes."""
    if "asan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("a sanitizer keeps memory that has been freed")
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
