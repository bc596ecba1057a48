# The request target (RFC 9112 section 3.2, RFC 3986). See target.pxd.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_INCREF, Py_XDECREF
from cpython.unicode cimport PyUnicode_DecodeASCII, PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memchr, memcmp, memcpy

from .octets cimport hex_value

cdef enum:
    KNOWN_PATHS = 256           # about 40 KiB when full
    LONGEST_PATH = 96

# What may stand in a target. Stricter than llhttp: no control characters, no space, nothing above 0x7E. Otherwise the
# path is the application's business: backslashes, dots and double slashes go through as they came.
cdef uint8_t[256] TARGET
# A registered name or an address, without what ends an authority or hides one: no userinfo (RFC 9110 section 4.2.4),
# and no comma, which would make a list of two hosts.
cdef uint8_t[256] AUTHORITY
for _octet in range(256):
    _character = chr(_octet)
    TARGET[_octet] = 0x20 < _octet < 0x7f
    AUTHORITY[_octet] = _octet < 128 and (_character.isalnum() or _character in "-._~!$&'()*+;=%")


cdef bint split_target(const char* text, size_t length, bint options, Target* target) noexcept nogil:
    """Find the parts; False if it is not a target that a server takes. `options`: the method is OPTIONS."""
    cdef const char* end = text + length
    cdef const char* found
    cdef size_t i
    cdef uint8_t good = 1
    for i in range(length):
        good &= TARGET[<uint8_t> text[i]]
    if not good or length == 0:
        return False
    target.authority = target.query = NULL
    target.authority_length = target.query_length = 0
    if text[0] != c'/':
        if length == 1 and text[0] == c'*':
            target.path = text
            target.path_length = 1
            return options
        # absolute-form: http://authority/path. The scheme says nothing that the connection does not.
        if length > 7 and starts(text, b"http://", 7):
            text += 7
        elif length > 8 and starts(text, b"https://", 8):
            text += 8
        else:
            return False
        target.authority = text
        while text < end and text[0] != c'/' and text[0] != c'?' and text[0] != c'#':
            text += 1
        target.authority_length = text - target.authority
        if target.authority_length == 0:
            return False
    # A fragment is never sent by a client that means well; as part of the path it would be read in two ways.
    if memchr(text, c'#', end - text) is not NULL:
        return False
    found = <const char*> memchr(text, c'?', end - text)
    target.path = text
    target.path_length = (end if found is NULL else found) - text
    if target.path_length == 0:         # http://authority is http://authority/
        target.path = b"/"
        target.path_length = 1
    if found is not NULL:
        target.query = found + 1
        target.query_length = end - found - 1
    return True


cdef inline bint starts(const char* text, const char* word, size_t length) noexcept nogil:
    """Whether `text` starts with `word`, whatever the case; `word` is in lower case."""
    cdef size_t i
    for i in range(length):
        if text[i] | 0x20 != word[i] and text[i] != word[i]:
            return False
    return True


cdef bint valid_authority(const char* text, size_t length) noexcept nogil:
    """A Host field's value: uri-host [ ":" port ] (RFC 9110 section 7.2), the port of as many digits as the client likes."""
    cdef size_t i = 0
    if length == 0:
        return False
    if text[0] == c'[':
        # IP-literal: what is inside is the application's to look at, but it must be of such characters, and closed.
        i = 1
        while i < length and text[i] != c']':
            if not AUTHORITY[<uint8_t> text[i]] and text[i] != c':':
                return False
            i += 1
        if i < 3 or i == length:
            return False
        i += 1
    else:
        while i < length and text[i] != c':':
            if not AUTHORITY[<uint8_t> text[i]]:
                return False
            if text[i] == c'%' and (i + 2 >= length or hex_value(text[i + 1]) == 255
                                    or hex_value(text[i + 2]) == 255):
                return False
            i += 1
        if i == 0:
            return False
    if i < length:
        if text[i] != c':':
            return False
        i += 1
        while i < length:
            if not c'0' <= text[i] <= c'9':
                return False
            i += 1
    return True


