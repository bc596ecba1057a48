"""The access log: what an exchange tells of each request, and lines made of that.

    request     begin() --> a `line`: what the request's head says, kept apart because the scope is the application's
    response    close() --> the record or the line, once, with a status and the size of the body

Records hands it to the logging of the Python layer; Reports hands over both ends, for a logger of somebody else's. Lines
is the compiled form: it appends finished lines to memory of its own, which somebody else takes away in batches; no file,
no lock, no Python object is made for a line. Every value that a client or an application has a say in is escaped, so
that a request is one line, whatever it holds.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from .output cimport Output


cdef enum:
    BATCH = 32768               # bytes of lines that are worth a write of their own


cdef enum Atom:
    LITERAL
    CLIENT_ADDRESS              # host:port
    HOST
    USER
    DATE
    TIMESTAMP
    REQUEST                     # method, target, version
    REQUEST_LINE                # the same as uvicorn's formatter has it
    METHOD
    PATH
    QUERY
    PROTOCOL
    STATUS
    STATUS_TEXT                 # with its phrase
    SIZE
    SIZE_OR_DASH
    SECONDS
    MILLISECONDS
    MICROSECONDS
    DURATION                    # in seconds, with six decimals
    REQUEST_ID
    ASKED                       # a header of the request
    ANSWERED                    # a header of the response


cdef enum Style:
    PLAIN                       # \xHH, \" and \\
    TARGET                      # %HH: a request target stays one
    JSON                        # \u00HH, \" and \\


cdef struct Segment:
    Atom atom
    const char* text            # of a LITERAL; not owned
    size_t length
    uint32_t index              # of ASKED and ANSWERED: which of the headers asked for
    bint quoted                 # the value brings its quotation marks, or is null


cdef class Journal:
    """What an exchange needs of the access log."""
    cdef readonly bint late     # the line says what is only known when the response is over
    cdef readonly bint sessions # there is a line for the handshake of a WebSocket as well

    cdef tuple begin(self, object client, object method, object path, object query, object version, list headers)
    cdef object readable(self, object headers)
    cdef tuple answer(self, tuple line, object headers)
    cdef void close(self, tuple line, int status, int64_t size) noexcept


cdef class Records(Journal):
    """Each line is a call of the Python layer, with uvicorn's five arguments."""
    cdef object access


cdef class Reports(Journal):
    """Two calls of the Python layer for each request: begun() with its head, over() with the response."""
    cdef object begun
    cdef object over


cdef class Lines(Journal):
    cdef Output out             # finished lines
    cdef Segment* segments      # owned
    cdef uint32_t count
    cdef list literals          # holds what the segments point to
    cdef tuple asked            # names of request headers the format asks for, or None
    cdef tuple answered         # the same of response headers
    cdef Style style
    cdef bint timed             # the format says how long it took
    cdef uint8_t busy           # a line is being appended: not the moment to take
    cdef readonly size_t missed # lines there was no memory for
    cdef object begun           # called with the first line of a batch
    cdef object full            # called when there is a batch
    cdef bytes prefix           # of the request identifiers made here
    cdef uint64_t made          # how many
    cdef int64_t second         # for which `date` and `timestamp` are
    cdef char[40] date
    cdef char[32] timestamp

    cdef int append_line(self, tuple line, int status, int64_t size) except -1
    cdef int append_value(self, Segment* segment, tuple line, int status, int64_t size, int64_t now) except -1
    cdef int append_duration(self, Atom atom, int64_t began) except -1
    cdef int append_text(self, object value, Segment* segment) except -1
    cdef int append_client(self, object client, Segment* segment) except -1
    cdef int append_request(self, tuple line, Style style) except -1
    cdef int append_identifier(self, object given) except -1
    cdef int append_date(self, Atom atom, int64_t now) except -1


cdef str client_text(object client)
cdef str target_text(tuple line)
