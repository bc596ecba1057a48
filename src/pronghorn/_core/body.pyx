# Request body framing. See body.pxd.

from libc.string cimport memcmp, memset

from .octets cimport TOKEN, hex_value, is_text, lower


cdef void expect_body(Decoder* decoder, bint chunked, uint64_t length) noexcept nogil:
    """Begin with a body in chunks, or of this length."""
    memset(decoder, 0, sizeof(Decoder))
    decoder.state = SIZE if chunked else LENGTH if length else ENDED
    decoder.remaining = length


cdef inline bint forbidden(const char* name, uint8_t length) noexcept nogil:
    """Fields that would change how the message is read, by whom or with what rights (RFC 9110 section 6.5.1)."""
    if length == 4:
        return memcmp(name, b"host", 4) == 0
    if length == 7:
        return memcmp(name, b"upgrade", 7) == 0 or memcmp(name, b"trailer", 7) == 0
    if length == 10:
        return memcmp(name, b"connection", 10) == 0
    if length == 12:
        return memcmp(name, b"content-type", 12) == 0
    if length == 13:
        return memcmp(name, b"authorization", 13) == 0 or memcmp(name, b"content-range", 13) == 0
    if length == 14:
        return memcmp(name, b"content-length", 14) == 0
    if length == 16:
        return memcmp(name, b"content-encoding", 16) == 0
    if length == 17:
        return memcmp(name, b"transfer-encoding", 17) == 0
    return False


cdef inline Decoded broken(Decoder* decoder, uint16_t status) noexcept nogil:
    decoder.status = status
    return BROKEN


cdef bint is_late(const Decoder* decoder, const BodyLimits* limits, uint32_t taken, uint32_t silent) noexcept nogil:
    """taken: ticks from the beginning to the last bytes that came; silent: since those. Silence is a matter of the gap
    alone: of a pause that is short enough the rate knows when it is over."""
    if limits.gap and silent >= limits.gap:
        return True
    return taken > limits.grace and decoder.total < <uint64_t> limits.rate * (taken - limits.grace)


cdef Decoded decode(Decoder* decoder, const BodyLimits* limits, const char** at, const char* end,
                    const char** data, size_t* length) noexcept nogil:
    """Use input from `at` on, which is moved behind what was used."""
    cdef const char* p = at[0]
    cdef uint8_t octet, digit
    while True:
        if decoder.state == ENDED:
            at[0] = p
            return END
        if p == end:
            at[0] = p
            return MORE
        if decoder.state == LENGTH or decoder.state == CHUNK:
            data[0] = p
            length[0] = <size_t> min(<uint64_t> (end - p), decoder.remaining)
            decoder.remaining -= length[0]
            decoder.total += length[0]
            if decoder.remaining == 0:
                decoder.state = ENDED if decoder.state == LENGTH else CHUNK_CR
            at[0] = p + length[0]
            return DATA
        octet = <uint8_t> p[0]
        p += 1

        if decoder.state == SIZE:
            digit = hex_value(octet)
            if digit != 255:
                # 16 digits are what 64 bits hold; more, even zeros, are a way to make two servers disagree.
                if decoder.digits == 16 or decoder.remaining >> 59:
                    return broken(decoder, 400)
                decoder.digits += 1
                decoder.remaining = decoder.remaining << 4 | digit
                continue
            if decoder.digits == 0:
                return broken(decoder, 400)
            if limits.body and decoder.total + decoder.remaining > limits.body:
                return broken(decoder, 413)
            if octet == c';':
                decoder.state = EXTENSION_NAME
                decoder.extension = decoder.count = 0
            elif octet == c'\r':
                decoder.state = SIZE_LF
            else:
                return broken(decoder, 400)

        elif decoder.state <= EXTENSION_CLOSED:
            decoder.extension += 1
            decoder.extensions += 1
            if limits.extension and decoder.extension > limits.extension \
                    or limits.extensions and decoder.extensions > limits.extensions:
                return broken(decoder, 400)
            if not extend(decoder, octet):
                return broken(decoder, 400)

        elif decoder.state == SIZE_LF:
            if octet != c'\n':
                return broken(decoder, 400)
            decoder.state = CHUNK if decoder.remaining else TRAILER
            decoder.digits = 0

        elif decoder.state == CHUNK_CR:
            if octet != c'\r':
                return broken(decoder, 400)
            decoder.state = CHUNK_LF

        elif decoder.state == CHUNK_LF:
            if octet != c'\n':
                return broken(decoder, 400)
            decoder.state = SIZE

        elif decoder.state == LAST_LF:
            if octet != c'\n':
                return broken(decoder, 400)
            decoder.state = ENDED

        else:
            decoder.trailer_size += decoder.state != TRAILER or octet != c'\r'
            if limits.trailer_size and decoder.trailer_size > limits.trailer_size:
                return broken(decoder, 431)
            if not trail(decoder, octet):
                return broken(decoder, 400)
            if limits.trailer_fields and decoder.trailer_fields > limits.trailer_fields:
                return broken(decoder, 431)


