# The rules for a whole request head. See request.pxd.

from cpython.list cimport PyList_GET_SIZE, PyList_GetSlice, PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF
from libc.string cimport memcmp

from .head cimport Span
from .headers cimport CONTENT_LENGTH, EXPECT, FORWARDED, HOST, ORDINARY, TRANSFER_ENCODING, UNDERSCORED, UPGRADE, Field
from .llhttp cimport (
    F_CONNECTION_CLOSE, F_CONNECTION_KEEP_ALIVE, F_CONNECTION_UPGRADE, HTTP_CONNECT, HTTP_HEAD, HTTP_OPTIONS,
    HTTP_TRACE,
)
from .octets cimport lower, read_length
from .target cimport split_target, valid_authority

cdef extern from "Python.h":
    void Py_SET_SIZE(object o, Py_ssize_t size)


cdef struct Special:
    # The fields that the rules are about; NULL where there is none.
    Span* host
    Span* length
    Span* coding
    Span* expect
    Span* upgrade
    Span* dropped
    bint forwarded


cdef list examine(Head* head, Fields fields, HeaderMap underscores, uint64_t body_limit, Request* request):
    """Fill `request`; returns the fields as the scope has them, or None when `request.status` refuses it."""
    cdef const char* base = head.base
    cdef Special special
    cdef list headers
    request.status = request.dropped = 0
    request.old = head.parser.http_minor == 0
    request.bodiless = head.parser.method == HTTP_HEAD
    request.keep = not head.flags & F_CONNECTION_CLOSE \
        and (not request.old or head.flags & F_CONNECTION_KEEP_ALIVE)
    if head.parser.http_major != 1 or head.parser.http_minor > 1:
        request.status = 505
        return None
    if head.parser.method == HTTP_CONNECT:
        request.status = 501
        return None
    # llhttp takes several spaces where the grammar has one, and the names of protocols that are none of ours.
    if memcmp(base + head.target + head.target_length + 1, b"HTTP/", 5) != 0 or base[head.target - 2] == c' ' or base[head.target + head.target_length + 1] == c' ' \
            or not split_target(base + head.target, head.target_length, head.parser.method == HTTP_OPTIONS,
                                &request.target):
        request.status = 400
        return None
    if head.again is not NULL:
        request.forwarded = head.again.forwarded
        request.length = 0
        request.chunked = request.expects = request.websocket = request.plain = False
        headers = <list> head.again.headers
        return PyList_GetSlice(headers, 0, PyList_GET_SIZE(headers))
    headers = read_fields(head, fields, underscores, &special)
    if headers is None:
        request.status = 400
        return None
    request.forwarded = special.forwarded
    request.last_dropped = special.dropped
    request.dropped = head.count - <uint32_t> PyList_GET_SIZE(headers)
    request.status = check_host(base, &special, request) or check_body(head, &special, body_limit, request)
    if request.status:
        return None
    if request.target.authority_length:
        override_host(headers, request.target.authority[:request.target.authority_length])
    request.plain = request.target.authority_length == 0 and not request.old and head.flags & ~F_CONNECTION_KEEP_ALIVE == 0 and special.length is NULL \
        and special.coding is NULL and special.expect is NULL and special.upgrade is NULL
    return headers


cdef list read_fields(Head* head, Fields fields, HeaderMap underscores, Special* special):
    """The pairs of all fields; None if one is there that must not be, or twice."""
    cdef const char* base = head.base
    cdef list headers = PyList_New(head.count)
    cdef Span* span
    cdef Field field
    cdef uint32_t kept = 0
    cdef uint32_t i
    special.host = special.length = special.coding = special.expect = special.upgrade = NULL
    special.dropped = NULL
    special.forwarded = False
    for i in range(head.count):
        span = &head.spans[i]
        while span.value_length and (base[span.value + span.value_length - 1] == c' '
                                     or base[span.value + span.value_length - 1] == c'\t'):
            span.value_length -= 1
        if span.value_length == 0:
            span.value = span.name + span.name_length       # llhttp says nothing of an empty value
        pair = fields.pair(base + span.name, span.name_length, span.value - span.name, span.value_length, &field)
        if field != ORDINARY:
            if field == HOST:
                if special.host is not NULL:
                    return None
                special.host = span
            elif field == CONTENT_LENGTH:
                if special.length is not NULL:
                    return None
                special.length = span
            elif field == TRANSFER_ENCODING:
                if special.coding is not NULL:
                    return None
                special.coding = span
            elif field == EXPECT:
                special.expect = span
            elif field == UPGRADE:
                special.upgrade = span
            elif field == FORWARDED:
                special.forwarded = True
            elif field == UNDERSCORED and underscores != KEEP:
                if underscores == REFUSE:
                    return None
                special.dropped = span
                continue
        Py_INCREF(pair)
        PyList_SET_ITEM(headers, kept, pair)
        kept += 1
    if kept != head.count:
        Py_SET_SIZE(headers, kept)      # the places behind have never been filled
    return headers


