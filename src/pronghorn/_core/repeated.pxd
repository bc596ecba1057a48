"""The headers that an application sends with one response after another.

One that writes them as constants sends the same objects each time. A pair of bytes objects cannot change, so the lines
that were made of it once are what would be made of it again: they are copied, and neither checked nor put together.
"""

from cpython.object cimport PyObject

from .output cimport Output
from .response cimport Declared


cdef enum:
    MOST_PAIRS = 8
    LONGEST_LINES = 1024        # bytes of all of them
    PLACES = 16                 # sets of headers that are kept; a power of two


cdef struct Kept:
    Py_ssize_t count            # of the pairs, 0: the place is free
    PyObject* pairs[MOST_PAIRS] # owned, so that no other object comes to stand there
    PyObject* lines             # owned: bytes
    Declared declared           # what they say


cdef class Repeated:
    """The headers of the responses of one event loop."""
    cdef Kept[PLACES] places

    cdef int write(self, Output out, object headers, Declared* declared) except -1
    cdef int keep(self, Kept* place, list headers, bytes lines, Declared* declared) except -1
