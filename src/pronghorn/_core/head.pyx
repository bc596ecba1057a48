# The request head over llhttp (RFC 9112 sections 2, 3 and 5). See head.pxd.
#
# No lenient flag is ever set, and no exception can cross the callbacks: they touch no Python object, leave a status in
# the struct and return an error code.

import sys

from libc.stdlib cimport malloc
from libc.string cimport memchr, memcmp, memcpy, memset

from .llhttp cimport *
from .octets cimport TOKEN
from .section cimport recall

cdef llhttp_settings_t settings
llhttp_settings_init(&settings)
settings.on_url = on_target
settings.on_header_field = on_name
settings.on_header_value = on_value
settings.on_headers_complete = on_head
settings.on_message_complete = on_message

cdef extern from "Python.h":
    str PyUnicode_DecodeASCII(const char* text, Py_ssize_t size, const char* errors)

# One str for each method, shared by all requests.
cdef list method_names = [
    sys.intern((<bytes> llhttp_method_name(<llhttp_method_t> number)).decode()) for number in range(<int> HTTP_QUERY + 1)
]

cdef enum:
    LONGEST_METHOD = 64         # octets of one that llhttp does not know
    UNLIMITED_FIELDS = 10000    # memory for spans there must be; a head of 64 KiB has no more than 16,384 anyway


cdef inline int refuse(Head* head, uint16_t status) noexcept nogil:
    head.status = status
    return -1


cdef int on_target(llhttp_t* parser, const char* at, size_t length) noexcept nogil:
    cdef Head* head = <Head*> parser.data
    if head.part != TARGET:
        head.part = TARGET
        head.target = <uint32_t> (at - head.base)
        head.target_length = 0
    head.target_length += <uint32_t> length
    # The line: what stands before the target, the target, and " HTTP/1.1".
    if head.limits.line and head.target + head.target_length + 9 > head.limits.line:
        return refuse(head, 414)
    return 0


cdef int on_name(llhttp_t* parser, const char* at, size_t length) noexcept nogil:
    cdef Head* head = <Head*> parser.data
    cdef Span* span
    # llhttp may say nothing of an empty value: only what joins the name before it is a part of that.
    if head.part != NAME or at != head.base + head.spans[head.count - 1].name + head.spans[head.count - 1].name_length:
        head.part = NAME
        if head.count == head.room:
            return refuse(head, 431)
        span = &head.spans[head.count]
        head.count += 1
        span.name = <uint32_t> (at - head.base)
        span.name_length = span.value = span.value_length = 0
    else:
        span = &head.spans[head.count - 1]
    span.name_length += <uint32_t> length
    if head.limits.field and span.name_length > head.limits.field:
        return refuse(head, 431)
    return 0


cdef int on_value(llhttp_t* parser, const char* at, size_t length) noexcept nogil:
    cdef Head* head = <Head*> parser.data
    cdef Span* span = &head.spans[head.count - 1]
    if head.part != VALUE:
        head.part = VALUE
        span.value = <uint32_t> (at - head.base)
    span.value_length += <uint32_t> length
    if head.limits.field and span.name_length + span.value_length > head.limits.field:
        return refuse(head, 431)
    if head.limits.total and at + length - head.base > head.limits.total:
        return refuse(head, 431)
    return 0


cdef int on_head(llhttp_t* parser) noexcept nogil:
    cdef Head* head = <Head*> parser.data
    head.flags = parser.flags
    # Which upgrades there are is decided above; to llhttp the message is plain, and has no body.
    parser.upgrade = 0
    return 1


cdef int on_message(llhttp_t* parser) noexcept nogil:
    return HPE_PAUSED


cdef Head* new_head(HeadLimits* limits) except NULL:
    cdef uint32_t room = limits.fields if 0 < limits.fields < UNLIMITED_FIELDS else UNLIMITED_FIELDS
    cdef Head* head = <Head*> malloc(sizeof(Head) + room * sizeof(Span))
    if head is NULL:
        raise MemoryError()
    memset(head, 0, sizeof(Head))
    head.limits = limits[0]
    head.room = room
    reset_head(head)
    return head


