"""The gather buffer: one growable piece of memory that a loop's connections write their answers into.

A connection that is being served (corked) leaves what it writes in the buffer, and the edge sends all of it with one
system call. A connection written to from elsewhere meanwhile appends behind, sends its part and takes it back: the
buffer is used as a stack, so it never needs a lock or a second one. One connection at a time is corked: what stands in the
buffer from its start on is that one's alone. See wire.cork().
"""

from libc.string cimport memcpy


cdef enum:
    LARGE = 16384               # from here on bytes are sent from where they are instead of being copied
    GATHERED = 65536            # what may gather before it is sent


cdef class Output:
    cdef char* data             # owned; never NULL
    cdef size_t size            # bytes in use
    cdef size_t capacity        # bytes allocated
    cdef object holder          # the wire whose connection is corked, or None

    cdef int grow(self, size_t extra) except -1


cdef inline char* reserve(Output out, size_t extra) except NULL:
    """Room for `extra` more bytes; returns where they go. The caller adds what it used to `size`."""
    if out.capacity - out.size < extra:
        out.grow(extra)
    return out.data + out.size


cdef inline int append(Output out, const char* data, size_t length) except -1:
    memcpy(reserve(out, length), data, length)
    out.size += length
    return 0
