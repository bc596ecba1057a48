# cython: binding=False
# The access log as records or as lines. See journal.pxd.

from base64 import b64decode
from http import HTTPStatus

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memcpy, strlen

from .octets cimport TOKEN, lower
from .output cimport append, reserve

cdef extern from *:
    """
    #include <poll.h>
    #include <stdio.h>
    #include <time.h>
    #include <unistd.h>

    static int64_t journal_now(void)
    {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    }

    /* Milliseconds since the epoch. */
    static int64_t journal_wall(void)
    {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    }

    /* The common log format's date in local time, and RFC 3339 in UTC. The names of months are English in any locale. */
    static void journal_date(int64_t second, char *date, size_t room, char *timestamp, size_t timestamp_room)
    {
        static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        time_t moment = (time_t)second;
        struct tm at = {0};
        long offset;
        localtime_r(&moment, &at);
        offset = at.tm_gmtoff / 60;
        snprintf(date, room, "[%02d/%s/%d:%02d:%02d:%02d %c%02ld%02ld]", at.tm_mday, months[at.tm_mon % 12],
                 at.tm_year + 1900, at.tm_hour, at.tm_min, at.tm_sec, offset < 0 ? '-' : '+', labs(offset) / 60,
                 labs(offset) % 60);
        gmtime_r(&moment, &at);
        snprintf(timestamp, timestamp_room, "%04d-%02d-%02dT%02d:%02d:%02d", at.tm_year + 1900, at.tm_mon + 1,
                 at.tm_mday, at.tm_hour, at.tm_min, at.tm_sec);
    }
    """
    int64_t journal_now() noexcept nogil
    int64_t journal_wall() noexcept nogil
    void journal_date(int64_t second, char* date, size_t room, char* timestamp, size_t timestamp_room) noexcept nogil
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd* wanted, int count, int patience) nogil
    ssize_t c_write "write" (int fd, const void* data, size_t length) nogil
    enum:
        POLLOUT

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef enum:
    LONGEST_IDENTIFIER = 128    # of a client's X-Request-ID that is taken
    PAUSE = 10                  # milliseconds until a descriptor is asked again that said it was ready and was not

cdef dict ATOMS = {
    "literal": LITERAL, "client_addr": CLIENT_ADDRESS, "h": HOST, "u": USER, "t": DATE, "time": TIMESTAMP, "r": REQUEST,
    "request_line": REQUEST_LINE, "m": METHOD, "U": PATH, "q": QUERY, "H": PROTOCOL, "s": STATUS,
    "status_code": STATUS_TEXT, "B": SIZE, "b": SIZE_OR_DASH, "T": SECONDS, "M": MILLISECONDS, "D": MICROSECONDS,
    "L": DURATION, "request_id": REQUEST_ID, "i": ASKED, "o": ANSWERED,
}
# What is known when the response begins; a line that says more waits for its end.
cdef frozenset EARLY = frozenset([
    LITERAL, CLIENT_ADDRESS, HOST, USER, DATE, TIMESTAMP, REQUEST, REQUEST_LINE, METHOD, PATH, QUERY, PROTOCOL, STATUS,
    STATUS_TEXT, REQUEST_ID, ASKED, ANSWERED,
])

# "200 OK", ready to copy.
cdef list status_texts = [b"%d " % _status for _status in range(600)]
for _status in HTTPStatus:
    status_texts[_status] = b"%d %s" % (_status, _status.phrase.encode())


cdef class Journal:

    cdef tuple begin(self, object client, object method, object path, object query, object version, list headers):
        """The line of a request whose head is here."""
        return (client, method, path, query, version)

    cdef object readable(self, object headers):
        """The headers that an application sends, in a form that can be read twice if answer() looks at them."""
        return headers

    cdef tuple answer(self, tuple line, object headers):
        """The line with what it needs of the response's headers, which have been found to be bytes."""
        return line

    cdef void close(self, tuple line, int status, int64_t size) noexcept:
        """The line is complete. size: bytes of the response's body."""
        pass


# Records.

cdef str client_text(object client):
    """host:port, or nothing on a unix socket: what uvicorn's formatter gets."""
    return f"{client[0]}:{client[1]}" if client else ""


