# The response head (RFC 9112 section 4, RFC 9110 sections 5 and 15). See response.pxd.

import time
from http import HTTPStatus

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_Check, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.string cimport memcmp, memcpy

from ..errors import MessageError

from .message cimport plain_headers, read_headers
from .octets cimport TOKEN, copy_plain_name, is_plain_text, lower, read_length
from .output cimport append, reserve

# Status lines from 100 to 599, ready to copy.
cdef list status_lines = [None] * 600
cdef dict _phrases = {status.value: status.phrase.encode() for status in HTTPStatus}
for _status in range(100, 600):
    status_lines[_status] = b"HTTP/1.1 %d %s\r\n" % (_status, _phrases.get(_status, b""))

cdef tuple DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
cdef tuple MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def date_of(second) -> bytes:
    """The value of a date header (RFC 9110 section 5.6.7), whatever the locale is."""
    day = time.gmtime(second)
    text = (f"{DAYS[day.tm_wday]}, {day.tm_mday:02d} {MONTHS[day.tm_mon - 1]} {day.tm_year:04d} "
            f"{day.tm_hour:02d}:{day.tm_min:02d}:{day.tm_sec:02d} GMT")
    return text.encode()


cdef int write_status(Output out, int status) except -1:
    line = <object> PyList_GET_ITEM(status_lines, status)
    return append(out, PyBytes_AS_STRING(line), PyBytes_GET_SIZE(line))


cdef inline bint printable(const unsigned char* text, Py_ssize_t length) noexcept nogil:
    """Whether a field value has no control characters but tabs (RFC 9110 section 5.5). Plain, so that it vectorises."""
    cdef Py_ssize_t i
    cdef unsigned char bad = 0
    for i in range(length):
        bad |= (text[i] < 0x20) & (text[i] != 9)
        bad |= text[i] == 0x7f
    return bad == 0


cdef int refuse(Output out, Declared* declared, str message, str rule, object name=None, object value=None) except -1:
    """Raise a MessageError. What shows the name and the value may be code of the application's, which may run the event
    loop: before, the head that will not be finished is taken back."""
    out.size = declared.mark
    raise MessageError(f"'{message}': {rule.format(name, value)[:200]}")


cdef int write_headers(Output out, object headers, Declared* declared, str message) except -1:
    """Append the application's headers, names in lower case; raises MessageError and leaves `out` for the caller to
    cut back. Hop-by-hop lines are the server's: Connection is read, Transfer-Encoding ignored, neither is copied."""
    cdef Py_ssize_t i, count, name_length, value_length
    cdef const unsigned char* source
    cdef char* line
    cdef char* target
    cdef unsigned char octet, good
    cdef object pair, name, value

    declared.content_length = -1
    declared.close = declared.date = declared.server = False
    if not plain_headers(headers):
        headers = read_headers(headers, message)
    count = PyList_GET_SIZE(headers)
    for i in range(count):
        pair = <object> PyList_GET_ITEM(headers, i)
        if PyTuple_GET_SIZE(pair) != 2:
            refuse(out, declared, message, "each of the 'headers' must be a pair of name and value")
        name = <object> PyTuple_GET_ITEM(pair, 0)
        value = <object> PyTuple_GET_ITEM(pair, 1)
        if not (PyBytes_Check(name) and PyBytes_Check(value)):
            refuse(out, declared, message, "header names and values must be bytes, not {0!r}: {1!r}", name, value)

        name_length = PyBytes_GET_SIZE(name)
        value_length = PyBytes_GET_SIZE(value)
        line = target = reserve(out, name_length + value_length + 4)
        source = <const unsigned char*> PyBytes_AS_STRING(name)
        if not copy_plain_name(target, <const char*> source, name_length):
            good = name_length > 0
            for j in range(name_length):
                octet = source[j]
                good &= TOKEN[octet]
                target[j] = <char> lower(octet)
            if not good:
                refuse(out, declared, message, "invalid HTTP header name {0!r}", name)
        source = <const unsigned char*> PyBytes_AS_STRING(value)
        if not (is_plain_text(<const char*> source, value_length) or printable(source, value_length)):
            refuse(out, declared, message, "invalid HTTP header value in {0!r}: control characters are not allowed", name)

        if name_length == 14:
            if memcmp(line, b"content-length", 14) == 0:
                if declared.content_length >= 0:
                    refuse(out, declared, message, "more than one content-length header")
                declared.content_length = read_length(<const char*> source, value_length)
                if declared.content_length < 0:
                    refuse(out, declared, message, "content-length must be decimal digits, not {1!r}", name, value)
                if declared.no_length:
                    continue
        elif name_length == 4:
            if memcmp(line, b"date", 4) == 0:
                declared.date = True
        elif name_length == 6:
            if memcmp(line, b"server", 6) == 0:
                declared.server = True
        elif name_length == 10:
            if memcmp(line, b"connection", 10) == 0:
                if has_close(source, value_length):
                    declared.close = True
                continue
        elif name_length == 17:
            if memcmp(line, b"transfer-encoding", 17) == 0:
                continue

        target += name_length
        target[0] = c':'
        target[1] = c' '
        memcpy(target + 2, source, value_length)
        target += 2 + value_length
        target[0] = c'\r'
        target[1] = c'\n'
        out.size += name_length + value_length + 4
    return 0


