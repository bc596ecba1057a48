"""HTTP/1.0 and HTTP/1.1: bytes to requests, responses to bytes, and the state of one connection.

The two directions have a state each; that of writing stands in writing.pxd:

    reading     HEAD --head complete--> BODY --body complete--> HELD --response complete--> HEAD
                HEAD --head complete, no body--> HELD
                BODY --response complete first--> DISCARD --body complete--> HEAD
                HELD --websocket.accept--> UPGRADED
                any  --refused, or answered early with too much unread--> LINGER
                any  --closed--> CLOSED

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
from .websocket cimport WebSocket
from .writing cimport Writer


cdef enum Reading:
    HEAD                        # before or inside a request head
    BODY                        # inside the body of the current request
    HELD                        # the request is here, its response is not complete: further input waits
    UPGRADED                    # this is a WebSocket now: further input is for its wire
    DISCARD                     # the response is complete: what is left of the request's body is thrown away
    LINGER                      # our side is shut down: input is thrown away until the client closes, too
    CLOSED


cdef class Http1(Writer):
    cdef Service service
    cdef dict template          # of the scope
    cdef Conversation exchange  # the one whose response is not complete, or None
    cdef Head* head             # a head that has arrived in part, or NULL
    cdef ReadAhead* ahead       # or NULL
    cdef bytes source           # the object that is being fed, if it is one: a body that is all of it is not copied
    cdef Decoder decoder
    cdef Memory memory          # of the fields of the last request
    cdef uint32_t served        # requests so far
    cdef uint32_t last          # the one after which the connection is closed
    cdef uint32_t body_since    # tick at which the body's time began, without our own pauses
    cdef uint32_t body_heard    # tick of the last body bytes
    cdef uint32_t discarded     # bytes in DISCARD
    cdef uint8_t reading
    cdef uint8_t bodiless
    cdef bint wanted            # and the client wants it to: it may be sending more
    cdef bint overloaded        # the current request is one too many
    cdef bint watched           # the deadline of the current request's body is set
    cdef bint blank             # there was input, but nothing in it
    cdef bint expects           # the client waits for 100 Continue
    cdef bint half_closed       # the client has shut down its side
    cdef Opening opening        # of the WebSocket that the current request asks for, or None
    cdef WebSocket successor    # what the connection has become while it was being fed, or None

    cdef bint is_idle(self) noexcept
    cdef void push(self, const char* data, size_t length) noexcept
    cdef bint handed_over(self, const char* at, size_t length) noexcept
    cdef int begin_session(self, object method, object client, object path, object raw_path, object query, list headers,
                           Origin origin) except -1
    cdef bint overtaking(self, const char* data, size_t length) noexcept
    cdef void parse_late(self) noexcept
    cdef void take_late(self) noexcept
    cdef void go_on(self, size_t length) noexcept
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
