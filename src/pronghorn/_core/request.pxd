"""What a complete request head says: its fields, its target, how its body is framed, whether the connection stays.

llhttp has checked the grammar. Here stand the rules for the whole: which fields must be there, which must not, which
contradict each other (RFC 9112 sections 3.2, 6 and 9, RFC 9110 sections 7.2, 8.6 and 10.1.1).
"""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from .head cimport Head, Span
from .headers cimport Fields
from .target cimport Target


cdef enum HeaderMap:
    # Names with "_", which a proxy may take for those with "-".
    DROP
    REFUSE
    KEEP


cdef struct Request:
    Target target
    int64_t length              # content-length, 0 without one
    bint chunked
    bint old                    # HTTP/1.0
    bint keep                   # the client wants the connection to stay open
    bint expects                # it waits for 100 Continue before it sends the body
    bint websocket              # it asks for a WebSocket (RFC 6455 section 4.1), without a body
    bint forwarded              # it has fields in which proxies tell of their client
    bint bodiless               # HEAD: the response has no body
    bint plain                  # the next request may have the same fields, and would mean the same by them
    uint32_t dropped            # fields that the application does not get, for a "_" in their names
    Span* last_dropped          # the last of them
    uint16_t status             # what to refuse it with; 0: it is fine


cdef list examine(Head* head, Fields fields, HeaderMap underscores, uint64_t body_limit, Request* request)
