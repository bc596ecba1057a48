"""Classes of octets that HTTP's grammar names, and numbers as it writes them."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    WORD = 8                    # octets that are looked at together


cdef extern from *:
    """
    /* token: what field names, methods and chunk extensions are made of (RFC 9110 section 5.6.2) */
    static const unsigned char octets_token[256] = {
        ['!'] = 1, [0x23 ... 0x27] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1, ['0' ... '9'] = 1,
        ['A' ... 'Z'] = 1, ['^' ... 'z'] = 1, ['|'] = 1, ['~'] = 1,
    };
    """
    const uint8_t[256] TOKEN "octets_token"


cdef inline bint is_text(uint8_t octet) noexcept nogil:
    """field-value and quoted-string characters: no control characters but tab."""
    return octet == 9 or (octet >= 32 and octet != 127)


cdef inline uint8_t lower(uint8_t octet) noexcept nogil:
    return octet | (<uint8_t> (octet - c'A') < 26) << 5


cdef inline uint64_t each(uint8_t octet) noexcept nogil:
    """A word of eight of them."""
    return octet * <uint64_t> 0x0101010101010101


cdef inline uint64_t word_of(const char* text) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, text, WORD)
    return word


cdef inline size_t next_word(size_t at, size_t length) noexcept nogil:
    """Where the word behind the one at `at` begins; the last one overlaps. `length`: there is none."""
    if at + WORD == length:
        return length
    return min(at + WORD, length - WORD)


cdef inline bint copy_plain_name(char* target, const char* text, size_t length) noexcept nogil:
    """Copy a name of eight octets or more that is made of lower-case letters and hyphens, as most are. False: it is not;
    then something has been written all the same, no longer than the name.

    The upper bit of each octet of a word tells; sums of 7-bit octets do not reach the next one."""
    cdef uint64_t word, bad = 0
    cdef size_t at = 0
    if length < WORD:
        return False
    while at != length:
        word = word_of(text + at)
        # At least a, not above z; or no difference from a hyphen.
        bad |= word | ~(((word + each(0x1f)) & ~(word + each(0x05)))
                        | ~((word ^ each(c'-')) + each(0x7f)))
        memcpy(target + at, &word, WORD)
        at = next_word(at, length)
    return bad & each(0x80) == 0


cdef inline bint is_plain_text(const char* text, size_t length) noexcept nogil:
    """Whether eight octets or more are printable ASCII; False: they may not be."""
    cdef uint64_t word, bad = 0
    cdef size_t at = 0
    if length < WORD:
        return False
    while at != length:
        word = word_of(text + at)
        bad |= word | ~(word + each(0x60)) | (word + each(0x01))      # below a space; DEL
        at = next_word(at, length)
    return bad & each(0x80) == 0


cdef inline uint8_t hex_value(uint8_t octet) noexcept nogil:
    """Of a hexadecimal digit; 255 for anything else."""
    if c'0' <= octet <= c'9':
        return octet - c'0'
    octet |= 0x20
    return octet - c'a' + 10 if c'a' <= octet <= c'f' else 255


cdef inline int64_t read_length(const char* text, size_t length) noexcept nogil:
    """A Content-Length: digits alone, below 2^63 (RFC 9110 section 8.6); -1 for anything else."""
    cdef uint64_t number = 0
    cdef size_t i
    if length == 0 or length > 19:
        return -1
    for i in range(length):
        if not c'0' <= text[i] <= c'9':
            return -1
        number = number * 10 + (text[i] - c'0')
    return -1 if number >> 63 else <int64_t> number
