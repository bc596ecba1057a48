"""WebSocket frames: their headers, read and written, and the masking of what comes from clients (RFC 6455 section 5).

One frame at a time, and no state: that a continuation continues something, how long a message may be and what a close
frame says is for the caller to know.
"""

from libc.stdint cimport uint8_t, uint64_t


cdef enum Opcode:
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8                   # from here on control frames: never fragmented, at most 125 bytes
    PING = 9
    PONG = 10


cdef enum:
    HEADER_MAX = 14             # bytes of the longest header of a masked frame; ours have no key and take 10


cdef enum CloseCode:
    # Section 7.4.1, and the IANA registry.
    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    NO_CODE = 1005              # never on the wire: the close had none
    ABNORMAL = 1006             # never on the wire: the connection was lost
    NOT_CONSISTENT = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012


cdef struct Frame:
    uint64_t length             # bytes of the payload, below 2^63
    uint8_t[4] key
    uint8_t opcode
    bint final
    bint compressed             # RSV1 (RFC 7692 section 6)


# The header of a client's frame; returns the bytes that it takes, 0 if not all of it is here, -1 if it breaks section
# 5.2 or 5.5 (close with 1002), which shows in the first byte that no longer fits. `extension`: permessage-deflate is
# agreed. `frame` is written only when the header is whole.
cdef int read_frame(const char* at, const char* end, bint extension, Frame* frame) noexcept nogil

# Copies while unmasking (section 5.3); `phase`: how many bytes of the payload came before. Returns all bytes or-ed
# together: ASCII if below 0x80. `to` may be `data`; the two must not overlap otherwise.
cdef uint8_t unmask(char* to, const char* data, size_t length, const uint8_t* key, size_t phase) noexcept nogil

# A whole payload as a new object. ASCII is unmasked straight into the str, other text is decoded strictly:
# UnicodeDecodeError (close with 1007).
cdef str text_of(const char* data, size_t length, const uint8_t* key)
cdef bytes bytes_of(const char* data, size_t length, const uint8_t* key)

# The header of a final frame without a mask; returns its bytes: 2, 4 or 10. There must be room for 10.
cdef size_t write_frame(char* to, uint8_t opcode, bint compressed, uint64_t length) noexcept nogil

# Whether an endpoint may put this code in a close frame (section 7.4 and the IANA registry).
cdef bint legal_close(int code) noexcept nogil
