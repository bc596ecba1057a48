# Request header fields (RFC 9110 section 5). See headers.pxd.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.ref cimport Py_INCREF, Py_XDECREF
from cpython.tuple cimport PyTuple_GET_ITEM
from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memcmp, memcpy

# 512 entries hold what a few dozen kinds of client send; a full table of small pairs is about 80 KiB.
cdef enum:
    ENTRIES = 512
    LONGEST_NAME = 64           # longer names and values are not worth a place
    LONGEST_VALUE = 256

# Names that browsers, clients and proxies send. They are shared by all requests; others are made anew each time.
KNOWN = """
    accept accept-charset accept-encoding accept-language accept-ranges access-control-request-headers
    access-control-request-method age allow authorization cache-control cdn-loop cf-connecting-ip cf-ipcountry cf-ray
    cf-visitor connection content-disposition content-encoding content-language content-length content-location
    content-range content-type cookie date dnt early-data etag expect expires forwarded from host http2-settings
    if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive last-modified link location
    max-forwards origin pragma priority proxy-authorization proxy-connection range referer save-data
    sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc
    sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version te traceparent tracestate
    trailer transfer-encoding true-client-ip upgrade upgrade-insecure-requests user-agent via x-amzn-trace-id
    x-api-key x-auth-token x-client-ip x-correlation-id x-csrf-token x-csrftoken x-forwarded-for x-forwarded-host
    x-forwarded-port x-forwarded-prefix x-forwarded-proto x-forwarded-scheme x-forwarded-server x-frame-options
    x-http-method-override x-real-ip x-request-id x-requested-with x-xsrf-token
""".split()

# What is a secret, or different in every request: keeping it would be a leak, or useless.
SECRET = frozenset(b"""
    authorization cookie proxy-authorization x-api-key x-auth-token x-csrf-token x-csrftoken x-xsrf-token
    sec-websocket-key traceparent tracestate x-request-id x-correlation-id x-amzn-trace-id cf-ray if-none-match
    if-modified-since content-length x-forwarded-for forwarded
""".split())

SPECIAL = {
    b"host": HOST,
    b"content-length": CONTENT_LENGTH,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"connection": CONNECTION,
    b"expect": EXPECT,
    b"upgrade": UPGRADE,
}


cdef inline uint64_t load(const char* text, uint32_t length) noexcept nogil:
    """Up to eight bytes as a number."""
    cdef uint64_t word = 0
    cdef uint32_t half, other
    if length >= 8:
        memcpy(&word, text, 8)
    elif length >= 4:
        memcpy(&half, text, 4)
        memcpy(&other, text + length - 4, 4)
        word = half | (<uint64_t> other << 32)
    elif length > 0:
        word = <uint8_t> text[0] | <uint64_t> (<uint8_t> text[length >> 1]) << 8 \
            | <uint64_t> (<uint8_t> text[length - 1]) << 16
    return word


cdef inline uint64_t mix(uint64_t hash, const char* text, uint32_t length) noexcept nogil:
    """Hash of a text, eight bytes at a time. Not against attackers: a collision costs a comparison, nothing else."""
    hash ^= length
    while length > 8:
        hash = (hash ^ load(text, 8)) * <uint64_t> 0x9E3779B97F4A7C15
        hash ^= hash >> 29
        text += 8
        length -= 8
    hash = (hash ^ load(text, length)) * <uint64_t> 0x9E3779B97F4A7C15
    return hash ^ (hash >> 32)


cdef inline uint64_t lower_word(uint64_t word) noexcept nogil:
    """Eight ASCII characters in lower case: bit 5 is set where the sum carries for "A" but not for the one after "Z"."""
    cdef uint64_t from_a = word + <uint64_t> 0x3F3F3F3F3F3F3F3F
    cdef uint64_t above_z = word + <uint64_t> 0x2525252525252525
    return word | ((from_a & ~above_z & <uint64_t> 0x8080808080808080) >> 2)