cdef str target_text(tuple line):
    """Path and query as they were sent, but for what could end a quoted string."""
    cdef bytes target = line[2]
    if line[3]:
        target = target + b"?" + <bytes> line[3]
    if b'"' in target or b"\\" in target:
        target = target.replace(b'"', b"%22").replace(b"\\", b"%5C")
    return target.decode("ascii")


cdef class Records(Journal):
    """access: called with client, method, path, HTTP version and status of each response."""

    def __init__(self, access):
        self.access = access

    cdef void close(self, tuple line, int status, int64_t size) noexcept:
        self.access(client_text(line[0]), line[1], target_text(line), line[4], status)


# Reports.

cdef class Reports(Journal):
    """begun: called with client, method, path, query, HTTP version and headers of each request. over: called with what
    begun() returned, the status, the response's headers (None without a response) and the size of its body."""

    def __init__(self, begun, over):
        self.begun = begun
        self.over = over
        self.late = self.sessions = True

    cdef tuple begin(self, object client, object method, object path, object query, object version, list headers):
        return (client, method, path, query, version, self.begun(client, method, path, query, version, headers), None)

    cdef object readable(self, object headers):
        try:
            return [tuple(pair) for pair in headers]
        except TypeError:               # which is told to the application when they are written
            return headers

    cdef tuple answer(self, tuple line, object headers):
        return line[:6] + (headers,)

    cdef void close(self, tuple line, int status, int64_t size) noexcept:
        self.over(line[5], status, line[6], size)


# Lines.

cdef inline bint plain(const uint8_t* text, size_t length) noexcept nogil:
    """Whether nothing has to be escaped. Plain itself, so that it vectorises."""
    cdef size_t i
    cdef uint8_t bad = 0
    for i in range(length):
        bad |= (text[i] < 0x20) | (text[i] > 0x7e) | (text[i] == c'"') | (text[i] == c'\\')
    return bad == 0


cdef int append_escaped(Output out, const char* text, size_t length, Style style) except -1:
    """Append text of which an outsider decides; what comes out is printable ASCII without a lone quotation mark."""
    cdef const uint8_t* source = <const uint8_t*> text
    cdef const char* digits = b"0123456789ABCDEF"
    cdef char* target
    cdef uint8_t octet
    cdef size_t i
    if plain(source, length):
        return append(out, text, length)
    target = reserve(out, 6 * length)
    for i in range(length):
        octet = source[i]
        if 0x20 <= octet <= 0x7e and octet != c'"' and octet != c'\\':
            target[0] = <char> octet
            target += 1
            continue
        if style == TARGET:
            target[0] = c'%'
            target += 1
        elif octet == c'"' or octet == c'\\':
            target[0] = c'\\'
            target[1] = <char> octet
            target += 2
            continue
        elif style == JSON:
            memcpy(target, b"\\u00", 4)
            target += 4
        else:
            memcpy(target, b"\\x", 2)
            target += 2
        target[0] = digits[octet >> 4]
        target[1] = digits[octet & 15]
        target += 2
    out.size = target - out.data
    return 0


cdef int append_number(Output out, int64_t number, int digits=1) except -1:
    """Append a number that is not negative, with so many digits at least."""
    cdef char text[20]
    cdef int at = 20
    while number or digits > 0:
        at -= 1
        digits -= 1
        text[at] = <char> (c'0' + number % 10)
        number //= 10
    return append(out, text + at, 20 - at)


cdef bint same_name(object name, object other) noexcept:
    """Header names, of which `other` is in lower case."""
    cdef Py_ssize_t length = PyBytes_GET_SIZE(other)
    cdef const uint8_t* left
    cdef const uint8_t* right
    if name is other:
        return True
    if PyBytes_GET_SIZE(name) != length:
        return False
    left = <const uint8_t*> PyBytes_AS_STRING(name)
    right = <const uint8_t*> PyBytes_AS_STRING(other)
    for i in range(length):
        if lower(left[i]) != right[i]:
            return False
    return True


