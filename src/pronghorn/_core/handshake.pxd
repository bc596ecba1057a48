"""The opening handshake of a WebSocket, server side (RFC 6455 section 4.2)."""


from .deflate cimport Deflate, DeflateOptions
from .output cimport Output
from .response cimport Defaults


cdef class Opening:
    """What a request that asks for a WebSocket says."""
    cdef readonly int status            # what to refuse it with; 0: it is fine
    cdef readonly bytes accept          # the value of Sec-WebSocket-Accept
    cdef readonly list subprotocols     # str, in the client's order
    cdef readonly Deflate deflate       # the compression that is agreed, or None


cpdef Opening open_handshake(object method, list headers, DeflateOptions options)
cdef int write_switch(Output out, Opening opening, bytes subprotocol, object headers, Defaults defaults) except -1
