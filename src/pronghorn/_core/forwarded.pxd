"""What a trusted proxy says of a request's client: X-Forwarded-For and its kin, and Forwarded (RFC 7239).

Anybody can send these fields, and each proxy adds to what it has got. So a list is read from its right end, where the proxy
stands that we can see, and only as far to the left as every one passed on the way is trusted: the first that is not is
the client.
"""

from libc.stdint cimport uint8_t


cdef enum Believed:
    # Which fields are looked at.
    FOR = 1
    PROTO = 2
    THE_HOST = 4
    PORT = 8
    PREFIX = 16
    RFC7239 = 32

cdef enum:
    HOPS = 32                   # proxies in a row that are looked through


cdef class Origin:
    """What is to be changed in a scope; None and -1 leave it as it is."""
    cdef object client          # (host, port)
    cdef str scheme
    cdef bytes host             # the Host that the client sent
    cdef int port
    cdef str prefix             # the path that the proxy has taken away

    cdef int amend(self, dict scope) except -1


cdef class Forwarding:
    cdef object trusted         # `host in trusted`; the host of a unix socket is "unix"
    cdef dict known             # host -> whether it is trusted
    cdef uint8_t believed
    cdef object pair            # the pattern of one pair of Forwarded, where that is believed
    cdef object path            # and that of a prefix

    cdef bint trusts(self, str host) except -1
    cdef Origin origin(self, object peer, list headers)
    cdef int from_fields(self, Origin origin, list headers) except -1
    cdef bint from_elements(self, Origin origin, bytes value) except -1
    cdef int walk(self, Origin origin, list hops) except -1