cdef tuple pick(list headers, tuple names):
    """The values of these headers, each None without one, and joined where there are several (RFC 9110 section 5.2)."""
    cdef list found = [None] * len(names)
    cdef Py_ssize_t i, wanted
    for i in range(PyList_GET_SIZE(headers)):
        name, value = <object> PyList_GET_ITEM(headers, i)
        for wanted in range(PyTuple_GET_SIZE(names)):
            if same_name(name, <object> PyTuple_GET_ITEM(names, wanted)):
                found[wanted] = value if found[wanted] is None else <bytes> found[wanted] + b", " + <bytes> value
    return tuple(found)


cdef bytes basic_user(object authorization):
    """The name in Basic credentials (RFC 7617), or None."""
    if authorization is None:
        return None
    scheme, _, credentials = (<bytes> authorization).partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        return b64decode(credentials.strip()).partition(b":")[0] or None
    except ValueError:
        return None


cdef bint is_identifier(object value) noexcept:
    """Whether it is a client's request identifier that may be taken over."""
    cdef const uint8_t* octets
    cdef Py_ssize_t length
    if value is None:
        return False
    octets = <const uint8_t*> PyBytes_AS_STRING(value)
    length = PyBytes_GET_SIZE(value)
    if length == 0 or length > LONGEST_IDENTIFIER:
        return False
    for i in range(length):
        if not TOKEN[octets[i]]:
            return False
    return True


