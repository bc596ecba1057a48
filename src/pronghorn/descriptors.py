"""How many connections the system's limit on open files allows, and what is said of it."""

from __future__ import annotations

import sys

from pronghorn.loggers import server_log

if sys.platform != "win32":
    import resource

__all__ = ["connections_the_process_can_hold", "tell_of_the_limit"]

USUAL = 10_000  # connections, where nothing else limits them
OTHERS = 64  # descriptors for files, pipes and the application's own
FEW = 100  # connections that hardly anybody means by a limit on open files


def open_files() -> int | None:
    """How many the process may have; None: as many as it likes."""
    if sys.platform == "win32":
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def connections_the_process_can_hold() -> int:
    """10,000, or what the limit on open files leaves beside 64 for files, pipes and the application's own."""
    files = open_files()
    return USUAL if files is None else max(1, min(USUAL, files - OTHERS))


def tell_of_the_limit(connections: int | None) -> None:
    """Say so where it is the limit on open files that limits the connections; ``connections``: the setting."""
    files = open_files()
    if files is None:
        return
    room = max(1, files - OTHERS)
    if not connections or connections > room:
        server_log().warning(
            "limit_connections is %s, but a process may have %d files open (ulimit -n): enough for %d connection(s).",
            connections or "off", files, room,
        )  # fmt: skip
    elif connections == room < FEW:
        server_log().warning(
            "limit_connections is %d, as a process may have %d files open (ulimit -n), and %d are kept for "
            "other files. Raise that limit, or set limit_connections.",
            room, files, OTHERS,
        )  # fmt: skip
    elif connections == room < USUAL:
        server_log().info("limit_connections is %d, as a process may have %d files open (ulimit -n)", room, files)
