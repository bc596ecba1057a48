"""The WebSocket wire (RFC 6455): frames to messages, messages to frames, and the state of one open WebSocket.

    OPEN    --our close is sent: the application's, or the server stops--> CLOSING
            --the client's close has come, and was answered--> CLOSED
    CLOSING --the client's close has come, or not in time--> CLOSED
    OPEN, CLOSING   --refused: the close says why--> LINGER --the client closes, or not in time--> CLOSED

All messages that one read brings are put into the session's queue before the application goes on, so that it takes them
in one step and what it sends leaves in one write. When the queue is full, parsing stops at the next data frame: control
frames before that are still answered.
"""

from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from .deflate cimport Deflate
from .frames cimport Frame
from .service cimport Service
from .session cimport Channel, Session
from .wire cimport Edge


cdef enum State:
    OPEN
    CLOSING                     # our close is sent, the client's is awaited: only control frames count
    LINGER                      # our side is shut down: input is thrown away until the client closes, too
    CLOSED


cdef class WebSocket(Channel):
    cdef Service service
    cdef Session session        # None once the connection is lost
    cdef Deflate deflate        # or None
    cdef bytes waiting          # input that has to wait: a part of a frame, or behind a full queue
    cdef bytes pong             # the payload of the last ping, to be answered when the client reads again
    cdef char* held             # frames sent outside of our steps, until they leave
    cdef size_t held_size
    cdef size_t held_capacity

    cdef Frame frame            # the data frame under way
    cdef uint64_t left          # bytes of its payload that have not come
    cdef PyObject* message      # owned: the bytes object that the message under way is gathered in, or NULL
    cdef size_t size            # bytes in it
    cdef uint64_t declared      # bytes of all its frames so far
    cdef uint32_t fragments     # its frames so far
    cdef uint32_t text          # state of the UTF-8 check
    cdef uint32_t began         # tick of its first frame
    cdef uint32_t next_ping     # tick
    cdef uint32_t pinged        # tick of the ping that nothing has been heard since; 0: none
    cdef uint32_t controls      # control and empty frames
    cdef uint32_t controls_since    # tick from which they are counted
    cdef uint8_t state
    cdef uint8_t opcode         # of the message under way; 0: none
    cdef bint compressed        # it is
    cdef bint in_frame          # inside the payload of a data frame
    cdef bint inflating         # there is more output to be had from what has come
    cdef bint blocked           # the queue is full, and a data frame waits
    cdef bint taking            # we are inside take()
    cdef bint watched           # the deadline counts the message under way
    cdef bint paused            # reading is paused
    cdef bint closing           # to be closed when the gathered output is sent

    cdef void start(self, bint paused, bytes early) noexcept
    cdef void take(self, const char* data, size_t length) noexcept
    cdef const char* parse(self, const char* at, const char* end) noexcept
    cdef const char* parse_frame(self, const char* at, const char* end) except? NULL
    cdef int whole(self, const char* data) except -1
    cdef int begin_frame(self) except -1
    cdef int payload(self, const char* data, size_t length) except -1
    cdef bint inflate(self) except -1
    cdef int finish(self) except -1
    cdef int add(self, const char* data, size_t length, bint masked) except -1
    cdef int room(self, size_t extra) except -1
    cdef int control(self, const char* data) except -1
    cdef bint frequent(self) noexcept
    cdef int write(self, uint8_t opcode, bint compressed, const char* data, size_t length, object owner) except -1
    cdef int hold(self, uint8_t opcode, bint compressed, const char* data, size_t length) except -1
    cdef void write_close(self, int code, bytes reason) noexcept
    cdef void fail(self, int code, str reason) noexcept
    cdef void leave(self) noexcept
    cdef void watch(self) noexcept