cdef class Lines(Journal):
    """segments: (name of the atom, its text or header, whether it brings its quotation marks). begun: called with the
    first line of a batch. full: called when there is a batch to take. sessions: handshakes of WebSockets have a line.
    json: values are escaped as JSON wants it. prefix: of the request identifiers."""

    def __init__(self, list segments, begun, full, *, sessions=False, json=False, bytes prefix=b""):
        cdef Segment* segment
        self.out = Output()
        self.begun = begun
        self.full = full
        self.sessions = sessions
        self.style = JSON if json else PLAIN
        self.prefix = prefix
        self.second = -1
        self.literals = []
        self.segments = <Segment*> calloc(len(segments) + 1, sizeof(Segment))
        if self.segments is NULL:
            raise MemoryError()
        asked = []
        answered = []
        for name, text, quoted in [*segments, ("literal", b"\n", False)]:
            segment = &self.segments[self.count]
            segment.atom = ATOMS[name]
            segment.quoted = quoted
            if segment.atom == LITERAL:
                self.literals.append(text)
                segment.text = PyBytes_AS_STRING(text)
                segment.length = PyBytes_GET_SIZE(text)
            elif segment.atom == ANSWERED:
                segment.index = index_of(answered, text)
            elif segment.atom == ASKED:
                segment.index = index_of(asked, text)
            elif segment.atom == USER:
                segment.index = index_of(asked, b"authorization")
            elif segment.atom == REQUEST_ID:
                segment.index = index_of(asked, b"x-request-id")
            if segment.atom not in EARLY:
                self.late = True
            if segment.atom in (SECONDS, MILLISECONDS, MICROSECONDS, DURATION):
                self.timed = True
            self.count += 1
        self.asked = tuple(asked) or None
        self.answered = tuple(answered) or None

    def __dealloc__(self):
        free(self.segments)

    def take(self) -> bytes | None:
        """The finished lines; None while one is being appended, which another thread can see."""
        if self.busy:
            return None
        return self.out.take()

    cdef tuple begin(self, object client, object method, object path, object query, object version, list headers):
        if self.asked is None and not self.timed:
            return (client, method, path, query, version)
        return (client, method, path, query, version, journal_now() if self.timed else 0,
                None if self.asked is None else pick(headers, self.asked))

    cdef object readable(self, object headers):
        if self.answered is not None:
            try:
                return [tuple(pair) for pair in headers]
            except TypeError:           # which is told to the application when they are written
                pass
        return headers

    cdef tuple answer(self, tuple line, object headers):
        if self.answered is None:
            return line
        if len(line) == 5:
            line += (0, None)
        return line + (pick(headers, self.answered),)

    cdef void close(self, tuple line, int status, int64_t size) noexcept:
        cdef size_t mark = self.out.size
        self.busy = True
        try:
            self.append_line(line, status, size)
        except BaseException:           # no memory
            self.out.size = mark
            self.missed += 1
        self.busy = False
        if mark == 0:
            self.begun()
        if self.out.size >= BATCH:
            self.full()

    cdef int append_line(self, tuple line, int status, int64_t size) except -1:
        cdef Output out = self.out
        cdef Segment* segment = self.segments
        cdef int64_t now = -1           # of the wall clock, in milliseconds; read once if at all
        cdef uint32_t i
        for i in range(self.count):
            if segment.atom == LITERAL:
                append(out, segment.text, segment.length)
            else:
                if now < 0 and (segment.atom == DATE or segment.atom == TIMESTAMP):
                    now = journal_wall()
                self.append_value(segment, line, status, size, now)
            segment += 1
        return 0

    cdef int append_value(self, Segment* segment, tuple line, int status, int64_t size, int64_t now) except -1:
        cdef Output out = self.out
        cdef Atom atom = segment.atom
        cdef object value
        if atom == CLIENT_ADDRESS or atom == HOST:
            return self.append_client(<object> PyTuple_GET_ITEM(line, 0), segment)
        if atom == REQUEST_LINE:
            return self.append_request(line, TARGET)
        if atom == STATUS_TEXT:
            value = <object> PyList_GET_ITEM(status_texts, status)
            return append(out, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
        if atom == STATUS:
            return append_number(out, status)
        if atom == SIZE or (atom == SIZE_OR_DASH and size):
            return append_number(out, size)
        if atom == SIZE_OR_DASH:
            return append(out, b"-", 1)
        if SECONDS <= atom <= DURATION:
            return self.append_duration(atom, <object> PyTuple_GET_ITEM(line, 5))
        if atom == METHOD:
            return self.append_text(<object> PyTuple_GET_ITEM(line, 1), segment)
        if atom == PATH:
            return self.append_text(<object> PyTuple_GET_ITEM(line, 2), segment)
        if atom == QUERY:
            return self.append_text(<object> PyTuple_GET_ITEM(line, 3) or b"", segment)
        if atom == ASKED:
            return self.append_text((<tuple> <object> PyTuple_GET_ITEM(line, 6))[segment.index], segment)
        if atom == USER:
            return self.append_text(basic_user((<tuple> <object> PyTuple_GET_ITEM(line, 6))[segment.index]), segment)
        if atom == ANSWERED:
            # A response that never began has no headers.
            return self.append_text((<tuple> line[7])[segment.index] if len(line) > 7 else None, segment)
        if atom == REQUEST:
            return self.append_request(line, self.style)
        if atom == PROTOCOL:
            append(out, b"HTTP/", 5)
            return self.append_text(<object> PyTuple_GET_ITEM(line, 4), NULL)
        if atom == REQUEST_ID:
            return self.append_identifier((<tuple> <object> PyTuple_GET_ITEM(line, 6))[segment.index])
        return self.append_date(atom, now)

    cdef int append_text(self, object value, Segment* segment) except -1:
        """bytes, str, or None for what is not there."""
        cdef bint quoted = segment is not NULL and segment.quoted
        cdef const char* text
        cdef Py_ssize_t length = 0
        if value is None:
            return append(self.out, b"null", 4) if quoted else append(self.out, b"-", 1)
        if quoted:
            append(self.out, b'"', 1)
        if type(value) is str:
            text = PyUnicode_AsUTF8AndSize(value, &length)
            append_escaped(self.out, text, length, self.style)
        else:
            append_escaped(self.out, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), self.style)
        return append(self.out, b'"', 1) if quoted else 0

    cdef int append_client(self, object client, Segment* segment) except -1:
        """host:port, or the host alone."""
        cdef const char* text
        cdef Py_ssize_t length = 0
        if not client:                  # uvicorn's line has nothing in its place
            return 0 if segment.atom == CLIENT_ADDRESS and not segment.quoted else self.append_text(None, segment)
        if segment.quoted:
            append(self.out, b'"', 1)
        text = PyUnicode_AsUTF8AndSize(<object> PyTuple_GET_ITEM(client, 0), &length)
        append_escaped(self.out, text, length, self.style)
        if segment.atom == CLIENT_ADDRESS:
            append(self.out, b":", 1)
            append_number(self.out, <object> PyTuple_GET_ITEM(client, 1))
        return append(self.out, b'"', 1) if segment.quoted else 0

    cdef int append_request(self, tuple line, Style style) except -1:
        """Method, target and version."""
        cdef Output out = self.out
        cdef object part = <object> PyTuple_GET_ITEM(line, 2)
        self.append_text(<object> PyTuple_GET_ITEM(line, 1), NULL)
        append(out, b" ", 1)
        append_escaped(out, PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part), style)
        part = <object> PyTuple_GET_ITEM(line, 3)
        if part:
            append(out, b"?", 1)
            append_escaped(out, PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part), style)
        append(out, b" HTTP/", 6)
        return self.append_text(<object> PyTuple_GET_ITEM(line, 4), NULL)

    cdef int append_duration(self, Atom atom, int64_t began) except -1:
        cdef int64_t microseconds = (journal_now() - began) // 1000
        if atom == MICROSECONDS:
            return append_number(self.out, microseconds)
        if atom == MILLISECONDS:
            return append_number(self.out, microseconds // 1000)
        append_number(self.out, microseconds // 1000000)
        if atom == SECONDS:
            return 0
        append(self.out, b".", 1)
        return append_number(self.out, microseconds % 1000000, 6)

    cdef int append_identifier(self, object given) except -1:
        """The client's own, or one that no other request has."""
        if is_identifier(given):
            return append(self.out, PyBytes_AS_STRING(given), PyBytes_GET_SIZE(given))
        append(self.out, PyBytes_AS_STRING(self.prefix), PyBytes_GET_SIZE(self.prefix))
        self.made += 1
        return append_number(self.out, self.made, 6)

    cdef int append_date(self, Atom atom, int64_t now) except -1:
        if now // 1000 != self.second:
            self.second = now // 1000
            journal_date(self.second, self.date, sizeof(self.date), self.timestamp, sizeof(self.timestamp))
        if atom == DATE:
            return append(self.out, self.date, strlen(self.date))
        append(self.out, self.timestamp, strlen(self.timestamp))
        append(self.out, b".", 1)
        append_number(self.out, now % 1000, 3)
        return append(self.out, b"Z", 1)


cdef uint32_t index_of(list names, bytes name):
    if name not in names:
        names.append(name)
    return names.index(name)


# Batches on their way.

cdef size_t whole_lines(const char* data, size_t length, size_t piece) noexcept nogil:
    """How much of it to write at once: as many whole lines as fit into a piece, one line at least."""
    cdef const char* end
    cdef size_t size = piece
    if length <= piece:
        return length
    while size:
        if data[size - 1] == c'\n':
            return size
        size -= 1
    end = <const char*> memchr(data + piece, c'\n', length - piece)
    return length if end is NULL else end + 1 - data


def write_lines(int fd, bytes batch, size_t start, size_t piece, int patience) -> tuple[int, int]:
    """Write a batch from `start` on, without the GIL. Returns where it stopped, and an errno or 0.

    piece: 0 for a file, which takes all of it; otherwise what the descriptor takes as a whole, and then it is asked
    first whether it will. It stops where that takes longer than `patience` milliseconds.
    """
    cdef const char* data = PyBytes_AS_STRING(batch)
    cdef size_t size = PyBytes_GET_SIZE(batch)
    cdef size_t length
    cdef ssize_t done
    cdef int code = 0
    cdef pollfd wanted
    wanted.fd = fd
    wanted.events = POLLOUT
    wanted.revents = 0
    with nogil:
        while start < size:
            length = size - start
            if piece:
                if poll(&wanted, 1, patience) <= 0:
                    break
                length = whole_lines(data + start, length, piece)
            done = c_write(fd, data + start, length)
            if done >= 0:
                start += done
            elif errno == EAGAIN:
                poll(NULL, 0, PAUSE)
                break
            elif errno != EINTR:
                code = errno
                break
    return start, code
