"""Request header fields: lower-cased, recognised, and turned into (name, value) tuples.

Clients send the same fields again and again, so ready tuples are kept in a table of fixed size, found by the line as
it was received: a field seen before costs a hash of a few words and one comparison. What may be secret (cookies,
credentials, tokens) is never kept, nor is anything long.
"""

from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef enum Field:
    # Fields that the server itself has to understand.
    ORDINARY
    HOST
    CONTENT_LENGTH
    TRANSFER_ENCODING
    CONNECTION
    EXPECT
    UPGRADE
    FORWARDED                   # a proxy's, about its client
    PRIVATE                     # ordinary, but its value is never kept
    UNDERSCORED                 # has "_" in its name: a proxy may take it for another one


cdef struct Entry:
    uint64_t hash
    PyObject* pair              # owned tuple, or NULL
    char* line                  # owned: the field as received, from the name to the end of the value
    uint32_t length             # of the line
    uint8_t field


cdef class Fields:
    """Names known from the start, and the pairs seen lately. One for each event loop."""
    cdef dict names             # lower-case name -> the bytes object to hand out
    cdef Entry* entries

    cdef object pair(self, const char* line, uint32_t name_length, uint32_t value, uint32_t value_length, Field* field)
    cdef object new_pair(self, const char* line, uint32_t name_length, uint32_t value, uint32_t value_length,
                         uint64_t hash, Field* field)
