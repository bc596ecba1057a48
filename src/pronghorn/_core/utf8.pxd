"""Strict UTF-8, checked in pieces as they come (RFC 3629 section 4, asked for by RFC 6455 section 8.1).

A state is what may come next, so text fails at the first byte that cannot continue it: overlong forms, surrogates and
code points above U+10FFFF fail at their second byte. A whole message is text when the state is ACCEPT again.
"""

from libc.stdint cimport uint32_t


cdef enum:
    ACCEPT = 0                  # between two characters: the state to start in
    REJECT = 1                  # for good: read as below, no byte is from 1 to 0
    # Within a character: bytes still missing << 16 | highest << 8 | lowest value of the next one.


cdef uint32_t check(uint32_t state, const char* data, size_t length) noexcept nogil
