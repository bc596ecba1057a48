"""What a call of the application waits for: a future that can let its task go on at once.

An asyncio future has its callbacks called in the next turn of the loop. Input that has just been read can be handed to
the application in the same turn, provided that nothing else is running: that saves a turn for every message.
"""


cdef class Wait:
    """As much of an `asyncio.Future` without a value as tasks, `asyncio.wait` and `shield` use."""
    cdef object loop
    cdef object callback        # of the one who waits: called with this object
    cdef object context         # in which it is called
    cdef list others            # of (callback, context), or None
    cdef object message         # of the cancellation
    cdef bint finished
    cdef bint dropped           # cancelled
    cdef public bint _asyncio_future_blocking

    cdef void complete(self, bint now) noexcept
    cdef void call(self, object callback, object context, bint now) noexcept