cdef inline bint extend(Decoder* decoder, uint8_t octet) noexcept nogil:
    """One character of chunk-ext: *( ";" name [ "=" ( token / quoted-string ) ] ), without the bad whitespace."""
    if decoder.state == EXTENSION_NAME or decoder.state == EXTENSION_VALUE:
        if TOKEN[octet]:
            decoder.count = 1
            return True
        if decoder.state == EXTENSION_VALUE and octet == c'"' and decoder.count == 0:
            decoder.state = EXTENSION_QUOTED
            return True
        if decoder.count == 0:
            return False
        if decoder.state == EXTENSION_NAME and octet == c'=':
            decoder.state = EXTENSION_VALUE
            decoder.count = 0
            return True
        return extension_ends(decoder, octet)
    if decoder.state == EXTENSION_QUOTED:
        if octet == c'"':
            decoder.state = EXTENSION_CLOSED
        elif octet == c'\\':
            decoder.state = EXTENSION_ESCAPE
        return is_text(octet)
    if decoder.state == EXTENSION_ESCAPE:
        decoder.state = EXTENSION_QUOTED
        return is_text(octet)
    return extension_ends(decoder, octet)


cdef inline bint extension_ends(Decoder* decoder, uint8_t octet) noexcept nogil:
    decoder.count = 0
    if octet == c';':
        decoder.state = EXTENSION_NAME
    elif octet == c'\r':
        decoder.state = SIZE_LF
    else:
        return False
    return True


cdef inline bint trail(Decoder* decoder, uint8_t octet) noexcept nogil:
    """One character of the trailer section, which is checked and thrown away."""
    if decoder.state == TRAILER:
        if octet == c'\r':
            decoder.state = LAST_LF
            return True
        decoder.state = TRAILER_NAME
        decoder.name_length = 0
        decoder.trailer_fields += 1
    if decoder.state == TRAILER_NAME:
        if octet == c':':
            decoder.state = TRAILER_VALUE
            return decoder.name_length > 0 and not forbidden(decoder.name, decoder.name_length)
        if decoder.name_length < LONGEST_FORBIDDEN:
            decoder.name[decoder.name_length] = lower(octet)
            decoder.name_length += 1
        return TOKEN[octet]
    if decoder.state == TRAILER_VALUE:
        if octet == c'\r':
            decoder.state = TRAILER_LF
            return True
        return is_text(octet)
    decoder.state = TRAILER
    return octet == c'\n'


def decode_pieces(list pieces, length=None, limit=0, extension=0, extensions=0, trailer_fields=0, trailer_size=0):
    """Decode a body that comes in pieces; for tests and measurements.

    length: of a content-length body, or None for a chunked one. Returns (body, rest, ended); raises ValueError with
    the status to answer.
    """
    cdef Decoder decoder
    cdef BodyLimits limits
    cdef Decoded decoded
    cdef const char* at
    cdef const char* data = NULL
    cdef size_t size = 0
    limits.body, limits.extension, limits.extensions = limit, extension, extensions
    limits.trailer_fields, limits.trailer_size = trailer_fields, trailer_size
    expect_body(&decoder, length is None, length or 0)
    body = bytearray()
    rest = b""
    for piece in pieces:
        if decoder.state == ENDED:
            rest += piece
            continue
        at = <const char*> piece
        end = at + len(piece)
        while True:
            decoded = decode(&decoder, &limits, &at, end, &data, &size)
            if decoded == DATA:
                body += data[:size]
            elif decoded == BROKEN:
                raise ValueError(decoder.status)
            else:
                break
        if decoded == END:
            rest += at[:end - at]
    return bytes(body), rest, decoder.state == ENDED
