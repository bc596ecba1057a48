"""The edge: asyncio transports on one side, a wire on the other.

One Connection for each socket, and nothing else that lives as long: the read buffer, the gather buffer, the parser's
memory and the timer belong to the loop (Connections) and serve all of them.
"""

from libc.stdint cimport uint8_t, uint32_t

from .entrance cimport Entrance
from .exchange cimport Application
from .output cimport Output
from .poll cimport Poll
from .service cimport Service
from .window cimport Buffer, Window
from .wire cimport Edge, Wire


cdef extern from *:
    """
    #include <sys/socket.h>
    static void reset_on_close(int fd)
    {
        struct linger option = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &option, sizeof option);
    }
    """
    void reset_on_close(int fd) nogil

cdef enum:
    HELD_SIZE = 4096            # bytes of output that are copied to be sent a little later
    READ_BUFFER = 262144        # one read takes what a fast client has sent meanwhile


cdef enum Backlog:
    NOTHING_WAITS
    WAITS                       # output waits for the client
    PILES_UP                    # and the application adds to it although it should wait


cdef class Connections:
    """The connections of one event loop, and what they share."""
    cdef readonly object loop
    cdef readonly Application application
    cdef Service service
    cdef Output out
    cdef object protocol        # the class of the connections
    cdef Window window
    cdef Buffer buffer          # what reads go into, unless a connection has input waiting
    cdef Poll poll              # where the sockets of our own are watched, or None
    # All open connections: first those that became idle, longest ago first, and then the others. One that is not idle any
    # more stays among the former until drop_idle() comes across it.
    cdef Connection first
    cdef Connection final
    cdef Connection others      # the first of the others, or None
    cdef uint32_t limit         # connections; 0: none
    cdef size_t write_high_water
    cdef double tick            # seconds between two sweeps
    cdef uint32_t stall         # ticks without progress in writing; 0: no limit
    cdef object timer           # the sweep's, or None
    cdef object closed          # future for wait_closed(), or None
    cdef uint32_t jitter
    cdef str proxy_protocol     # off, on, v1 or v2
    cdef object proxies         # who may speak it
    cdef bint verbose           # connections are logged, at debug
    cdef bint holding           # small output is sent together with that of others
    cdef list outgoing          # connections whose wire was written to outside of our steps
    cdef bint missed            # a call of resume_now() could not be asked for: the next sweep sees to it

    cdef void link(self, Connection connection, bint idle) noexcept
    cdef void unlink(self, Connection connection) noexcept
    cdef bint drop_idle(self) noexcept
    cdef void log_connection(self, Connection connection, str what) noexcept
    cdef void note_closed(self) noexcept


cdef class Connection(Edge):
    # An idle connection is little more than this: small types in an order without gaps.
    cdef Connections owner
    cdef object transport       # what carries the bytes
    cdef Wire wire
    cdef object peer            # the scope's `client`
    cdef Connection previous    # in the owner's list
    cdef Connection next
    cdef uint32_t due           # tick of the deadline; 0: none
    cdef uint32_t placed        # tick at which it was put to the idle ones; 0: it is among the others
    cdef int fd                 # -1: write through the transport
    cdef uint32_t stalled       # tick of the sweep that last saw the client take something of what waits
    cdef uint32_t backlog_size  # bytes that waited then, and those that have been added since; its last 32 bits
    cdef uint32_t unsent        # bytes that the system held then
    cdef uint8_t backlog        # Backlog
    cdef uint8_t peer_known     # once it was asked for
    cdef uint8_t told           # the wire knows that the connection is gone
    cdef uint8_t linked

    cdef void opened(self) noexcept
    cdef void lose(self) noexcept
    cdef void gone(self) noexcept
    cdef bint hold(self, const char* head, size_t head_length, const char* body, size_t length, const char* tail,
                   size_t tail_length) noexcept
    cdef void queue(self, const char* data, size_t length) noexcept
    cdef void queue_rest(self, object owner, size_t done) noexcept
    cdef size_t waiting(self) noexcept
    cdef int socket(self)
    cdef void note_backlog(self, size_t length) noexcept
    cdef void watch_backlog(self) noexcept
    cdef uint32_t patience(self) noexcept
    cdef void broken(self, object error) noexcept
