"""A page of memory that supervisor and workers share: when each last showed that it lives, and how busy it is."""

from __future__ import annotations

import mmap
import os
import struct
import time

__all__ = ["MOST", "NOBODY", "SLOTS", "SLOT_SIZE", "Board", "anonymous_file"]

SLOTS = 256
SLOT_SIZE = 16
MOST = 200  # workers wanted at once: those that start and those that stop have slots as well
BEAT = struct.Struct("d")
CONNECTIONS = struct.Struct("I")
NOTE = struct.Struct("I")  # behind the connections
FRESH = 3.0  # seconds; a worker shows its life every second
NOBODY = 0xFFFFFFFF  # instead of a number of connections: this one does not accept any


def anonymous_file(size: int = SLOTS * SLOT_SIZE) -> int:
    """A descriptor of a file without a name, of the size of a board."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("pronghorn", os.MFD_CLOEXEC)
    else:
        import tempfile  # slow to import, and of use here only

        with tempfile.TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    os.ftruncate(file, size)
    return file


class Board:
    """For each slot the time of the last sign of life (`time.monotonic()`, the same in all processes of a machine), and
    behind it the open connections, which the compiled layer writes."""

    def __init__(self, file: int = -1, fresh: bool = True) -> None:
        """Without a file it is shared only with processes that are forked; not ``fresh``: somebody else made it."""
        self.file = file
        self.page = mmap.mmap(file, SLOTS * SLOT_SIZE)
        self.taken: set[int] = set()
        if not fresh:
            return
        for slot in range(SLOTS):
            CONNECTIONS.pack_into(self.page, slot * SLOT_SIZE + BEAT.size, NOBODY)

    def has_room(self) -> bool:
        return len(self.taken) < SLOTS

    def take(self) -> int:
        """A slot that is nobody's; its time begins now."""
        slot = next(slot for slot in range(SLOTS) if slot not in self.taken)
        self.taken.add(slot)
        self.show_life(slot)
        return slot

    def free(self, slot: int) -> None:
        """The worker has gone: nobody waits for it to take its share."""
        CONNECTIONS.pack_into(self.page, slot * SLOT_SIZE + BEAT.size, NOBODY)
        self.taken.discard(slot)

    def show_life(self, slot: int) -> None:
        BEAT.pack_into(self.page, slot * SLOT_SIZE, time.monotonic())

    def beat(self, slot: int) -> float:
        """When it was last shown."""
        found: float = BEAT.unpack_from(self.page, slot * SLOT_SIZE)[0]
        return found

    def is_fresh(self, slot: int) -> bool:
        """Whether the last one still counts: whoever shows it is not blocked."""
        return time.monotonic() - self.beat(slot) < FRESH

    def note(self, slot: int, number: int) -> None:
        """Leave a number for whoever reads it."""
        NOTE.pack_into(self.page, slot * SLOT_SIZE + BEAT.size + CONNECTIONS.size, number)

    def noted(self, slot: int) -> int:
        """The number that was left."""
        found: int = NOTE.unpack_from(self.page, slot * SLOT_SIZE + BEAT.size + CONNECTIONS.size)[0]
        return found
