"""HTTP/1.0 and HTTP/1.1: bytes to requests, responses to bytes, and the state of one connection.

The two directions have a state each:

    reading     HEAD --head complete--> BODY --body complete--> HELD --response complete--> HEAD
                HEAD --head complete, no body--> HELD
                BODY --response complete first--> DISCARD --body complete--> HEAD
                HELD --websocket.accept--> UPGRADED
                any  --refused, or answered early with too much unread--> LINGER
                any  --closed--> CLOSED
    writing     NONE --http.response.start--> OPEN | LENGTH | UNTIL_CLOSE | SILENT
                OPEN --first body, or a flush--> LENGTH | CHUNKED | UNTIL_CLOSE
                any of them --last body--> NONE

It knows no event loop: it is fed, and asks the edge to send, to stop reading, to set its deadline and to close.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from .ahead cimport ReadAhead
from .body cimport Decoder
from .exchange cimport Conversation
from .forwarded cimport Origin
from .handshake cimport Opening
from .head cimport Head
from .section cimport Memory
from .service cimport Service
from .session cimport Acceptor
from .websocket cimport WebSocket


cdef enum Reading:
    HEAD                        # before or inside a request head
    BODY                        # inside the body of the current request
    HELD                        # the request is here, its response is not complete: further input waits
    UPGRADED                    # this is a WebSocket now: further input is for its wire
    DISCARD                     # the response is complete: what is left of the request's body is thrown away
    LINGER                      # our side is shut down: input is thrown away until the client closes, too
    CLOSED


cdef enum Writing:
    NONE
    OPEN                        # the head stands in the buffer, without its framing line and its end
    LENGTH                      # a body of declared length
    CHUNKED
    UNTIL_CLOSE                 # HTTP/1.0: the body ends with the connection
    SILENT                      # no body: HEAD, 204, 304


cdef class Http1(Acceptor):
    cdef Service service
    cdef dict template          # of the scope
    cdef Conversation exchange  # the one whose response is not complete, or None
    cdef Head* head             # a head that has arrived in part, or NULL
    cdef ReadAhead* ahead       # or NULL
    cdef bytes source           # the object that is being fed, if it is one: a body that is all of it is not copied
    cdef bytes held             # output of an application that ran outside of our steps, until it is sent
    cdef Decoder decoder
    cdef Memory memory          # of the fields of the last request
    cdef uint32_t served        # requests so far
    cdef uint32_t last          # the one after which the connection is closed
    cdef uint32_t body_since    # tick at which the body's time began, without our own pauses
    cdef uint32_t body_heard    # tick of the last body bytes
    cdef uint32_t discarded     # bytes in DISCARD
    cdef uint8_t reading
    cdef uint8_t writing
    cdef uint8_t bodiless
    cdef bint old               # the current request is HTTP/1.0
    cdef bint keep              # the connection stays open after this response
    cdef bint wanted            # and the client wants it to: it may be sending more
    cdef bint overloaded        # the current request is one too many
    cdef bint watched           # the deadline of the current request's body is set
    cdef bint blank             # there was input, but nothing in it
    cdef bint expects           # the client waits for 100 Continue
    cdef bint half_closed       # the client has shut down its side
    cdef size_t began           # where the current response begins in the gather buffer
    cdef Opening opening        # of the WebSocket that the current request asks for, or None
    cdef WebSocket successor    # what the connection has become while it was being fed, or None

    cdef bint is_idle(self) noexcept
    cdef void push(self, const char* data, size_t length) noexcept
    cdef bint handed_over(self, const char* at, size_t length) noexcept
    cdef int begin_session(self, object method, object client, object query, list headers, Origin origin) except -1
    cdef void parse_ahead(self, size_t offset) noexcept
    cdef void fed(self) noexcept
    cdef const char* parse(self, const char* at, const char* end) noexcept
    cdef const char* parse_head(self, const char* at, const char* end) noexcept
    cdef int begin(self, Head* head) except -1
    cdef const char* parse_body(self, const char* at, const char* end) noexcept
    cdef void keep_head(self, Head* head, const char* end) noexcept
    cdef int hold(self, const char* at, size_t length) except -1
    cdef void pause(self, bint reading) noexcept
    cdef void refuse(self, int status) noexcept
    cdef int answer(self, int status) except -1
    cdef void turn_away(self, str why) noexcept
    cdef void leave(self) noexcept
    cdef void shut(self, bint linger) noexcept
    cdef void next_request(self) noexcept
    cdef int end_head(self, int64_t length) except -1
    cdef int end_lines(self) except -1
