# permessage-deflate. See deflate.pxd.

import zlib

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from .octets cimport TOKEN

try:
    from zlib_ng import zlib_ng as fast
except ImportError:
    fast = zlib

backend = "zlib" if fast is zlib else "zlib-ng"

cdef tuple ERRORS = (zlib.error, fast.error)
cdef bytes END = b"\x00\x00\xff\xff"    # of every flush; not sent (RFC 7692 sections 7.2.1 and 7.2.2)
cdef int SYNC_FLUSH = zlib.Z_SYNC_FLUSH
cdef int FULL_FLUSH = zlib.Z_FULL_FLUSH

cdef enum:
    # Streams that may end within a piece, and one more for each so many bytes of it. To start a new one costs as much
    # as a small message and takes two bytes on the wire.
    ENDINGS = 16
    BYTES_PER_ENDING = 4096


cdef class DeflateOptions:
    """What a server agrees to. The defaults keep an idle session that has compressed and inflated below 48 KiB."""

    def __init__(self, int window_bits=12, int memory_level=4, int level=1, size_t min_size=64):
        # zlib makes no raw stream with a window of 8 bits.
        if not (9 <= window_bits <= 15 and 1 <= memory_level <= 9 and 0 <= level <= 9):
            raise ValueError("window_bits is 9 to 15, memory_level 1 to 9, level 0 to 9")
        self.window_bits = window_bits
        self.memory_level = memory_level
        self.level = level
        self.min_size = min_size
        self.spare = {}


# Section 9.1 of RFC 6455, with the implied white space of RFC 2616:
#     extension-list = 1#( token *( ";" token [ "=" ( token / quoted-string that holds a token ) ] ) )

cdef inline const char* skip(const char* at, const char* end) noexcept nogil:
    while at < end and (at[0] == c' ' or at[0] == c'\t'):
        at += 1
    return at


cdef inline bint stands(const char* at, const char* end, char octet) noexcept nogil:
    return at < end and at[0] == octet


cdef bytes read_token(const char** cursor, const char* end):
    cdef const char* at = cursor[0]
    while at < end and TOKEN[<unsigned char> at[0]]:
        at += 1
    if at == cursor[0]:
        raise ValueError("Sec-WebSocket-Extensions: a token is missing")
    cdef bytes token = cursor[0][:at - cursor[0]]
    cursor[0] = skip(at, end)
    return token


cdef bytes read_value(const char** cursor, const char* end):
    """A token, or a quoted string that is one when its escapes are taken away."""
    cdef bytearray value
    cdef const char* at = cursor[0]
    if not stands(at, end, c'"'):
        return read_token(cursor, end)
    value = bytearray()
    at += 1
    while not stands(at, end, c'"'):
        if stands(at, end, c'\\'):
            at += 1
        if at == end or not TOKEN[<unsigned char> at[0]]:
            raise ValueError("Sec-WebSocket-Extensions: a quoted value is not a token")
        value.append(<unsigned char> at[0])
        at += 1
    if not value:
        raise ValueError("Sec-WebSocket-Extensions: a quoted value is empty")
    cursor[0] = skip(at + 1, end)
    return bytes(value)


cdef list read_offers(bytes line):
    """[(name, [(parameter, value or None)])]"""
    cdef list offers = []
    cdef list parameters
    cdef const char* at = line
    cdef const char* end = at + len(line)
    while True:
        at = skip(at, end)
        if at < end and at[0] != c',':      # a list may have empty elements (RFC 9110 section 5.6.1.2)
            name = read_token(&at, end)
            parameters = []
            while stands(at, end, c';'):
                at = skip(at + 1, end)
                parameter = read_token(&at, end)
                value = None
                if stands(at, end, c'='):
                    at = skip(at + 1, end)
                    value = read_value(&at, end)
                parameters.append((parameter, value))
            offers.append((name, parameters))
        if at == end:
            return offers
        if at[0] != c',':
            raise ValueError("Sec-WebSocket-Extensions: neither the next parameter nor the next extension")
        at += 1


cdef int window(bytes value) except -1:
    """The bits of a window (RFC 7692 section 7.1.2); 0 for anything that is not 8 to 15 in plain digits."""
    if len(value) == 1 and value in b"89" or value in (b"10", b"11", b"12", b"13", b"14", b"15"):
        return int(value)
    return 0


cdef Deflate agree(list parameters, DeflateOptions options):
    """One offer; None if it is not acceptable (RFC 7692 section 7.1)."""
    cdef Deflate agreed = Deflate.__new__(Deflate)
    cdef set seen = set()
    agreed.options = options
    agreed.min_size = options.min_size
    agreed.server_takeover = agreed.client_takeover = True
    # A compressor with a smaller window than may be has nothing to announce.
    agreed.server_bits = options.window_bits
    agreed.client_bits = 15
    response = b"permessage-deflate"
    for name, value in parameters:
        if name in seen:
            return None
        seen.add(name)
        if name == b"server_no_context_takeover" and value is None:
            agreed.server_takeover = False
            response += b"; server_no_context_takeover"
        elif name == b"client_no_context_takeover" and value is None:
            agreed.client_takeover = False
            response += b"; client_no_context_takeover"
        elif name == b"server_max_window_bits" and value is not None:
            bits = window(value)
            if not bits:
                return None
            agreed.server_bits = min(bits, options.window_bits)
            response += b"; server_max_window_bits=%d" % agreed.server_bits
        elif name == b"client_max_window_bits":
            bits = 15 if value is None else window(value)
            if not bits:
                return None
            agreed.client_bits = min(bits, options.window_bits)
            response += b"; client_max_window_bits=%d" % agreed.client_bits
        else:
            return None
    agreed.response = response
    return agreed


