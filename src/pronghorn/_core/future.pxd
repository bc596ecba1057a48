"""What a call of the application waits for: a future that can let it go on at once.

An asyncio future has its callbacks called in the next turn of the loop. Input that has just been read can be handed to
the application in the same turn, provided that nothing else is running: that saves a turn for every message. And a call
that waits for nothing else needs no task of asyncio's: it is a Sleeper, which is told.
"""

from libc.stdint cimport uint8_t


# loop -> the task in the middle of a step, where the C module of asyncio shows it (up to 3.13); else None.
cdef dict current_tasks


cdef class Sleeper:
    """What a Wait needs of who waits for it without a task. The drive's Call is one."""

    cdef void awake(self) noexcept


cdef class Wait:
    """As much of an `asyncio.Future` without a value as tasks, `asyncio.wait` and `shield` use. It is of use only while
    its loop runs, and an idle session has one: it does not remember the loop."""
    cdef Sleeper sleeper        # or None
    cdef object callbacks       # a list of (callback, context), or None; after cancel() its message
    cdef uint8_t finished
    cdef uint8_t dropped        # cancelled
    cdef public bint _asyncio_future_blocking

    cdef void complete(self, bint now) noexcept
    cdef void call(self, object callback, object context, bint now) noexcept
