"""Request body framing: where the body's bytes are and where it ends (RFC 9112 sections 6.2 and 7.1).

A decoder takes any piece of input and gives back the body bytes in it, in place. The chunked form is accepted as
strictly as the grammar allows: one reading of a body that a proxy reads otherwise is how requests are smuggled.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef struct BodyLimits:
    # Bytes; trailer_fields: how many. 0 is no limit.
    uint64_t body
    uint32_t extension          # chunk extensions on one line
    uint32_t extensions         # in the whole body
    uint32_t trailer_fields
    uint32_t trailer_size
    # And in time, in ticks.
    uint32_t gap                # between two reads
    uint32_t grace              # that does not count for the rate
    uint32_t rate               # bytes per tick, of the whole body


cdef enum Decoded:
    MORE                        # all input was used, the body goes on
    DATA                        # `data` and `length` are body bytes; call again with the rest
    END                         # the body has ended; the rest is the next message's
    BROKEN                      # `status` says what to answer


cdef enum State:
    LENGTH                      # counting down a content-length
    SIZE                        # chunk-size
    EXTENSION_NAME              # chunk-ext
    EXTENSION_VALUE
    EXTENSION_QUOTED
    EXTENSION_ESCAPE
    EXTENSION_CLOSED
    SIZE_LF
    CHUNK
    CHUNK_CR
    CHUNK_LF
    TRAILER                     # at the start of a trailer line, or of the last line
    TRAILER_NAME
    TRAILER_VALUE
    TRAILER_LF
    LAST_LF
    ENDED


cdef enum:
    LONGEST_FORBIDDEN = 20      # room for the names that must not be trailers


cdef struct Decoder:
    uint64_t remaining          # bytes of the content or of the chunk that are still to come
    uint64_t total              # body bytes so far
    uint32_t extension          # bytes of extensions on this line
    uint32_t extensions         # and in this body
    uint32_t trailer_size
    uint16_t trailer_fields
    uint16_t status             # after BROKEN
    uint8_t state
    uint8_t digits              # of the chunk size
    uint8_t count               # characters of the extension name or value, capped
    uint8_t name_length         # of the trailer, capped
    char[LONGEST_FORBIDDEN] name


cdef void expect_body(Decoder* decoder, bint chunked, uint64_t length) noexcept nogil
cdef bint is_late(const Decoder* decoder, const BodyLimits* limits, uint32_t taken, uint32_t silent) noexcept nogil
cdef Decoded decode(Decoder* decoder, const BodyLimits* limits, const char** at, const char* end,
                    const char** data, size_t* length) noexcept nogil
