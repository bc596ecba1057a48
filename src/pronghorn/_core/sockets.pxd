"""Connections on sockets of our own: accepted, read and written without a transport of the event loop.

That is what connections are on where it works, Linux under uvloop: it saves a tenth of the instructions of a small
request and two thirds of the memory of a connection. Everywhere else they are on the loop's transports.
"""

from libc.stdint cimport uint8_t, uint32_t

from .edge cimport Connection, Connections
from .entrance cimport Entrance
from .poll cimport Acceptor, Poll, Queue, Watch


cdef enum:
    MOST_HELD = 64              # connections whose output is sent together
    CROWD = 4                   # connections that are ready at once, from which on there is something to gain
    PLACES = 32                 # connections that are read from before the first of them is served
    PLACE = 4096                # bytes for what each of them has sent
    SHARES = 256                # processes that may listen to the same sockets
    BROKEN_OFF = -1
    NOBODY = 0xFFFFFFFF         # connections of one that does not accept any

cdef struct Share:
    # What one process shows the others.
    double beat                 # when it last lived, on the monotonic clock
    uint32_t connections        # that it has open, or NOBODY
    uint32_t unused


cdef class Sockets(Poll):
    """The sockets of the connections of one event loop."""
    cdef Connections connections
    cdef list closed            # connections whose socket is closed, and who have not been told
    cdef size_t high_water      # bytes not taken by a socket from which on its application waits
    cdef size_t low_water       # and until when
    cdef object page            # memory that several processes share, or None
    cdef Share* shares          # the same
    cdef int slot               # ours

    cdef char* places           # PLACES of them, one after the other; NULL until they are needed
    cdef int early              # in the batch: up to where connections have been read from

    cdef list held              # connections whose output waits for that of others
    cdef double before          # when the event before this one was done with
    cdef double first           # when the first of them was held

    cdef void read_early(self) noexcept
    cdef void release(self) noexcept
    cdef void publish(self, uint32_t connections) noexcept
    cdef void bury(self, SocketConnection connection) noexcept
    cdef void end_closed(self) noexcept


cdef class SocketAcceptor(Acceptor):
    cdef Entrance entrance


cdef class SocketConnection(Connection):
    # `transport` is the Sockets.
    cdef Watch watch            # its `watched` means: the socket is open
    cdef Queue* pending         # output that the socket did not take, or NULL
    cdef int early              # bytes that have been read and wait in `place`; BROKEN_OFF: the socket has failed instead
    cdef uint8_t place
    cdef uint8_t brief          # what came last would have fitted there
    cdef uint8_t deaf           # nothing is read: reading pauses, or there is nothing more to come
    cdef uint8_t unread         # there is something to be read all the same, of which we shall not be told again
    cdef uint8_t finished       # the client has shut down its side, or we are only waiting for `pending` to go out
    cdef uint8_t shutting       # our side is to be shut down after that
    cdef uint8_t local          # it is a unix socket: a read ends behind each message that a descriptor was passed with
    cdef uint8_t held           # `pending` waits for the output of others, not for the socket

    cdef void ready(self, uint32_t events) noexcept
    cdef void readable(self, uint32_t events) noexcept
    cdef void take_early(self) noexcept
    cdef void read_on(self) noexcept
    cdef void writable(self) noexcept
    cdef void put(self, size_t length) noexcept
    cdef void dispose(self) noexcept
