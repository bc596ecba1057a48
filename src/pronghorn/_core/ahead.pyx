# Input that has to wait. See ahead.pxd.

from libc.stdlib cimport malloc, realloc
from libc.string cimport memcpy, memmove


cdef ReadAhead* new_ahead(const char* at, size_t length) noexcept nogil:
    cdef size_t capacity = length + READ_ROOM
    cdef ReadAhead* ahead = <ReadAhead*> malloc(sizeof(ReadAhead) + capacity)
    if ahead is not NULL:
        ahead.start = 0
        ahead.end = length
        ahead.capacity = capacity
        memcpy(ahead.bytes, at, length)
    return ahead


cdef ReadAhead* make_room(ReadAhead* ahead, size_t wanted) noexcept nogil:
    cdef size_t capacity
    if ahead.capacity - ahead.end >= wanted:
        return ahead
    if ahead.start:
        memmove(ahead.bytes, ahead.bytes + ahead.start, ahead.end - ahead.start)
        ahead.end -= ahead.start
        ahead.start = 0
        if ahead.capacity - ahead.end >= wanted:
            return ahead
    capacity = 2 * ahead.capacity + wanted
    ahead = <ReadAhead*> realloc(ahead, sizeof(ReadAhead) + capacity)
    if ahead is not NULL:
        ahead.capacity = capacity
    return ahead