cdef Head* copy_head(Head* head) except NULL:
    """A head that a connection keeps while the rest of it is on its way."""
    cdef size_t size = sizeof(Head) + head.room * sizeof(Span)
    cdef Head* copy = <Head*> malloc(size)
    if copy is NULL:
        raise MemoryError()
    memcpy(copy, head, size)
    copy.parser.data = copy
    return copy


cdef void reset_head(Head* head) noexcept nogil:
    llhttp_init(&head.parser, HTTP_REQUEST, &settings)
    head.parser.data = head
    head.count = 0
    head.target_length = 0
    head.method_length = 0
    head.minor = 0
    head.status = 0
    head.part = NOTHING
    head.again = NULL


cdef Parsed start_head(Head* head, Memory* memory, const char* at, const char* end, const char** rest) noexcept nogil:
    """A new head, of which what stands from `at` to `end` is here."""
    head.base = at
    if memory.section is not NULL and run_line(head, memory, end):
        rest[0] = at + head.length
        return COMPLETE
    reset_head(head)
    return run_head(head, at, end - at, rest)


cdef bint run_line(Head* head, Memory* memory, const char* end) noexcept nogil:
    """Where a request line comes before the section that the connection remembers: parse no more than the line.
    False when anything is wrong or unusual about it."""
    cdef const char* line_end = <const char*> memchr(head.base, c'\n', end - head.base)
    cdef Section* section
    if line_end is NULL:
        return False
    line_end += 1
    section = recall(memory, line_end, end)
    if section is NULL:
        return False
    head.length = (line_end - head.base) + section.length
    if head.limits.total and head.length > head.limits.total:
        return False
    if not plain_line(head, line_end):
        reset_head(head)
        if llhttp_execute(&head.parser, head.base, line_end - head.base) != HPE_OK \
                or llhttp_execute(&head.parser, b"\r\n", 2) != HPE_PAUSED \
                or head.parser.http_major != 1 or head.parser.http_minor != 1 \
                or head.base[head.target] != c'/' or head.base + head.target + head.target_length >= line_end:
            return False
    head.again = section
    return True


cdef bint plain_line(Head* head, const char* line_end) noexcept nogil:
    """The line that most requests have, as llhttp would have left it; False: another one. What a target may consist of
    is stricter than in llhttp, and looked at later for every request (see target.pxd)."""
    cdef size_t length = line_end - head.base
    if length < 16 or memcmp(head.base, b"GET /", 5) != 0 or memcmp(line_end - 11, b" HTTP/1.1\r\n", 11) != 0:
        return False
    if head.limits.line and length - 2 > head.limits.line:
        return False
    head.parser.method = HTTP_GET
    head.parser.http_major = head.parser.http_minor = 1
    head.target = 4
    head.target_length = <uint32_t> (length - 15)
    head.count = head.flags = head.status = 0
    head.method_length = 0
    head.part = TARGET
    return True


cdef const char* fields_of(Head* head) noexcept nogil:
    """Where the section of a complete head begins."""
    cdef const char* behind = head.base + head.target + head.target_length
    return <const char*> memchr(behind, c'\n', head.length - (behind - head.base)) + 1


cdef Parsed run_head(Head* head, const char* data, size_t length, const char** rest) noexcept nogil:
    """Parse `length` bytes at `data`, which lie in one piece with what came before, from `base` on. After COMPLETE,
    `rest` is where the head ends."""
    if head.part == UNKNOWN_METHOD:
        return other_method(head, data + length, rest)
    return judge(head, llhttp_execute(&head.parser, data, length), data + length, rest)


cdef Parsed judge(Head* head, llhttp_errno_t error, const char* end, const char** rest) noexcept nogil:
    """What llhttp has come to, having parsed everything up to `end`."""
    if error == HPE_OK:
        if head.limits.total and end - head.base > head.limits.total:
            head.status = 431 if head.part != NOTHING else 400
            return REFUSED
        return PARTIAL
    rest[0] = llhttp_get_error_pos(&head.parser)
    if error == HPE_PAUSED:
        head.length = rest[0] - head.base
        if head.limits.total and head.length > head.limits.total:
            head.status = 431
            return REFUSED
        return COMPLETE
    if head.status:
        return REFUSED
    if head.method_length == 0 and (error == HPE_INVALID_METHOD or (head.part == TARGET and for_rtsp(head))):
        return other_method(head, end, rest)
    if error == HPE_INVALID_VERSION and head.minor == 0:
        return other_version(head, rest[0], end, rest)
    head.status = 505 if error == HPE_PAUSED_H2_UPGRADE else 400
    return REFUSED


