# What all connections share. See service.pxd.

from libc.stdlib cimport free

from .head cimport new_head

from .request cimport DROP, KEEP, REFUSE


cdef uint32_t in_ticks(object seconds, double tick):
    """A time-out in ticks; one more, so that it never ends early. 0 and None switch it off."""
    return <uint32_t> (seconds / tick + 1.999) if seconds else 0


cdef class Service:
    """config: the object with the settings; tick: seconds between two sweeps."""

    def __init__(self, Application application, config, double tick):
        self.application = application
        self.now = 1                # 0 is no tick
        self.refusal_lines = config.limit_refusal_log or 0
        self.defaults = Defaults(config.date_header, config.server_header, config.encoded_headers)
        self.repeated = Repeated()
        self.fields = Fields()
        self.paths = Paths(config.root_path)
        self.head_limits.line = config.limit_request_line or 0
        self.head_limits.field = config.limit_request_field_size or 0
        self.head_limits.total = config.limit_request_head or 0
        self.head_limits.fields = config.limit_request_fields or 0
        self.head = new_head(&self.head_limits)
        self.body_limits.body = config.limit_request_body or 0
        self.body_limits.extension = config.limit_chunk_extension or 0
        self.body_limits.extensions = config.limit_chunk_extensions or 0
        self.body_limits.trailer_fields = config.limit_trailer_fields or 0
        self.body_limits.trailer_size = config.limit_trailer_size or 0
        self.body_limits.gap = in_ticks(config.timeout_request_body, tick)
        self.body_limits.grace = in_ticks(config.body_rate_grace, tick)
        self.body_limits.rate = <uint32_t> ((config.body_rate_minimum or 0) * tick)
        self.ticks.first_byte = in_ticks(config.timeout_first_byte, tick)
        self.ticks.head = in_ticks(config.timeout_request_head, tick)
        self.ticks.keep_alive = in_ticks(config.timeout_keep_alive, tick)
        self.ticks.linger = in_ticks(config.timeout_linger, tick)
        self.ticks.second = in_ticks(1.0, tick)
        self.body_high_water = config.body_high_water or 0
        self.requests = config.limit_requests_per_connection or 0
        self.concurrency = config.limit_concurrency or 0
        self.ticks.ws_handshake = in_ticks(config.ws_handshake_timeout, tick)
        self.ticks.ws_ping = in_ticks(config.ws_ping_interval, tick)
        self.ticks.ws_pong = in_ticks(config.ws_ping_timeout, tick)
        self.ticks.ws_close = in_ticks(config.ws_close_timeout, tick)
        self.ticks.ws_message = in_ticks(config.ws_message_timeout, tick)
        self.ticks.ten_seconds = in_ticks(10.0, tick)
        self.ticks.tls_handshake = in_ticks(config.ssl_handshake_timeout, tick)
        self.websockets = config.ws != "none"
        if config.ws_per_message_deflate:
            self.deflate = DeflateOptions(
                config.ws_deflate_window_bits, config.ws_deflate_memory_level, config.ws_deflate_level,
                config.ws_deflate_min_size,
            )
        if config.trusted_hosts is not None:
            self.forwarding = Forwarding(config.trusted_hosts, config.forwarded_headers)
        self.ws_queue = config.ws_max_queue
        self.ws_size = config.ws_max_size or 0
        self.ws_fragments = config.ws_max_fragments or 0
        self.ws_controls = config.ws_control_limit or 0
        self.header_map = {"drop": DROP, "refuse": REFUSE, "keep": KEEP}[config.header_map]

    def __dealloc__(self):
        free(self.head)

    cdef void renew_head(self) noexcept:
        """Memory for other heads than the one that is being examined in what there was."""
        try:
            self.head = new_head(&self.head_limits)
            self.examining = False
        except MemoryError:
            self.head = NULL

    cdef void count_dropped(self, uint32_t fields, const char* name, size_t length) noexcept:
        """Log the first request with fields that the application does not get, and count those of all."""
        if self.dropped == 0:
            self.application.log().info(
                "The header %s has an underscore in its name, and is dropped (header_map). Further ones are counted.",
                name[:length].decode("latin-1"),
            )
        self.dropped += fields

    cdef void report_dropped(self) noexcept:
        """Log how many they were, at the end."""
        if self.dropped > 1:
            self.application.log().info("%d headers with an underscore in their names were dropped.", self.dropped)
        self.dropped = 0

    cdef void log_refusal(self, str text) noexcept:
        """Log that a client has been refused, unless too many have been since the last report."""
        self.refusals += 1
        if self.refusals <= self.refusal_lines or self.refusal_lines == 0:
            self.application.log().warning("%s", text)

    cdef void report_refusals(self) noexcept:
        """Log how many refusals had no line of their own; called once a second."""
        cdef uint32_t refusals = self.refusals
        cdef uint32_t lines = self.refusal_lines
        self.refusals = 0
        if lines and refusals > lines:
            self.application.log().warning(
                "%d more request(s) refused, without a line each (limit_refusal_log)", refusals - lines
            )

    cdef size_t keep_late(self, Wire wire, const char* data, size_t length) except 0:
        """Keep input that goes behind what the wire is being fed with. Returns how much there is now, and one more."""
        cdef bytes before = b"" if self.late is None else self.late.get(wire, b"")
        if self.late is None:
            self.late = {}
        self.late[wire] = before + data[:length]
        return len(before) + length + 1

    cdef bytes take_rest(self, Wire wire):
        """What a wire has still to parse; it does not do so any more."""
        cdef Rest* rest = self.rests
        cdef bytes data = None
        while rest is not NULL:
            if rest.wire is <void*> wire and rest.at != rest.end:
                data = rest.at[:rest.end - rest.at]
                rest.at = rest.end
            rest = rest.outer
        return data

    cdef void resume_rests(self) noexcept:
        """From the event loop: those that call the application run it, and it may wait for what they have still to parse."""
        cdef Rest* rest = self.rests
        while rest is not NULL:
            (<Wire> rest.wire).resume()
            rest = rest.outer

    cdef bytes take_late(self, Wire wire):
        """The same, when the feed is over; None if nothing came."""
        cdef bytes late = None
        if self.late is not None:
            late = self.late.pop(wire, None)
            if not self.late:
                self.late = None
        return late
