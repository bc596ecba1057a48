# WebSocket frames. See frames.pxd.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_DecodeUTF8
from libc.string cimport memcpy

cdef extern from "Python.h":
    str PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    typedef uint64_t frames_lane __attribute__((vector_size(16)));

    static inline frames_lane frames_load(const char *at) { frames_lane lane; memcpy(&lane, at, 16); return lane; }
    static inline uint64_t frames_word(const char *at) { uint64_t word; memcpy(&word, at, 8); return word; }

    /* The key, twice, as it goes on behind so many bytes. */
    static inline uint64_t frames_turn(uint64_t key, size_t phase) {
        const unsigned shift = (phase & 3) * 8;
    #if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        return key >> shift | key << (-shift & 63);
    #else
        return key << shift | key >> (-shift & 63);
    #endif
    }

    /* Lanes by hand: a loop for the compiler to vectorise would be guarded by a test for overlap, and go byte by byte
       in place. Lanes of AVX2 were measured: half the time at 1 to 16 kB, where it is 25 to 360 ns, and none of it at
       60 kB, where memory is what counts. */
    static inline uint8_t frames_unmask(char *to, const char *data, size_t length, const uint8_t *four, size_t phase) {
        uint32_t half;
        uint64_t key, seen = 0;
        size_t i = 0;
        memcpy(&half, four, 4);
        key = frames_turn((uint64_t) half << 32 | half, phase);
        if (length >= 8) {
            /* The last word overlaps what the loops do, so it is read before them and written after them. */
            const uint64_t last = frames_word(data + length - 8) ^ frames_turn(key, length);
            if (length >= 64) {
                const frames_lane keys = {key, key};
                frames_lane all = {0, 0};
                for (; i + 64 <= length; i += 64) {
                    const frames_lane a = frames_load(data + i) ^ keys;
                    const frames_lane b = frames_load(data + i + 16) ^ keys;
                    const frames_lane c = frames_load(data + i + 32) ^ keys;
                    const frames_lane d = frames_load(data + i + 48) ^ keys;
                    all |= (a | b) | (c | d);
                    memcpy(to + i, &a, 16);
                    memcpy(to + i + 16, &b, 16);
                    memcpy(to + i + 32, &c, 16);
                    memcpy(to + i + 48, &d, 16);
                }
                seen = all[0] | all[1];
            }
            for (; i + 8 <= length; i += 8) {
                const uint64_t word = frames_word(data + i) ^ key;
                seen |= word;
                memcpy(to + i, &word, 8);
            }
            seen |= last;
            memcpy(to + length - 8, &last, 8);
        } else {
            for (; i < length; i++) {
                const uint8_t octet = (uint8_t) data[i] ^ four[(phase + i) & 3];
                seen |= octet;
                to[i] = (char) octet;
            }
        }
        seen |= seen >> 32;
        seen |= seen >> 16;
        return (uint8_t) (seen | seen >> 8);
    }
    """
    uint8_t frames_unmask(char* to, const char* data, size_t length, const uint8_t* four, size_t phase) noexcept nogil


cdef int read_frame(const char* at, const char* end, bint extension, Frame* frame) noexcept nogil:
    cdef const uint8_t* octets = <const uint8_t*> at
    cdef Py_ssize_t size = end - at
    cdef uint64_t length
    cdef uint8_t opcode
    cdef int used, here, i
    if size < 1:
        return 0
    opcode = octets[0] & 0x0f
    # RSV2 and RSV3 mean nothing; neither do opcodes 3 to 7 and 11 to 15.
    if octets[0] & 0x30 or not 0x707 >> opcode & 1:
        return -1
    # RSV1 stands on the first frame of a data message alone (RFC 7692 section 6).
    if octets[0] & 0x40 and not (extension and (opcode == TEXT or opcode == BINARY)):
        return -1
    if opcode >= CLOSE and not octets[0] & 0x80:
        return -1
    if size < 2:
        return 0
    # A client masks (section 5.1).
    if not octets[1] & 0x80:
        return -1
    length = octets[1] & 0x7f
    used = 2
    if length > 125:
        if opcode >= CLOSE:
            return -1
        used = 4 if length == 126 else 10
        length = 0
        here = <int> min(size, used) - 2
        for i in range(here):
            length = length << 8 | octets[2 + i]
        # The shortest form must be used, and the top bit of the longest is 0. That two bytes would have been enough
        # shows when six of the eight are here.
        if used == 4:
            if here == 2 and length < 126:
                return -1
        elif here > 0 and octets[2] & 0x80 or here > 5 and length >> 8 * (here - 6) == 0:
            return -1
    if size < used + 4:
        return 0
    frame.length = length
    memcpy(frame.key, octets + used, 4)
    frame.opcode = opcode
    frame.final = octets[0] >> 7
    frame.compressed = octets[0] >> 6 & 1
    return used + 4


cdef uint8_t unmask(char* to, const char* data, size_t length, const uint8_t* key, size_t phase) noexcept nogil:
    return frames_unmask(to, data, length, key, phase)


cdef str text_of(const char* data, size_t length, const uint8_t* key):
    cdef str text = PyUnicode_New(length, 127)
    cdef char* characters = <char*> PyUnicode_1BYTE_DATA(text)
    if length and unmask(characters, data, length, key, 0) >= 0x80:
        return PyUnicode_DecodeUTF8(characters, length, NULL)
    return text


cdef bytes bytes_of(const char* data, size_t length, const uint8_t* key):
    cdef bytes content = PyBytes_FromStringAndSize(NULL, length)
    if length:
        unmask(PyBytes_AS_STRING(content), data, length, key, 0)
    return content


cdef size_t write_frame(char* to, uint8_t opcode, bint compressed, uint64_t length) noexcept nogil:
    cdef uint8_t* octets = <uint8_t*> to
    cdef int i
    octets[0] = 0x80 | (0x40 if compressed else 0) | opcode
    if length < 126:
        octets[1] = <uint8_t> length
        return 2
    if length < 65536:
        octets[1] = 126
        octets[2] = <uint8_t> (length >> 8)
        octets[3] = <uint8_t> length
        return 4
    octets[1] = 127
    for i in range(8):
        octets[2 + i] = <uint8_t> (length >> 8 * (7 - i))
    return 10


cdef bint legal_close(int code) noexcept nogil:
    # 1004 is reserved; 1005, 1006 and 1015 stand for what was never on the wire. 1012 to 1014 were registered later.
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def read_header(const uint8_t[::1] data, bint extension=False):
    """Read the header of a client's frame; for tests and measurements.

    Returns (bytes used, opcode, final, compressed, length, key), None if the header is not whole; raises ValueError if
    it breaks the protocol.
    """
    cdef Frame frame
    cdef const char* at = <const char*> &data[0] if len(data) else NULL
    cdef int used = read_frame(at, at + len(data), extension, &frame)
    if used < 0:
        raise ValueError("not a frame of a client")
    if used == 0:
        return None
    return used, frame.opcode, bool(frame.final), bool(frame.compressed), frame.length, bytes(frame.key[:4])


def write_header(int opcode, uint64_t length, bint compressed=False):
    """The header of a server's frame."""
    cdef char[HEADER_MAX] header
    cdef size_t used = write_frame(header, <uint8_t> opcode, compressed, length)
    return <bytes> header[:used]


def unmask_pieces(list pieces, bytes key, bint in_place=False):
    """Unmask a payload that comes in pieces, into memory of its own or where it is; returns (payload, all or-ed)."""
    cdef size_t phase = 0
    cdef uint8_t seen = 0
    cdef bytearray source, target
    cdef bytearray payload = bytearray()
    if len(key) != 4:
        raise ValueError("a key is four bytes")
    for piece in pieces:
        source = bytearray(piece)
        target = source if in_place else bytearray(len(source))
        seen |= unmask(target, source, len(source), <const uint8_t*> <const char*> key, phase)
        phase += len(source)
        payload += target
    return bytes(payload), seen


def text_payload(bytes data, bytes key):
    """The text in a masked payload; raises UnicodeDecodeError."""
    if len(key) != 4:
        raise ValueError("a key is four bytes")
    return text_of(data, len(data), <const uint8_t*> <const char*> key)


def bytes_payload(bytes data, bytes key):
    """The bytes in a masked payload."""
    if len(key) != 4:
        raise ValueError("a key is four bytes")
    return bytes_of(data, len(data), <const uint8_t*> <const char*> key)


def is_legal_close(int code):
    """Whether a close frame may carry this code."""
    return bool(legal_close(code))
