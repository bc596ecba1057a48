# Strict UTF-8 in pieces. See utf8.pxd.

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    CONTINUED = 0xbf80          # any continuation byte comes next


cdef inline uint32_t begin(uint8_t octet) noexcept nogil:
    """The state behind the first byte of a character of several."""
    if octet < 0xc2:            # a continuation byte, or an overlong form of ASCII
        return REJECT
    if octet < 0xe0:
        return 1 << 16 | CONTINUED
    if octet < 0xf0:
        if octet == 0xe0:       # below U+0800 is overlong
            return 2 << 16 | 0xbfa0
        if octet == 0xed:       # U+D800 to U+DFFF are surrogates
            return 2 << 16 | 0x9f80
        return 2 << 16 | CONTINUED
    if octet == 0xf0:           # below U+10000 is overlong
        return 3 << 16 | 0xbf90
    if octet < 0xf4:
        return 3 << 16 | CONTINUED
    if octet == 0xf4:           # above U+10FFFF is nothing
        return 3 << 16 | 0x8f80
    return REJECT


cdef inline int whole(const uint8_t* at) noexcept nogil:
    """The length of the character of several bytes that stands here, all within four bytes; 0 to look closer."""
    cdef uint32_t word = <uint32_t> at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]
    if word & 0xe0c00000U == 0xc0800000U:
        return 2 if word >= 0xc2000000U else 0
    if word & 0xf0c0c000U == 0xe0808000U:
        return 3 if word >= 0xe0a00000U and not 0xeda00000U <= word <= 0xedffffffU else 0
    if word & 0xf8c0c0c0U == 0xf0808080U:
        return 4 if 0xf0900000U <= word <= 0xf48fffffU else 0
    return 0


cdef uint32_t check(uint32_t state, const char* data, size_t length) noexcept nogil:
    cdef const uint8_t* at = <const uint8_t*> data
    cdef const uint8_t* end = at + length
    cdef uint64_t[2] words
    cdef uint8_t octet
    while at < end:
        if state == ACCEPT:
            while end - at >= 16:
                memcpy(words, at, 16)
                if (words[0] | words[1]) & <uint64_t> 0x8080808080808080:
                    break
                at += 16
            while at < end and at[0] < 0x80:
                at += 1
            while end - at >= 4:
                length = whole(at)
                if length == 0:
                    break
                at += length
            if at == end:
                break
            if at[0] < 0x80:
                continue
            state = begin(at[0])
            if state == REJECT:
                return REJECT
            at += 1
        else:
            octet = at[0]
            if octet < (state & 0xff) or octet > (state >> 8 & 0xff):
                return REJECT
            state = (state & 0x30000) - (1 << 16)
            if state:
                state |= CONTINUED
            at += 1
    return state


def check_pieces(list pieces):
    """Check text that comes in pieces; for tests and measurements.

    Returns True if all of it is UTF-8, None if it ends within a character, False otherwise.
    """
    cdef uint32_t state = ACCEPT
    for piece in pieces:
        state = check(state, <bytes> piece, len(piece))
    if state == REJECT:
        return False
    return True if state == ACCEPT else None
