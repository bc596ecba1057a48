"""Memory of ours: as Python's other extension modules see it, and what all connections are read into.

A connection's application may run the event loop inside of its step, while its wire is still being fed from the memory
that everything is read into. Then other connections are read into new memory, and the old is freed when that feed is over.
"""

from libc.stdlib cimport free


cdef class Window:
    """Memory to read from or write into: exports `length` bytes at `start`, which the owner keeps in place meanwhile."""
    cdef char* start
    cdef size_t length


cdef class Buffer:
    """Memory that is read into by everything."""
    cdef char* memory
    cdef size_t size
    cdef bint used              # something is being fed from it

    cdef char* another(self) noexcept


cdef inline char* room(Buffer buffer) noexcept:
    """Where to read to, `size` bytes; NULL: there is no memory."""
    return buffer.another() if buffer.used else buffer.memory


cdef inline char* begin_use(Buffer buffer) noexcept:
    """What has been read is about to be fed."""
    buffer.used = True
    return buffer.memory


cdef inline void end_use(Buffer buffer, char* memory) noexcept:
    """The same for its end; memory: what begin_use() returned."""
    if buffer.memory is memory:
        buffer.used = False
    else:
        free(memory)