cdef Parsed parse_again(Head* head, const char* end, const char** rest) noexcept nogil:
    """From the start, with words in the place of those that llhttp does not take: nothing else depends on them. POST stands
    for a method that is not known: it may have a body. Offsets are those of what was received."""
    cdef const char* at = head.base
    cdef uint32_t method = head.method
    cdef uint32_t method_length = head.method_length
    cdef uint32_t minor = head.minor
    cdef llhttp_errno_t error = HPE_OK
    reset_head(head)
    head.method = method
    head.method_length = method_length
    head.minor = minor
    if method_length:
        error = llhttp_execute(&head.parser, b"POST", 4)
        at += method + method_length
    if minor and error == HPE_OK:
        error = llhttp_execute(&head.parser, at, head.base + minor - at)
        at = head.base + minor + 1
        if error == HPE_OK:
            error = llhttp_execute(&head.parser, b"1", 1)
    if error == HPE_OK:
        error = llhttp_execute(&head.parser, at, end - at)
    return judge(head, error, end, rest)


cdef bint for_rtsp(Head* head) noexcept nogil:
    """Whether llhttp takes the method for RTSP alone."""
    return HTTP_DESCRIBE <= <int> head.parser.method <= HTTP_FLUSH


cdef Parsed other_method(Head* head, const char* end, const char** rest) noexcept nogil:
    """llhttp does not take the method: any token is one (RFC 9110 section 9.1). llhttp stops at the first character that it
    does not expect; what becomes of the request must not depend on how the bytes were cut, so the token is waited for."""
    cdef const char* at = head.base
    cdef const char* start
    while at < end and (at[0] == c'\r' or at[0] == c'\n'):
        at += 1
    start = at
    while at < end and TOKEN[<uint8_t> at[0]] and at - start <= LONGEST_METHOD:
        at += 1
    if at - start > LONGEST_METHOD:
        head.status = 501
        return REFUSED
    if at == end:
        head.part = UNKNOWN_METHOD
        return PARTIAL
    if at == start or at[0] != c' ':
        head.status = 400
        return REFUSED
    head.method = <uint32_t> (start - head.base)
    head.method_length = <uint32_t> (at - start)
    return parse_again(head, end, rest)


cdef Parsed other_version(Head* head, const char* wrong, const char* end, const char** rest) noexcept nogil:
    """llhttp does not take the version: 1.2 to 1.9 are answered as 1.1 (RFC 9110 section 2.5), others with 505, and what is
    no HTTP/d.d with 400."""
    cdef const char* at = wrong
    while at > head.base and at[0] != c'/':
        at -= 1
    head.status = 400
    if at - head.base < 5 or memcmp(at - 4, b"HTTP", 4) != 0 or wrong - at < 3 or at[2] != c'.' \
            or not c'0' <= at[1] <= c'9' or not c'0' <= at[3] <= c'9' \
            or (at[1] == c'1' and (at[3] == c'0' or at[3] == c'1')):
        return REFUSED
    if at[1] != c'1':
        head.status = 505
        return REFUSED
    head.minor = <uint32_t> (at + 3 - head.base)
    return parse_again(head, end, rest)


cdef object method_name(Head* head):
    if head.method_length:
        return PyUnicode_DecodeASCII(head.base + head.method, head.method_length, NULL)
    return method_names[head.parser.method]


cdef bint only_line_ends(const char* at, const char* end) noexcept nogil:
    """Whether there is nothing but CR and LF, which may stand before a request (RFC 9112 section 2.2)."""
    while at < end and (at[0] == c'\r' or at[0] == c'\n'):
        at += 1
    return at == end
