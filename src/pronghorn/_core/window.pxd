"""Memory of ours as Python's other extension modules see it: a buffer that is moved to wherever the bytes are."""


cdef class Window:
    """Memory to read from or write into: exports `length` bytes at `start`, which the owner keeps in place meanwhile."""
    cdef char* start
    cdef size_t length
