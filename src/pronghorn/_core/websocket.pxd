"""The WebSocket wire (RFC 6455): frames to messages, messages to frames, and the state of one open WebSocket.

    OPEN    --our close is sent: the application's, the server stops, or a message is too big--> CLOSING
            --the client's close has come, and was answered--> CLOSED
    CLOSING --the client's close has come, or not in time--> CLOSED
    OPEN, CLOSING   --refused: the close says why--> LINGER --the client closes, or not in time--> CLOSED

All messages that one read brings are put into the session's queue before the application goes on, so that it takes them
in one step and what it sends leaves in one write. When the queue is full, parsing stops at the next data frame: control
frames before that are still answered. Whatever ends the session waits, too, until the application has had what came
before it.
"""

from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from .deflate cimport Deflate
from .frames cimport Frame
from .service cimport Service
from .session cimport Channel, Session


cdef enum State:
    OPEN
    CLOSING                     # our close is sent, the client's is awaited: only control frames count
    LINGER                      # our side is shut down: input is thrown away until the client closes, too
    CLOSED


cdef enum Blocked:
    # Why the parser stopped before the end of the input.
    NO
    FULL                        # the queue is full, and a data frame waits
    SETTLING                    # a close waits until the application has had what came before it


cdef struct Incoming:
    # A message under way that did not come in one piece.
    PyObject* content           # owned: the bytes object it is gathered in, or NULL
    size_t size                 # bytes in it
    uint64_t declared           # bytes of all its frames so far
    uint32_t fragments          # its frames so far
    uint32_t began              # tick of the first
    uint32_t text               # state of the UTF-8 check
    uint8_t opcode
    bint compressed
    Frame frame                 # the one under way
    uint64_t left               # bytes of its payload that have not come
    bint in_frame               # there are some, or its end has not been looked at
    bint inflating              # there is more output to be had from what has come


cdef struct Outgoing:
    # Frames sent outside of our steps, until they leave.
    size_t size
    size_t capacity
    char[1] bytes


cdef class WebSocket(Channel):
    cdef Service service
    cdef Session session        # None once the connection is lost
    cdef Deflate deflate        # or None
    cdef bytes waiting          # input that has to wait: a part of a frame, or behind a full queue
    # What is to be sent later, or None: bytes, the payload of the last ping, when the client reads again; or a tuple, a
    # close code and reason for what is refused, once the application has had its messages.
    cdef object later
    cdef Incoming* incoming     # or NULL: idle sessions have none
    cdef Outgoing* held         # or NULL
    cdef uint32_t next_ping     # tick
    cdef uint32_t pinged        # tick of the ping that nothing has been heard since; 0: none
    cdef uint16_t controls      # control and empty frames
    cdef uint16_t controls_since    # tick from which they are counted, its last 16 bits
    cdef uint8_t state
    cdef uint8_t blocked
    cdef uint8_t settled        # the application was woken before the close that stands there
    cdef uint8_t watched        # the deadline counts the message under way

    cdef void start(self, bint paused, bint half_closed, bytes early) noexcept
    cdef void begin_with(self, const char* data, size_t length) noexcept
    cdef void take(self, const char* data, size_t length) noexcept
    cdef void take_late(self) noexcept
    cdef bint overtaking(self, const char* data, size_t length) noexcept
    cdef bint wake(self, const char* at, const char* end) noexcept
    cdef const char* parse(self, const char* at, const char* end) noexcept
    cdef const char* parse_frame(self, const char* at, const char* end) except? NULL
    cdef int control(self, Frame* frame, const char* data) except -1
    cdef int whole(self, Frame* frame, const char* data) except -1
    cdef int begin_frame(self, Frame* frame) except -1
    cdef int payload(self, const char* data, size_t length) except -1
    cdef bint inflate(self) except -1
    cdef int finish(self) except -1
    cdef int add(self, const char* data, size_t length, bint masked) except -1
    cdef int room(self, size_t extra) except -1
    cdef void forget(self) noexcept
    cdef bint refusing(self) noexcept
    cdef bint frequent(self) noexcept
    cdef int write(self, uint8_t opcode, bint compressed, const char* data, size_t length, object owner) except -1
    cdef int hold(self, uint8_t opcode, bint compressed, const char* data, size_t length) except -1
    cdef void write_close(self, int code, bytes reason) noexcept
    cdef void fail(self, int code, str reason) noexcept
    cdef void leave(self) noexcept
    cdef void watch(self) noexcept
