# cython: language_level=3, boundscheck=False, wraparound=False, binding=False
"""Loops inside compiled code, so that what is measured is the room and not the call into it.

Every function does its work `times` times. It is compiled by conftest.py against the installed package.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free

from pronghorn._core.body cimport DATA, END, BodyLimits, Decoded, Decoder, decode, expect_body
from pronghorn._core.drive cimport Call, Drive
from pronghorn._core.exchange cimport Application, Exchange
from pronghorn._core.head cimport COMPLETE, Head, HeadLimits, method_name, new_head, reset_head, run_head
from pronghorn._core.headers cimport Field, Fields
from pronghorn._core.http1 cimport Http1
from pronghorn._core.journal cimport Journal
from pronghorn._core.service cimport Service
from pronghorn._core.output cimport Output, append
from pronghorn._core.response cimport Declared, Defaults, write_headers, write_status
from pronghorn._core.target cimport Paths, Target, split_target
from pronghorn._core.wire cimport Edge, Wire


def output_append(bytes piece, int times):
    """Gather and forget."""
    cdef Output out = Output()
    for _ in range(times):
        out.size = 0
        append(out, piece, len(piece))
    return len(out)


cdef HeadLimits head_limits() noexcept:
    cdef HeadLimits limits
    limits.line, limits.field, limits.total, limits.fields = 8192, 16384, 65536, 100
    return limits


def head_run(bytes request, int times):
    """llhttp over a whole head."""
    cdef HeadLimits limits = head_limits()
    cdef Head* head = new_head(&limits)
    cdef const char* rest = NULL
    cdef int complete = 0
    for _ in range(times):
        reset_head(head)
        head.base = request
        complete += run_head(head, request, len(request), &rest) == COMPLETE
        method_name(head)
    count = head.count
    free(head)
    assert complete == times
    return count


def headers_pairs(list names, list values, int times):
    """One tuple for each field of a head; list included."""
    cdef Fields fields = Fields()
    cdef Field field
    cdef bytes line, name, value
    cdef list lines = [name + b": " + value for name, value in zip(names, values)]
    cdef list found = []
    for _ in range(times):
        found = []
        for i in range(len(names)):
            line, name, value = lines[i], names[i], values[i]
            found.append(fields.pair(line, <uint32_t> len(name), <uint32_t> len(name) + 2, <uint32_t> len(value), &field))
    return found


def target_paths(bytes text, int times):
    """A request target to path, raw_path and query_string."""
    cdef Paths paths = Paths("")
    cdef Target target
    query = None
    for _ in range(times):
        split_target(text, len(text), False, &target)
        paths.look_up(target.path, target.path_length)
        query = target.query[:target.query_length]
    return paths.path, paths.raw_path, query


def body_decode(bytes content, bint chunked, int times):
    """A whole body, its bytes looked at and dropped."""
    cdef Decoder decoder
    cdef BodyLimits limits
    cdef const char* at
    cdef const char* end = <const char*> content + len(content)
    cdef const char* data
    cdef size_t length = 0, total = 0
    cdef Decoded decoded
    limits.body, limits.extension, limits.extensions, limits.trailer_fields, limits.trailer_size = 0, 0, 0, 0, 0
    for _ in range(times):
        expect_body(&decoder, chunked, 0 if chunked else len(content))
        at = content
        while True:
            decoded = decode(&decoder, &limits, &at, end, &data, &length)
            if decoded != DATA:
                break
            total += length
        assert decoded == END
    return total // times


def response_head(int status, list headers, int times):
    """Status line, the application's headers and the server's."""
    cdef Output out = Output()
    cdef Defaults defaults = Defaults(True, True, [])
    cdef Declared declared
    defaults.refresh()
    for _ in range(times):
        out.size = 0
        write_status(out, status)
        write_headers(out, headers, &declared, "http.response.start")
        defaults.write(out, &declared)
    return out.take()


cdef class Ended(Call):
    """A caller of the drive that only counts."""
    cdef int count

    def __cinit__(self):
        self.task = None

    cdef void returned(self, object result) noexcept:
        self.count += 1


def drive_start(Drive drive, app, int times):
    """Calls of an application; those that wait end in later turns of the loop."""
    cdef Ended call = Ended()
    for _ in range(times):
        drive.start(call, app, None, None, None)
    return call.count


def journal_lines(Journal journal, list headers, int times):
    """What the access log costs a request, without the writing."""
    cdef tuple line
    client = ("127.0.0.1", 50000)
    for _ in range(times):
        line = journal.begin(client, "GET", b"/", None, "1.1", headers)
        journal.close(line, 200, 13)


cdef class Nowhere(Wire):
    """A wire that takes everything and writes nothing."""
    cdef int count

    def __cinit__(self):
        self.writable = True

    cdef int write_head(self, int status, object headers, bint bodiless, int64_t* length) except -1:
        length[0] = -1
        return 0

    cdef int write_body(self, bytes body, bint last) except -1:
        return 0

    cdef void completed(self) noexcept:
        self.count += 1


def exchange_run(Drive drive, app, list headers, int times):
    """Whole requests without a body, from the scope to the last send()."""
    cdef Application application = Application(app, drive, state={})
    cdef dict template = application.scopes.template(("127.0.0.1", 8000), "http")
    cdef Nowhere wire = Nowhere()
    cdef Exchange exchange
    for _ in range(times):
        exchange = application.begin(wire, template, None, "GET", "/", b"/", b"", headers, False, False)
        exchange.arrived(True)
        exchange.run()
        exchange = None
    return wire.count


cdef class Memory(Edge):
    """An edge that forgets what it is to send."""
    cdef size_t sent

    def __cinit__(self):
        self.out = Output()

    cdef int send(self, size_t mark, const char* body, size_t length, object owner, const char* tail,
                  size_t tail_length) noexcept:
        self.sent += self.out.size - mark + length + tail_length
        self.out.size = mark
        return 0


def http1_feed(Drive drive, app, config, bytes requests, int times, access=None):
    """Bytes of whole requests to bytes of whole responses, without a transport."""
    cdef Application application = Application(app, drive, state={}, access=access)
    cdef Service service = Service(application, config, 0.25)
    cdef Memory edge = Memory()
    cdef Http1 wire = Http1.__new__(Http1, service, edge, application.scopes.template(("127.0.0.1", 8000), "http"), 0)
    for _ in range(times):
        wire.feed(requests, len(requests), requests)
    return application.total, edge.sent