cdef bint has_close(const unsigned char* value, Py_ssize_t length) noexcept nogil:
    """Whether `close` is in the list that a Connection field is (RFC 9110 section 7.6.1)."""
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t start, end
    while i < length:
        start = i
        while i < length and value[i] != c',':
            i += 1
        end = i
        i += 1
        while start < end and (value[start] == c' ' or value[start] == c'\t'):
            start += 1
        while start < end and (value[end - 1] == c' ' or value[end - 1] == c'\t'):
            end -= 1
        if end - start == 5 and lower(value[start]) == c'c' and lower(value[start + 1]) == c'l' \
                and lower(value[start + 2]) == c'o' and lower(value[start + 3]) == c's' and lower(value[start + 4]) == c'e':
            return True
    return False


cdef int write_length(Output out, size_t length) except -1:
    """Append a content-length line."""
    cdef char digits[20]
    cdef int at = 20
    while True:
        at -= 1
        digits[at] = <char> (c'0' + length % 10)
        length //= 10
        if length == 0:
            break
    append(out, b"content-length: ", 16)
    append(out, digits + at, 20 - at)
    return append(out, b"\r\n", 2)


cdef int write_chunk_size(Output out, size_t length) except -1:
    """Append the line before a chunk (RFC 9112 section 7.1)."""
    cdef char digits[18]
    cdef int at = 16
    digits[16] = c'\r'
    digits[17] = c'\n'
    while True:
        at -= 1
        digits[at] = (<const char*> b"0123456789abcdef")[length & 15]
        length >>= 4
        if length == 0:
            break
    return append(out, digits + at, 18 - at)


cdef class Defaults:
    """date, server: whether those lines are wanted. headers: list of (name, value) bytes, already checked."""

    def __init__(self, bint date, bint server, headers):
        self.with_date = date
        self.server = b"server: pronghorn\r\n" if server else b""
        self.extra = b"".join(b"%s: %s\r\n" % (name.lower(), value) for name, value in headers)
        if any(name.lower() == b"server" for name, _ in headers):
            self.server = b""
        if any(name.lower() == b"date" for name, _ in headers):
            self.with_date = False
        self.second = -1
        self.refresh()

    cpdef refresh(self):
        cdef long second = int(time.time())
        if second != self.second:
            self.second = second
            self.date = b"date: %s\r\n" % date_of(second) if self.with_date else b""
            self.block = self.date + self.server + self.extra

    cdef int write(self, Output out, Declared* declared) except -1:
        """Append the lines, but not those that the application sends itself."""
        if not declared.date and not declared.server:
            return append(out, PyBytes_AS_STRING(self.block), PyBytes_GET_SIZE(self.block))
        if not declared.date:
            append(out, PyBytes_AS_STRING(self.date), PyBytes_GET_SIZE(self.date))
        if not declared.server:
            append(out, PyBytes_AS_STRING(self.server), PyBytes_GET_SIZE(self.server))
        return append(out, PyBytes_AS_STRING(self.extra), PyBytes_GET_SIZE(self.extra))


cdef int write_refusal(Output out, int status, bint bodiless, Defaults defaults) except -1:
    """A whole response of the server's own, after which the connection is closed; returns the size of its body."""
    cdef Declared declared
    cdef bytes body = b"Internal Server Error" if status == 500 else HTTPStatus(status).phrase.encode()
    declared.date = declared.server = False
    write_status(out, status)
    if status == 426:           # RFC 9110 section 15.5.22, RFC 6455 section 4.4
        append(out, b"upgrade: websocket\r\nsec-websocket-version: 13\r\nconnection: upgrade, close\r\n", 75)
    else:
        append(out, b"connection: close\r\n", 19)
    if status == 405:
        append(out, b"allow: GET\r\n", 12)
    append(out, b"content-type: text/plain; charset=utf-8\r\n", 41)
    defaults.write(out, &declared)
    write_length(out, PyBytes_GET_SIZE(body))
    append(out, b"\r\n", 2)
    if bodiless:
        return 0
    append(out, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
    return PyBytes_GET_SIZE(body)


def render(int status, headers, Defaults defaults) -> bytes:
    """A response head as bytes, without the framing lines and the empty line; for tests and measurements."""
    cdef Output out = Output()
    cdef Declared declared
    declared.no_length = False
    declared.mark = 0
    write_status(out, status)
    write_headers(out, headers, &declared, "http.response.start")
    defaults.write(out, &declared)
    return out.take()