cpdef Deflate negotiate(list offers, DeflateOptions options):
    cdef Deflate agreed = None
    for line in offers:
        for name, parameters in read_offers(line):
            if agreed is None and name == b"permessage-deflate":
                agreed = agree(parameters, options)
    return agreed


cdef class Deflate:
    """The agreed extension of one session."""

    cdef bytes compress(self, object data):
        cdef bytes head, tail, payload
        cdef Py_ssize_t length
        if not len(data):
            return b"\x00"          # section 7.2.3.6; the context stays as it is
        # With a window of 8 bits zlib is given 9: it never refers back further than the window less 262 bytes, so 250
        # bytes with 9, which a window of 256 holds. The same goes for zlib-ng.
        cdef int bits = max(self.server_bits, 9)
        if self.server_takeover:
            compressor, self.compressor = self.compressor, None
        else:
            compressor = self.options.spare.pop(bits, None)
        if compressor is None:
            module = zlib if self.server_takeover else fast
            compressor = module.compressobj(self.options.level, zlib.DEFLATED, -bits, self.options.memory_level)
        head = compressor.compress(data)
        # What follows a full flush refers to nothing before it.
        tail = compressor.flush(SYNC_FLUSH if self.server_takeover else FULL_FLUSH)
        length = PyBytes_GET_SIZE(head) + PyBytes_GET_SIZE(tail) - 4
        if not tail.endswith(END):
            raise RuntimeError("the flush of a compressor does not end as zlib's does")
        # Back to where it was taken from; not if anything was raised, and meanwhile no other thread finds it.
        if self.server_takeover:
            self.compressor = compressor
        else:
            self.options.spare[bits] = compressor
        payload = PyBytes_FromStringAndSize(NULL, length)
        memcpy(PyBytes_AS_STRING(payload), PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
        memcpy(PyBytes_AS_STRING(payload) + PyBytes_GET_SIZE(head), PyBytes_AS_STRING(tail), PyBytes_GET_SIZE(tail) - 4)
        return payload

    cdef int begin(self, bytes data, bint last) except -1:
        self.at = 0
        self.rest = b""
        self.last = last
        self.endings = ENDINGS + len(data) // BYTES_PER_ENDING
        # The end is only for a stream that was begun: some compressors make nothing at all of an empty message.
        self.closing = last
        if last and 0 < len(data) <= STEP - 4:
            self.piece = data + END
            self.closing = False
        else:
            self.piece = data
        return 0

    cdef bytes step(self, size_t most):
        cdef bytes out
        cdef size_t limit = min(max(most, 1), <size_t> STEP)
        if self.piece is None:
            return None
        if self.rest:
            given = self.rest
        elif self.at < len(self.piece):
            given = self.piece if len(self.piece) <= STEP else memoryview(self.piece)[self.at:self.at + STEP]
            self.at += len(given)
        elif self.closing and self.fed:
            given = END
            self.closing = False
        else:
            self.finish()
            return None
        if self.decompressor is None:
            self.decompressor = (zlib if self.client_takeover else fast).decompressobj(-max(self.client_bits, 9))
        try:
            out = self.decompressor.decompress(given, limit)
        except ERRORS:
            self.drop()
            raise ValueError("a compressed message is broken") from None
        self.fed = True
        if self.decompressor.eof:
            self.end_stream()
        else:
            # What zlib still has to say when it has used all input comes with the next: nothing ends but with END.
            self.rest = self.decompressor.unconsumed_tail
        return out

    cdef int end_stream(self) except -1:
        """A block with BFINAL (section 7.2.3.4): what follows is a new stream, which starts without context."""
        cdef bytes rest = self.decompressor.unused_data
        self.decompressor = None
        self.fed = False
        if self.last and not self.closing and self.at == len(self.piece):
            # A payload may end with its stream, without an empty block behind: then there is nothing to close.
            if len(rest) < 4:
                self.drop()
                raise ValueError("a compressed message is broken")
            if len(rest) == 4:
                rest = b""
        self.rest = rest
        self.endings -= 1
        if self.endings < 0:
            self.drop()
            raise ValueError("a compressed message has too many final blocks")
        return 0

    cdef int finish(self) except -1:
        """The piece is all used."""
        self.piece = self.rest = None
        if self.last:
            self.fed = False
            if not self.client_takeover:
                self.decompressor = None
        return 0

    cdef int drop(self) except -1:
        self.decompressor = self.piece = self.rest = None
        self.fed = False
        return 0


def compress_message(Deflate agreed, data):
    """The payload of one message; for tests and measurements."""
    return agreed.compress(data)


def inflate_pieces(Deflate agreed, list pieces, size_t most=STEP):
    """The steps of one message in pieces, one after the other; raises ValueError if it is broken."""
    cdef Py_ssize_t i
    for i in range(len(pieces)):
        agreed.begin(pieces[i], i == len(pieces) - 1)
        while (out := agreed.step(most)) is not None:
            yield out