cdef int check_host(const char* base, Special* special, Request* request):
    """RFC 9112 section 3.2: one valid Host in HTTP/1.1, and a valid authority if the target has one."""
    cdef Span* host = special.host
    if host is NULL:
        if not request.old:
            return 400
    elif not valid_authority(base + host.value, host.value_length):
        return 400
    if request.target.authority_length and not valid_authority(request.target.authority, request.target.authority_length):
        return 400
    return 0


cdef int override_host(list headers, bytes authority) except -1:
    """RFC 9112 section 3.2.2: an absolute target says which host is meant, whatever the Host field does."""
    cdef Py_ssize_t i
    for i in range(len(headers)):
        if headers[i][0] == b"host":
            headers[i] = (b"host", authority)
            return 0
    headers.insert(0, (b"host", authority))
    return 0


cdef int check_body(Head* head, Special* special, uint64_t body_limit, Request* request):
    """RFC 9112 section 6.3: the length of the body; and what must not have one."""
    cdef const char* base = head.base
    cdef Span* span
    request.length = 0
    request.expects = False
    request.chunked = special.coding is not NULL
    if request.chunked:
        span = special.coding
        if request.old or special.length is not NULL:
            return 400
        if not same_text(base + span.value, span.value_length, b"chunked", 7):
            return 501 if ends_in_chunked(base[span.value:span.value + span.value_length]) else 400
    elif special.length is not NULL:
        request.length = read_length(base + special.length.value, special.length.value_length)
        if request.length < 0:
            return 400
        if body_limit and <uint64_t> request.length > body_limit:
            return 413
    # Other upgrades are never followed, and some clients offer them (h2c) with every request they make.
    request.websocket = special.upgrade is not NULL and head.flags & F_CONNECTION_UPGRADE \
        and has_websocket(base[special.upgrade.value:special.upgrade.value + special.upgrade.value_length])
    if request.chunked or request.length:
        if head.parser.method == HTTP_TRACE:
            return 400
        if request.websocket:
            return 400      # a tunnel that starts with a body is read differently by whoever follows the upgrade
    request.websocket = request.websocket and not request.old       # RFC 9110 section 7.8
    if special.expect is not NULL and not request.old:
        span = special.expect
        if not same_text(base + span.value, span.value_length, b"100-continue", 12):
            return 417
        request.expects = request.chunked or request.length > 0
    return 0


cdef bint same_text(const char* text, size_t length, const char* other, size_t other_length) noexcept nogil:
    """Equal but for the case of ASCII letters."""
    cdef size_t i
    if length != other_length:
        return False
    for i in range(length):
        if lower(text[i]) != lower(other[i]):
            return False
    return True


cdef bint has_websocket(bytes value):
    """Whether it is one of the protocols in an Upgrade line (RFC 9110 section 7.8)."""
    return b"websocket" in [token.strip(b" \t") for token in value.lower().split(b",")]


cdef bint ends_in_chunked(bytes value):
    """Whether a Transfer-Encoding is well formed, but has codings before `chunked` that we do not have (RFC 9112
    section 6.1: 501); everything else that is not `chunked` alone is 400."""
    codings = [coding.strip(b" \t").lower() for coding in value.split(b",")]
    return codings.pop() == b"chunked" and b"chunked" not in codings \
        and all(coding.replace(b"-", b"").isalnum() for coding in codings)
