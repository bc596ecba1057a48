# Request header fields (RFC 9110 section 5). See headers.pxd.

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.dict cimport PyDict_GetItem
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

# 512 entries hold what a few dozen kinds of client send; a full table of small pairs is about 120 KiB.
cdef enum:
    ENTRIES = 512
    LONGEST_LINE = 320          # longer ones are not worth a place

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
    if-modified-since x-forwarded-for forwarded
""".split())

SPECIAL = {
    b"host": HOST,
    b"content-length": CONTENT_LENGTH,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"connection": CONNECTION,
    b"expect": EXPECT,
    b"upgrade": UPGRADE,
    b"forwarded": FORWARDED,
    b"x-forwarded-for": FORWARDED,
    b"x-forwarded-host": FORWARDED,
    b"x-forwarded-port": FORWARDED,
    b"x-forwarded-prefix": FORWARDED,
    b"x-forwarded-proto": FORWARDED,
}


cdef inline uint64_t word_at(const char* text) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, text, 8)
    return word


cdef inline uint64_t hash_of(const char* line, uint32_t length) noexcept nogil:
    """A hash of the line's length, beginning, middle and end (`length` is at least 8). Lines that agree in all of them
    share two places in the table, and take them from each other: that is all a collision can do."""
    cdef uint64_t hash = length
    hash = (hash ^ word_at(line)) * <uint64_t> 0x9E3779B97F4A7C15
    hash = (hash ^ (hash >> 29) ^ word_at(line + (length >> 1) - 4)) * <uint64_t> 0x9E3779B97F4A7C15
    hash = (hash ^ (hash >> 29) ^ word_at(line + length - 8)) * <uint64_t> 0x9E3779B97F4A7C15
    return hash ^ (hash >> 32)


cdef inline bint holds(Entry* entry, uint64_t hash, const char* line, uint32_t length) noexcept nogil:
    return entry.hash == hash and entry.length == length and entry.pair is not NULL \
        and memcmp(entry.line, line, length) == 0


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
            free(self.entries[i].line)
            self.entries[i].pair = NULL
            self.entries[i].line = NULL

    cdef object pair(self, const char* line, uint32_t name_length, uint32_t value, uint32_t value_length, Field* field):
        """The tuple for one field, and what the field means to the server. The name stands at the start of `line`, the
        value, without surrounding whitespace, `value` bytes behind."""
        cdef uint32_t length = value + value_length
        cdef uint64_t hash
        cdef Entry* entry
        if length < 8 or length > LONGEST_LINE:
            return self.new_pair(line, name_length, value, value_length, 0, field)
        hash = hash_of(line, length)
        entry = &self.entries[hash & (ENTRIES - 1)]
        if not holds(entry, hash, line, length):
            entry = &self.entries[(hash & (ENTRIES - 1)) ^ 1]
            if not holds(entry, hash, line, length):
                return self.new_pair(line, name_length, value, value_length, hash, field)
        field[0] = <Field> entry.field
        return <object> entry.pair

    cdef object new_pair(self, const char* line, uint32_t name_length, uint32_t value, uint32_t value_length,
                         uint64_t hash, Field* field):
        """hash: 0 for a line that is not to be kept."""
        cdef bytes name = line[:name_length].lower()
        cdef PyObject* known = <PyObject*> PyDict_GetItem(self.names, name)
        cdef Entry* entry
        cdef Entry* second
        cdef char* copy
        if known is not NULL:
            name = <bytes> known
        field[0] = SPECIAL.get(name, ORDINARY)
        pair = (name, PyBytes_FromStringAndSize(line + value, value_length))
        if field[0] == ORDINARY:
            if known is NULL and b"_" in name:
                field[0] = UNDERSCORED
            elif is_secret(name):
                field[0] = PRIVATE
        if hash and field[0] != PRIVATE and not is_secret(name):
            copy = <char*> malloc(value + value_length)
            if copy is NULL:
                raise MemoryError()
            memcpy(copy, line, value + value_length)
            # The one that was here goes next door, and the one that was there goes away: two lines can share a place.
            entry = &self.entries[hash & (ENTRIES - 1)]
            second = &self.entries[(hash & (ENTRIES - 1)) ^ 1]
            free(second.line)
            Py_XDECREF(second.pair)
            second[0] = entry[0]
            Py_INCREF(pair)
            entry.pair = <PyObject*> pair
            entry.line = copy
            entry.length = value + value_length
            entry.hash = hash
            entry.field = field[0]
        return pair

    def normalise(self, list lines) -> list:
        """The pairs for lines (b"Name: value") as a request would have them; for tests and measurements."""
        cdef Field field
        cdef bytes line
        cdef uint32_t colon, start, end
        result = []
        for line in lines:
            colon = line.index(b":")
            start = colon + 1
            end = len(line)
            while start < end and line[start] in b" \t":
                start += 1
            while end > start and line[end - 1] in b" \t":
                end -= 1
            result.append(self.pair(line, colon, start, end - start, &field))
        return result

    def kept(self) -> list:
        """The pairs in the table."""
        return [<object> self.entries[i].pair for i in range(ENTRIES) if self.entries[i].pair is not NULL]


cdef bint is_secret(bytes name):
    """Whether a field's value must not be kept, or is not worth it."""
    return name in SECRET or b"token" in name or b"secret" in name or b"key" in name or b"auth" in name \
        or b"session" in name
