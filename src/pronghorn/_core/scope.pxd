"""The scope of a request, as the application is given it (ASGI HTTP and WebSocket, "Connection Scope").

It is a copy of its listener's template, which has every key in place, with what differs written over it. That is a
fifth of what a small request costs outside of the application, so a scope that the application has neither kept nor
changed serves another request: nobody can tell it from a new one. Frameworks add keys of their own; of theirs only
the parts serve again.
"""

from libc.stdint cimport uint64_t


cdef class Scopes:
    """What all scopes of a server have in common."""
    cdef readonly dict state    # lifespan state, copied into each
    cdef dict asgi              # copied, too
    cdef str root_path

    cpdef dict template(self, object server, str scheme)


cdef struct Tags:
    # What tag_of() says of a dictionary as long as it is as we made it; 0: it is not to serve again.
    uint64_t whole
    uint64_t asgi
    uint64_t state
    uint64_t extensions


cdef class Scope:
    """Makes the scopes of one exchange, one after the other."""
    cdef Scopes shared
    cdef dict template          # of the listener that the last one was for
    cdef dict whole             # the last one, or None if it cannot serve again
    cdef dict asgi              # its parts, or None if they cannot
    cdef dict state
    cdef dict extensions
    cdef object client          # what has been written over the template's values
    cdef object path
    cdef object raw_path
    cdef Tags tags

    cdef dict begin(self, dict template, object client, object method, object path, object raw_path, object query,
                    list headers, bint old)
    cdef void end(self) noexcept

    cdef int copy(self) except -1
