"""How the connections of a listener begin: which wire is there first, and which ones may follow it.

    the PROXY protocol's preface, where the listener has it  ->  TLS, where it has that  ->  HTTP/1
"""

from libc.stdint cimport uint8_t, uint32_t

from .preface cimport Versions
from .service cimport Service
from .tls cimport Shelter
from .wire cimport Edge, Wire


cdef class Entrance:
    cdef Service service
    cdef dict template          # the scope of the listener's requests
    cdef Shelter shelter        # None: no TLS
    cdef Versions versions      # of the PROXY protocol; 0: it is not spoken
    cdef object allowed         # `host in allowed`: who may speak it
    cdef dict places            # for a listener on all addresses: the entrance for each of them; None: it has one

    cdef Entrance at(self, str host)
    cdef Wire wire(self, Edge edge, uint32_t jitter)
    cdef Wire behind_preface(self, Edge edge, uint32_t jitter, bint tls)


cdef class Lobby(Wire):
    """The wire of a connection whose preface has not come yet."""
    cdef Entrance entrance
    cdef bytes begun            # what has come of it, or None
    cdef uint32_t jitter
    cdef uint8_t over

    cdef void turn_away(self, str why) noexcept
