"""The header section that a connection repeats (RFC 9110 section 6.3: all fields of a head).

Most clients send the same fields with every request of a connection. Once a connection has done so, the section is kept as it
was received, with what it came to: the next one that is equal to the last octet is not parsed again. Only what
the connection itself has sent is compared with, it may be secret; nothing is kept that frames a body or changes what
becomes of the connection, nor anything long.
"""

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t


cdef struct Section:
    PyObject* headers           # owned list: the pairs as the scope has them
    uint32_t length             # of the octets, the empty line among them
    bint forwarded              # there are fields in which proxies tell of their client
    char octets[1]              # `length` of them


cdef struct Memory:
    # What a connection remembers.
    Section* section            # or NULL
    uint64_t mark               # a hash of the section before that could have been one, 0: none


cdef Section* recall(Memory* memory, const char* at, const char* end) noexcept nogil
cdef void notice(Memory* memory, const char* at, const char* end, list headers, bint forwarded) noexcept
cdef void forget(Memory* memory) noexcept