cdef inline uint64_t hash_of(const char* text, size_t length) noexcept nogil:
    cdef uint64_t hash = length
    cdef uint64_t word = 0
    while length >= 8:
        memcpy(&word, text, 8)
        hash = (hash ^ word) * <uint64_t> 0x9E3779B97F4A7C15
        hash ^= hash >> 29
        text += 8
        length -= 8
    word = 0
    memcpy(&word, text, length)
    hash = (hash ^ word) * <uint64_t> 0x9E3779B97F4A7C15
    return hash ^ (hash >> 32)


cdef class Paths:
    """root: put in front of every path, as uvicorn does it."""

    def __cinit__(self, str root=""):
        self.known = <KnownPath*> calloc(KNOWN_PATHS, sizeof(KnownPath))
        if self.known is NULL:
            raise MemoryError()
        self.root = root
        self.raw_root = root.encode("ascii", "replace")

    def __dealloc__(self):
        if self.known is not NULL:
            for i in range(KNOWN_PATHS):
                Py_XDECREF(self.known[i].key)
                Py_XDECREF(self.known[i].path)
                Py_XDECREF(self.known[i].raw_path)
            free(self.known)

    cdef int look_up(self, const char* text, size_t length) except -1:
        """Set `path` and `raw_path` for a path as received."""
        cdef uint64_t hash
        cdef KnownPath* entry
        if length > LONGEST_PATH:
            return self.make(text, length)
        hash = hash_of(text, length)
        entry = &self.known[hash & (KNOWN_PATHS - 1)]
        if entry.key is not NULL and entry.hash == hash and <size_t> PyBytes_GET_SIZE(<object> entry.key) == length \
                and memcmp(PyBytes_AS_STRING(<object> entry.key), text, length) == 0:
            self.path = <object> entry.path
            self.raw_path = <object> entry.raw_path
            return 0
        self.make(text, length)
        key = PyBytes_FromStringAndSize(text, length)
        Py_XDECREF(entry.key)
        Py_XDECREF(entry.path)
        Py_XDECREF(entry.raw_path)
        Py_INCREF(key)
        Py_INCREF(self.path)
        Py_INCREF(self.raw_path)
        entry.key = <PyObject*> key
        entry.path = <PyObject*> self.path
        entry.raw_path = <PyObject*> self.raw_path
        entry.hash = hash
        return 0

    cdef int make(self, const char* text, size_t length) except -1:
        cdef char* decoded
        if memchr(text, c'%', length) is NULL:
            self.path = PyUnicode_DecodeASCII(text, length, NULL)
        else:
            decoded = <char*> malloc(length)
            if decoded is NULL:
                raise MemoryError()
            try:
                self.path = PyUnicode_DecodeUTF8(decoded, unquote(text, length, decoded), b"replace")
            finally:
                free(decoded)
        self.raw_path = PyBytes_FromStringAndSize(text, length)
        if self.root:
            self.path = self.root + self.path
            self.raw_path = self.raw_root + self.raw_path
        return 0

    def split(self, bytes target, options=False):
        """(authority, path, raw_path, query) of a target, None if it is refused; for tests and measurements."""
        cdef Target parts
        if not split_target(target, len(target), options, &parts):
            return None
        self.look_up(parts.path, parts.path_length)
        return (
            parts.authority[:parts.authority_length] if parts.authority_length else b"",
            self.path,
            self.raw_path,
            parts.query[:parts.query_length] if parts.query_length else b"",
        )


cdef size_t unquote(const char* text, size_t length, char* decoded) noexcept nogil:
    """Percent-decoding, once; what is not two hexadecimal digits after a "%" stays as it is. Returns the length."""
    cdef size_t i = 0
    cdef size_t size = 0
    while i < length:
        if text[i] == c'%' and i + 2 < length and hex_value(text[i + 1]) != 255 \
                and hex_value(text[i + 2]) != 255:
            decoded[size] = <char> (hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]))
            i += 3
        else:
            decoded[size] = text[i]
            i += 1
        size += 1
    return size


def is_authority(bytes text) -> bool:
    """Whether a Host value is accepted; for tests."""
    return valid_authority(text, len(text))
