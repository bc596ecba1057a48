"""What all connections of an event loop share: settings as the wire reads them, tables, the scratch head."""

from libc.stdint cimport uint32_t, uint64_t

from .body cimport BodyLimits
from .deflate cimport DeflateOptions
from .exchange cimport Application
from .forwarded cimport Forwarding
from .head cimport Head, HeadLimits
from .headers cimport Fields
from .repeated cimport Repeated
from .request cimport HeaderMap
from .response cimport Defaults
from .target cimport Paths
from .wire cimport Wire


cdef struct Ticks:
    # Time-outs in ticks of the sweep; 0 is none.
    uint32_t first_byte
    uint32_t head
    uint32_t keep_alive
    uint32_t linger
    uint32_t second
    uint32_t ws_handshake
    uint32_t ws_ping            # between two pings
    uint32_t ws_pong            # from a ping to a sign of life
    uint32_t ws_close
    uint32_t ws_message         # from the first fragment to the last
    uint32_t ten_seconds
    uint32_t tls_handshake


cdef struct Rest:
    # What a wire has still to take of the input it is being fed with, while it calls the application. TLS has it elsewhere.
    Rest* outer                 # the same of another wire, whose application runs the event loop inside of its step
    void* wire
    const char* at
    const char* end


cdef class Service:
    """What all connections of an event loop share: settings, limits, tables and the scratch memory for heads."""
    cdef Application application
    cdef Defaults defaults
    cdef Repeated repeated
    cdef Fields fields
    cdef Paths paths
    cdef Head* head             # scratch: a head that arrives in one piece needs no memory of its own
    cdef bint examining         # it is in use
    cdef dict late              # wire -> input that came in the middle of its feed(); None: there is none
    cdef HeadLimits head_limits
    cdef BodyLimits body_limits
    cdef Ticks ticks
    cdef uint32_t now           # ticks so far
    cdef size_t body_high_water
    cdef uint32_t requests      # per connection; 0: no limit
    cdef uint32_t concurrency   # --limit-concurrency; 0: none
    cdef uint32_t open          # connections
    cdef HeaderMap header_map
    cdef Forwarding forwarding  # None: what proxies say of their clients is not looked at
    cdef bint draining
    cdef bint prompt            # while draining: requests that may be on their way are not waited for
    cdef bint websockets        # requests for a WebSocket are followed
    cdef DeflateOptions deflate # None: nothing is compressed
    cdef size_t ws_queue        # messages waiting for an application
    cdef uint64_t ws_size       # bytes of a message; 0: no limit
    cdef uint32_t ws_fragments
    cdef uint32_t ws_controls   # control and empty frames in ten seconds
    cdef uint32_t dropped       # fields that applications did not get, for a "_" in their names
    cdef uint32_t refusals      # since the last report_refusals()
    cdef uint32_t refusal_lines # how many of them have a line each; 0: all
    cdef Rest* rests            # or NULL

    cdef void renew_head(self) noexcept
    cdef void count_dropped(self, uint32_t fields, const char* name, size_t length) noexcept
    cdef void log_refusal(self, str text) noexcept
    cdef void report_dropped(self) noexcept
    cdef void report_refusals(self) noexcept
    cdef bytes take_rest(self, Wire wire)
    cdef void resume_rests(self) noexcept
    cdef size_t keep_late(self, Wire wire, const char* data, size_t length) except 0
    cdef bytes take_late(self, Wire wire)


cdef inline Head* scratch_head(Service service) noexcept:
    """Memory for a head, or NULL. When the head that stands there is being examined, something runs the event loop in the middle of
    that: it gets new memory, and whoever examines frees the old one."""
    if service.examining:
        service.renew_head()
    return service.head
