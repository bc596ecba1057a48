"""The read-ahead: input that has to wait, in memory of a connection's own. It grows."""


cdef enum:
    READ_ROOM = 4096            # free memory for the next read into it


cdef struct ReadAhead:
    size_t start                # what is left to parse
    size_t end
    size_t capacity
    char bytes[1]


# A copy of `length` bytes with room behind; NULL if there is no memory.
cdef ReadAhead* new_ahead(const char* at, size_t length) noexcept nogil

# See to it that there is room for `wanted` bytes at `bytes + end`; returns where the read-ahead is now, NULL (and the
# old one is as it was) if there is no memory.
cdef ReadAhead* make_room(ReadAhead* ahead, size_t wanted) noexcept nogil