cdef inline void lower(char* text, uint32_t length) noexcept nogil:
    """Lower-case a field name in place. llhttp has made sure that it is a token, so all of it is ASCII. The last words
    may overlap: what is in lower case stays so."""
    cdef uint64_t word
    cdef uint32_t half
    cdef uint32_t i = 0
    if length >= 8:
        while i < length:
            if i + 8 > length:
                i = length - 8
            memcpy(&word, text + i, 8)
            word = lower_word(word)
            memcpy(text + i, &word, 8)
            i += 8
    elif length >= 4:
        memcpy(&half, text, 4)
        half = <uint32_t> lower_word(half)
        memcpy(text, &half, 4)
        memcpy(&half, text + length - 4, 4)
        half = <uint32_t> lower_word(half)
        memcpy(text + length - 4, &half, 4)
    else:
        for i in range(length):
            text[i] |= ((<uint8_t> (text[i] - c'A')) < 26) << 5


cdef class Fields:

    def __cinit__(self):
        self.entries = <Entry*> calloc(ENTRIES, sizeof(Entry))
        if self.entries is NULL:
            raise MemoryError()
        self.names = {name.encode(): name.encode() for name in KNOWN}
        self.names = {name: name for name in self.names}

    def __dealloc__(self):
        if self.entries is not NULL:
            self.forget()
            free(self.entries)

    def forget(self):
        """Drop every pair."""
        for i in range(ENTRIES):
            Py_XDECREF(self.entries[i].pair)
            self.entries[i].pair = NULL

    cdef object pair(self, char* name, uint32_t name_length, const char* value, uint32_t value_length, Field* field):
        """The tuple for one field, and what the field means to the server. The name is lower-cased where it stands;
        the value has no surrounding whitespace any more."""
        cdef uint64_t hash
        cdef Entry* entry
        cdef PyObject* known
        lower(name, name_length)
        if name_length > LONGEST_NAME or value_length > LONGEST_VALUE:
            return self.new_pair(name, name_length, value, value_length, NULL, 0, field)
        hash = mix(mix(0, name, name_length), value, value_length)
        entry = &self.entries[hash & (ENTRIES - 1)]
        if entry.pair is not NULL and entry.hash == hash:
            known = <PyObject*> PyTuple_GET_ITEM(<object> entry.pair, 0)
            if PyBytes_GET_SIZE(<object> known) == name_length \
                    and memcmp(PyBytes_AS_STRING(<object> known), name, name_length) == 0:
                known = <PyObject*> PyTuple_GET_ITEM(<object> entry.pair, 1)
                if PyBytes_GET_SIZE(<object> known) == value_length \
                        and memcmp(PyBytes_AS_STRING(<object> known), value, value_length) == 0:
                    field[0] = <Field> entry.field
                    return <object> entry.pair
        return self.new_pair(name, name_length, value, value_length, entry, hash, field)

    cdef object new_pair(self, char* name, uint32_t name_length, const char* value, uint32_t value_length,
                         Entry* entry, uint64_t hash, Field* field):
        cdef bytes key = PyBytes_FromStringAndSize(name, name_length)
        cdef PyObject* known = <PyObject*> PyDict_GetItem(self.names, key)
        if known is not NULL:
            key = <bytes> known
        field[0] = SPECIAL.get(key, ORDINARY)
        if field[0] == ORDINARY and known is NULL and memchr(name, c'_', name_length) is not NULL:
            field[0] = UNDERSCORED
        pair = (key, PyBytes_FromStringAndSize(value, value_length))
        if key in SECRET or b"token" in key or b"secret" in key or b"key" in key or b"auth" in key or b"session" in key:
            if field[0] == ORDINARY:
                field[0] = PRIVATE
        elif entry is not NULL:
            Py_XDECREF(entry.pair)
            Py_INCREF(pair)
            entry.pair = <PyObject*> pair
            entry.hash = hash
            entry.field = field[0]
        return pair

    def normalise(self, list fields) -> list:
        """The pairs for (name, value) fields as a request would have them; for tests and measurements."""
        cdef bytearray name
        cdef bytes value
        cdef Field field
        result = []
        for given, value in fields:
            name = bytearray(given)     # it is written to
            result.append(self.pair(name, len(name), value, len(value), &field))
        return result

    def kept(self) -> list:
        """The pairs in the table."""
        return [<object> self.entries[i].pair for i in range(ENTRIES) if self.entries[i].pair is not NULL]
