"""The request head: llhttp run over it, and where its parts stand.

llhttp checks the grammar and calls back with spans; a span is kept as an offset from the start of the message, so that
nothing is copied and the bytes may be moved between two reads. The body is not llhttp's business here (see body.pxd):
it is told that there is none, and stops after the empty line.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from .llhttp cimport llhttp_t
from .section cimport Memory, Section


cdef struct HeadLimits:
    # Bytes; fields: how many. 0 is no limit.
    uint32_t line               # the request target, whose length makes the request line's
    uint32_t field              # one name and its value
    uint32_t total              # the whole head
    uint32_t fields


cdef struct Span:
    uint32_t name               # offsets from Head.base
    uint32_t name_length
    uint32_t value
    uint32_t value_length


cdef enum Part:
    NOTHING                     # what the last span belonged to
    UNKNOWN_METHOD              # llhttp has given up: the end of the method is not here yet
    TARGET
    NAME
    VALUE


cdef enum Parsed:
    REFUSED = -1                # `status` says with what
    PARTIAL = 0                 # everything was taken, the head goes on
    COMPLETE = 1


cdef struct Head:
    llhttp_t parser
    const char* base            # where the message starts; set before each run
    HeadLimits limits
    uint32_t room               # spans there is memory for
    uint32_t count              # fields so far
    uint32_t method             # offset of a method that llhttp does not know
    uint32_t method_length      # and its length; 0: it knows the method
    uint32_t minor              # offset of the minor version, where it is one from 2 to 9; else 0
    uint32_t target             # offset
    uint32_t target_length
    uint16_t status             # why it was refused: an HTTP status, 0 while it is not
    uint8_t part
    uint16_t flags              # llhttp's flags at the end of the head
    size_t length               # of the whole head, when it is complete
    Section* again              # the section, if it is the one that the connection remembers; then there are no spans
    Span spans[1]               # `room` of them


cdef Head* new_head(HeadLimits* limits) except NULL
cdef Head* copy_head(Head* head) except NULL
cdef Parsed start_head(Head* head, Memory* memory, const char* at, const char* end, const char** rest) noexcept nogil
cdef Parsed run_head(Head* head, const char* data, size_t length, const char** rest) noexcept nogil
cdef const char* fields_of(Head* head) noexcept nogil
cdef object method_name(Head* head)
cdef bint only_line_ends(const char* at, const char* end) noexcept nogil
