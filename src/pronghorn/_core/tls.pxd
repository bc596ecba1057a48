"""TLS between the edge and a wire: records in, plain bytes up; plain bytes down, records out (RFC 8446, RFC 5246).

To the edge it is a wire, and to the wire above it is an edge: neither knows that the other is not there. The protocol is
OpenSSL's, through the interpreter's own ssl module, fed from memory. The wire above is made when the handshake is over.

    HANDSHAKE --finished--> OPEN --close_notify, ours or the client's--> OPEN, half of it
        │                     │
        └──failed, too late───┴──> over: the edge is closed or aborted, or has told us that it is gone
"""

from libc.stdint cimport uint8_t, uint32_t

from .service cimport Service
from .window cimport Buffer, Window
from .wire cimport Edge, Wire


cdef class Shelter:
    """TLS as the connections of a listener have it."""
    cdef Service service
    cdef dict template          # of the scopes
    cdef object certificates    # gives the context for a new connection, and the scope's `tls` when it is open
    cdef Window records         # what came, for OpenSSL to read
    cdef Window plain           # where it puts what was in it
    cdef Buffer buffer


cdef class Tls(Wire):
    cdef Shelter shelter
    cdef Shield shield          # the edge that the wire above sees; None when the connection is gone
    cdef Wire inner             # None until the handshake is over, and when the connection is gone
    cdef object session         # ssl.SSLObject
    cdef object incoming        # ssl.MemoryBIO of records that came
    cdef object outgoing        # and of those to be sent
    cdef object read            # bound methods: they are called for every request
    cdef object write
    cdef bytes pieces           # input that is taken piece by piece, or None
    cdef size_t piece           # where the next of them begins
    cdef uint32_t jitter
    cdef uint32_t barren        # bytes of records since the last one that had something in it for the wire above
    cdef uint32_t answered      # bytes that the protocol has answered of its own, less what it may answer for what came
    cdef uint8_t heard          # something has come
    cdef uint8_t held           # the wire above does not want to read
    cdef uint8_t waiting        # there may be more in what came, for when it does
    cdef uint8_t finished       # there is nothing more to come, and the wire above knows
    cdef uint8_t ending         # the connection has ended behind what is waiting
    cdef uint8_t resuming       # the wire above asked for a turn of its own
    cdef uint8_t closed         # close_notify is sent

    cdef void take(self, const char* data, size_t length, bytes source) noexcept
    cdef void take_pieces(self) noexcept
    cdef int start(self) except -1
    cdef void shake(self) noexcept
    cdef void refused(self, object error) noexcept
    cdef void established(self) noexcept
    cdef void decrypt(self) noexcept
    cdef Py_ssize_t read_into(self, char* place, size_t room) noexcept
    cdef bint idling(self, size_t done, size_t answer) noexcept
    cdef bint encrypt(self, const char* data, size_t length) noexcept
    cdef void put(self) noexcept
    cdef void notify_close(self) noexcept


cdef class Shield(Edge):
    """What the wire above has for an edge."""
    cdef Edge edge
    cdef Tls tls                # None when the connection is gone
