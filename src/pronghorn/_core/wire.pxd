"""What an edge and a wire ask of each other, whatever the protocol.

A wire turns bytes into messages and messages into bytes: one HTTP/1 connection, one WebSocket. It knows no event loop:
it is fed, and asks its edge to send, to stop reading, to set its deadline and to close.
"""

from libc.stdint cimport uint8_t, uint32_t

from .output cimport Output


cdef enum Feeding:
    # Whether a wire is inside of feed(), which calls the application. That may run the event loop in the middle of it.
    NOT_FED
    FED
    FED_ALL                     # there is no input left that goes before what comes meanwhile


cdef class Edge:
    """What a wire needs of the edge. The edge implements it; a test can."""
    cdef Output out             # the loop's gather buffer
    cdef uint8_t corked         # the edge will send what stands in it; nothing has to be sent at once
    cdef uint8_t ended          # closed or aborted: nothing goes out any more

    cdef int send(self, size_t mark, const char* body, size_t length, object owner, const char* tail,
                  size_t tail_length) noexcept
    cdef void send_soon(self) noexcept          # call wire.flush() before the loop looks for input again
    cdef void resume_soon(self) noexcept        # call wire.resume() in the next turn of the loop
    cdef void pause(self, bint reading) noexcept
    cdef void deadline(self, uint32_t ticks) noexcept       # 0: none
    cdef void idle(self) noexcept               # between two requests
    cdef void close(self) noexcept              # when everything is sent
    cdef void shut(self) noexcept               # our side of it, when everything is sent
    cdef void abort(self) noexcept              # now, so that the client can tell
    cdef void switch(self, Wire wire) noexcept  # what comes from now on is for another wire
    cdef object client(self)                    # the scope's `client`
    cdef void introduce(self, object client) noexcept       # who it is in truth


cdef enum:
    THROWN = 67108864           # bytes that are thrown away, then the client waits for the end of its time-out as we do


cdef class Wire:
    """What an edge needs of a wire, and what every call of an application does."""
    cdef Edge edge
    cdef uint8_t writable       # below the write high-water mark
    cdef uint8_t feeding        # Feeding
    cdef uint8_t paused         # reading is paused
    cdef uint8_t closing        # to be closed when the gathered output is sent
    cdef uint32_t thrown        # bytes of input that were thrown away behind our end of the connection

    cdef void throw_away(self, size_t length) noexcept

    # From the edge.
    cdef void feed(self, const char* data, size_t length, bytes source) noexcept
    cdef char* tail(self, size_t* room) noexcept
    cdef void filled(self, size_t length) noexcept
    cdef void resume(self) noexcept
    cdef bint eof(self) noexcept
    cdef void expired(self) noexcept            # the deadline has passed
    cdef void flush(self) noexcept
    cdef void drain(self) noexcept              # the server stops
    cdef bint give_way(self) noexcept           # close if nothing is under way; whether it did
    cdef void lost(self) noexcept               # the connection is gone
    cdef void set_writable(self, bint writable) noexcept

    # From the exchange.
    cdef void cork(self) noexcept               # the application runs: gather what it sends
    cdef void uncork(self) noexcept             # it waits or has returned: on the way with it

    # From another wire that is about to cork.
    cdef void interrupted(self) noexcept        # corked no more, although the step goes on: on the way with what is there


cdef inline void begin_gathering(Wire wire) noexcept:
    """What the wire's connection is sent gathers from the start of the buffer. When another one's does that already, its
    application runs the event loop in the middle of its step: what it has sent leaves now, and the rest of the step
    is not corked."""
    cdef Output out = wire.edge.out
    if out.holder is not None and out.holder is not wire:
        (<Wire> out.holder).interrupted()
    out.holder = wire
    wire.edge.corked = True


cdef inline size_t end_gathering(Wire wire) noexcept:
    """The connection is corked no more. Returns where its output begins in the buffer."""
    cdef Output out = wire.edge.out
    if not wire.edge.corked:
        return out.size             # it was interrupted, and what stands there is another one's
    wire.edge.corked = False
    out.holder = None
    return 0


# Whether a connection whose input does not end has been served for long enough: then the others, and the loop's other
# work, have their turn. began: 0 at first.
cdef bint turn_over(double* began) noexcept
