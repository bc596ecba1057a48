"""The request target: its forms, and the path, raw_path and query_string that a scope has for it.

Paths are asked for again and again, so the two objects made of one are kept in a table of fixed size. Queries are not:
they differ, and may hold what should not be kept.
"""

from cpython.object cimport PyObject
from libc.stdint cimport uint64_t


cdef struct KnownPath:
    uint64_t hash
    PyObject* key               # owned: the bytes as received; NULL when free
    PyObject* path              # owned
    PyObject* raw_path          # owned


cdef struct Target:
    # Where the parts stand. Lengths of 0: no such part.
    const char* authority       # of the absolute form
    size_t authority_length
    const char* path
    size_t path_length
    const char* query
    size_t query_length


cdef bint split_target(const char* text, size_t length, bint options, Target* target) noexcept nogil
cdef bint valid_authority(const char* text, size_t length) noexcept nogil


cdef class Paths:
    """The paths asked for lately, below one root path. One for each event loop."""
    cdef str root
    cdef bytes raw_root
    cdef KnownPath* known
    # The answer of look_up().
    cdef object path
    cdef object raw_path

    cdef int look_up(self, const char* text, size_t length) except -1
    cdef int make(self, const char* text, size_t length) except -1
