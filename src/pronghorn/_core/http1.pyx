# cython: binding=False
# The state of one HTTP/1 connection (RFC 9112). See http1.pxd.

from http import HTTPStatus

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free
from libc.string cimport memcpy

from .ahead cimport READ_ROOM, ReadAhead, make_room, new_ahead
from .body cimport BROKEN, DATA, END, decode, expect_body, is_late
from .exchange cimport ARRIVED, CLIENT_GONE, Exchange
from .handshake cimport open_handshake, write_switch
from .head cimport NOTHING, PARTIAL, REFUSED, TARGET, Parsed, copy_head, fields_of, method_name, only_line_ends, run_head, start_head
from .llhttp cimport HTTP_HEAD
from .output cimport Output, append
from .request cimport Request, examine
from .response cimport Declared, write_refusal, write_status
from .section cimport forget, notice
from .service cimport scratch_head
from .session cimport Channel, Session, open_session
from .websocket cimport WebSocket
from .wire cimport FED, FED_ALL, NOT_FED, Edge, Wire, begin_gathering, end_gathering, turn_over
from .writing cimport LENGTH, NONE, OPEN, SILENT, UNTIL_CLOSE, Writer

cdef enum:
    READ_AHEAD = 65536          # input behind a request in progress, then reading pauses
    UNREAD_BODY = 65536         # of a request that was answered early: less is read and thrown away


cdef class Http1(Writer):

    def __cinit__(self, Service service, Edge edge, dict template, uint32_t jitter):
        self.service = service
        self.edge = edge
        self.template = template
        self.writable = True
        # Connections opened together must not all be closed by the same request: the limit differs by up to a tenth.
        self.last = service.requests + jitter % (service.requests // 10 + 1) if service.requests else 0

    def __dealloc__(self):
        free(self.head)
        free(self.ahead)
        forget(&self.memory)

    # Input.

    cdef void feed(self, const char* data, size_t length, bytes source) noexcept:
        cdef const char* end = data + length
        cdef const char* at
        if self.feeding and not self.overtaking(data, length):
            return
        if self.ahead is not NULL:
            self.push(data, length)
        else:
            self.feeding = FED
            begin_gathering(self)
            self.source = source
            at = self.parse(data, end)
            self.source = None
            if self.feeding and not self.handed_over(at, end - at):
                if at != end:
                    try:
                        self.hold(at, end - at)
                    except MemoryError:
                        self.edge.abort()
                self.fed()
        if self.service.late is not None:
            self.take_late()

    cdef bint overtaking(self, const char* data, size_t length) noexcept:
        """Input comes while the connection is being fed: the application runs the event loop inside of its step. Where there
        is nothing left to parse of what came before, this is parsed now, since the application may be waiting for it;
        else it is kept for the end of that feed (False)."""
        try:
            if self.feeding == FED_ALL:
                free(self.ahead)
                self.ahead = NULL
                self.source = None
                self.feeding = NOT_FED
                if self.service.late is not None:
                    self.take_late()
                return True
            if self.reading < LINGER and self.service.keep_late(self, data, length) > READ_AHEAD:
                self.pause(True)
        except MemoryError:
            self.edge.abort()
        return False

    cdef void parse_late(self) noexcept:
        """What is late of the body that the application is about to ask for; nothing else is left of that feed."""
        cdef bytes late = self.service.take_late(self) if self.reading == BODY else None
        cdef const char* at
        cdef const char* end
        if late is None:
            return
        at = PyBytes_AS_STRING(late)
        end = at + PyBytes_GET_SIZE(late)
        self.source = None
        at = self.parse_body(at, end)
        if at != end:
            try:
                self.service.keep_late(self, at, end - at)
            except MemoryError:
                self.edge.abort()

    cdef void take_late(self) noexcept:
        cdef Wire wire = self if self.successor is None else self.successor
        cdef bytes late = self.service.take_late(self)
        if late:
            wire.feed(PyBytes_AS_STRING(late), PyBytes_GET_SIZE(late), None)
        elif late is not None:
            wire.resume()
        if self.successor is not None:
            self.successor.take_late()

    cdef void push(self, const char* data, size_t length) noexcept:
        """Bytes that have to go behind what is waiting in the read-ahead."""
        cdef ReadAhead* ahead = make_room(self.ahead, length)
        if ahead is NULL:
            self.edge.abort()
            return
        memcpy(ahead.bytes + ahead.end, data, length)
        self.ahead = ahead
        self.go_on(length)

    cdef char* tail(self, size_t* room) noexcept:
        """Behind what is waiting."""
        cdef ReadAhead* ahead
        if self.ahead is NULL or self.feeding:
            return NULL
        ahead = make_room(self.ahead, READ_ROOM)
        if ahead is NULL:
            room[0] = 0
            return NULL
        self.ahead = ahead
        room[0] = ahead.capacity - ahead.end
        return ahead.bytes + ahead.end

    cdef void filled(self, size_t length) noexcept:
        self.go_on(length)
        if self.service.late is not None:
            self.take_late()

    cdef void go_on(self, size_t length) noexcept:
        """`length` bytes more are in the read-ahead."""
        cdef ReadAhead* ahead = self.ahead
        cdef size_t before = ahead.end
        ahead.end += length
        if self.reading == HELD or (self.reading == HEAD and self.head is NULL):    # resume() is about to be called
            if ahead.end - ahead.start >= READ_AHEAD:
                self.pause(True)
            return
        # A head that began earlier goes on behind its first part; requests that waited begin at the start.
        self.parse_ahead(before if self.head is not NULL else ahead.start)

    cdef void resume(self) noexcept:
        """Go on with requests that waited for a response, in a turn of the loop of their own."""
        if self.feeding == FED:
            self.service.keep_late(self, NULL, 0)
        elif not self.feeding and self.ahead is not NULL and self.head is NULL and self.reading == HEAD:
            self.parse_ahead(self.ahead.start)
            if self.service.late is not None:
                self.take_late()

    cdef void parse_ahead(self, size_t offset) noexcept:
        cdef const char* end = self.ahead.bytes + self.ahead.end
        cdef const char* at
        self.feeding = FED
        begin_gathering(self)
        if self.head is not NULL:
            self.head.base = self.ahead.bytes + self.ahead.start
        at = self.parse(self.ahead.bytes + offset, end)
        if not self.feeding or self.handed_over(at, end - at):
            return
        if self.head is NULL:
            if at == end:
                free(self.ahead)
                self.ahead = NULL
            else:
                self.ahead.start = at - self.ahead.bytes
        self.fed()

    cdef bint handed_over(self, const char* at, size_t length) noexcept:
        """If the connection has become a WebSocket meanwhile, what is left of the input is for that."""
        if self.successor is None:
            return False
        self.feeding = NOT_FED
        self.successor.begin_with(at, length)
        return True

    cdef void fed(self) noexcept:
        """Input has been dealt with as far as it goes: send what came of it, and say what is waited for now."""
        self.feeding = NOT_FED
        self.uncork()
        if self.reading == HEAD and self.ahead is not NULL and self.head is NULL:
            self.edge.deadline(0)       # its turn is over, but there is more to be served
            self.edge.resume_soon()
            self.pause(self.ahead.end - self.ahead.start >= READ_AHEAD)
        elif self.half_closed and (self.reading == HEAD or self.reading == BODY) \
                and (self.service.late is None or self not in self.service.late):
            # What has not come will not come: behind the last response, or in the middle of a request.
            self.shut(False)
        elif self.reading == HEAD:
            if self.ahead is NULL and not self.blank:
                self.edge.idle()
            self.blank = False
            self.pause(False)
        elif self.reading == BODY or self.reading == DISCARD:
            # The clock of a body runs on whatever arrives: expired() looks at how much it was.
            if not self.watched:
                self.watched = True
                self.edge.deadline(self.service.ticks.second)
        elif self.reading == HELD:
            if self.half_closed:
                self.edge.deadline(self.service.ticks.second)
            elif self.opening is None or self.service.ticks.ws_handshake == 0:
                self.edge.deadline(0)
            else:
                self.edge.deadline(max(self.body_since + self.service.ticks.ws_handshake - self.service.now, 1))
            if self.ahead is not NULL and self.ahead.end - self.ahead.start >= READ_AHEAD:
                self.pause(True)

    cdef const char* parse(self, const char* at, const char* end) noexcept:
        """Take input from `at` on; returns where it stopped because a response has to be completed first, or because many
        have been: then the other connections and the loop's other work have their turn."""
        cdef uint32_t before = self.served
        cdef double began = 0
        while at != end:
            if self.reading == HEAD:
                # One request in four looks at the clock, and none that comes alone.
                if (self.served - before) & 3 == 2 and turn_over(&began):
                    return at
                at = self.parse_head(at, end)
            elif self.reading == BODY or self.reading == DISCARD:
                at = self.parse_body(at, end)
            elif self.reading == HELD or self.reading == UPGRADED:
                return at
            else:
                self.throw_away(end - at)
                return end
        return end

    cdef const char* parse_head(self, const char* at, const char* end) noexcept:
        cdef Head* head = self.head
        cdef Conversation exchange
        cdef const char* rest = NULL
        cdef int status
        cdef Parsed parsed
        cdef bint scratch = head is NULL
        if scratch:
            head = scratch_head(self.service)
            if head is NULL:
                self.refuse(503)
                return end
            parsed = start_head(head, &self.memory, at, end, &rest)
        else:
            parsed = run_head(head, at, end - at, &rest)
        if parsed == PARTIAL:
            if self.head is NULL:
                if head.part == NOTHING and only_line_ends(at, end):
                    self.blank = True   # RFC 9112 section 2.2: empty lines before a request are nothing
                else:
                    self.keep_head(head, end)
            return end
        if parsed == REFUSED:
            self.bodiless = head.part >= TARGET and head.parser.method == HTTP_HEAD
            self.refuse(head.status)
            return end
        self.head = NULL
        self.service.examining = scratch
        try:
            status = self.begin(head)
        except BaseException as error:
            self.service.application.complain("Exception while reading a request\n", (), error)
            status = 500
        if self.service.head is head:
            self.service.examining = False
        else:
            free(head)
        exchange = self.exchange
        if status:
            self.refuse(status)
            if exchange is not None:
                exchange.abandon()
            return end
        if self.reading == BODY and (rest != end or self.service.late is not None):
            rest = self.parse_body(rest, end)
            if rest == end:
                self.parse_late()
            if self.exchange is None:       # refused: the application is not called
                exchange.abandon()
                return end
        if self.overloaded:
            # More requests are under way than --limit-concurrency allows: no call for this one.
            self.turn_away("Exceeded concurrency limit.")
            exchange.abandon()
            return rest
        if rest == end:
            self.feeding = FED_ALL
        exchange.run()
        if self.feeding == FED_ALL:
            self.feeding = FED
        return rest if self.feeding else end

    cdef void keep_head(self, Head* head, const char* end) noexcept:
        """The head is not complete: keep what there is of it, with the parser's state, until the rest comes."""
        try:
            self.head = copy_head(head)
            if self.ahead is NULL:
                self.hold(head.base, end - head.base)
            else:
                self.ahead.start = head.base - self.ahead.bytes
        except MemoryError:
            self.refuse(503)
            return
        self.edge.deadline(self.service.ticks.head)

    cdef int hold(self, const char* at, size_t length) except -1:
        """Keep input for later, in memory of our own."""
        self.ahead = new_ahead(at, length)
        if self.ahead is NULL:
            raise MemoryError()
        return 0

    cdef int begin(self, Head* head) except -1:
        """A head is complete: make the exchange. Returns 0, or the status to refuse the request with."""
        cdef Service service = self.service
        cdef Request request
        cdef Origin origin = None
        cdef list headers = examine(head, service.fields, service.header_map, service.body_limits.body, &request)
        self.old, self.bodiless = request.old, request.bodiless
        if request.status:
            return request.status
        if request.dropped:
            service.count_dropped(request.dropped, head.base + request.last_dropped.name, request.last_dropped.name_length)
        self.expects = request.expects
        self.served += 1
        self.wanted = request.keep
        self.keep = request.keep and self.served != self.last
        if request.plain and self.served > 1:       # most connections that send one request send one only
            notice(&self.memory, fields_of(head), head.base + head.length, headers, request.forwarded)
        self.overloaded = service.concurrency and (
            service.open >= service.concurrency or service.application.active >= service.concurrency
        )
        service.paths.look_up(request.target.path, request.target.path_length)
        path = service.paths.path
        raw_path = service.paths.raw_path
        query = request.target.query[:request.target.query_length] if request.target.query_length else None
        client = self.edge.client()
        if request.forwarded and service.forwarding is not None:
            origin = service.forwarding.origin(client, headers)
            client = client if origin is None else origin.client
        if request.websocket and service.websockets:
            return self.begin_session(method_name(head), client, path, raw_path, query, headers, origin)
        self.exchange = service.application.begin(
            self, self.template, client, method_name(head), path, raw_path, query, headers, self.old, self.bodiless,
        )
        if origin is not None:
            origin.amend(self.exchange.scope)
        if request.chunked or request.length:
            self.reading = BODY
            self.body_since = self.body_heard = service.now
            self.watched = False
            expect_body(&self.decoder, request.chunked, request.length)
        else:
            self.reading = HELD
            (<Exchange> self.exchange).request = ARRIVED
        return 0

    cdef int begin_session(self, object method, object client, object path, object raw_path, object query, list headers,
                           Origin origin) except -1:
        """The request asks for a WebSocket: make the session. Returns 0, or the status to refuse the request with."""
        cdef Service service = self.service
        cdef Opening opening = open_handshake(method, headers, service.deflate)
        if opening.status:
            return opening.status
        self.opening = opening
        self.keep = False           # a client that is denied may have sent frames already: never read them as requests
        self.exchange = open_session(
            service.application, self, self.template, client, path, raw_path, query, headers, opening.subprotocols,
            service.ws_queue,
        )
        if origin is not None:
            origin.amend(self.exchange.scope)
        self.reading = HELD
        self.body_since = service.now
        return 0

    cdef const char* parse_body(self, const char* at, const char* end) noexcept:
        cdef const char* data = NULL
        cdef size_t length = 0
        cdef int decoded
        while True:
            decoded = decode(&self.decoder, &self.service.body_limits, &at, end, &data, &length)
            if decoded != DATA:
                break
            if self.reading == BODY:
                try:
                    (<Exchange> self.exchange).feed(data, length, self.source)
                except MemoryError:
                    self.refuse(503)
                    return end
            else:
                self.discarded += <uint32_t> length
        if decoded == BROKEN:
            if self.reading == DISCARD:
                self.shut(True)         # the request has been answered
            else:
                self.refuse(self.decoder.status)
            return end
        if self.reading == DISCARD:
            if decoded == END:
                self.next_request()
            elif self.discarded > UNREAD_BODY:
                self.shut(True)
                return end
            return at
        self.expects = False
        self.body_heard = self.service.now
        if decoded == END:
            self.reading = HELD
            self.pause(False)
        elif self.service.body_high_water and (<Exchange> self.exchange).buffered > self.service.body_high_water:
            self.pause(True)
        (<Exchange> self.exchange).arrived(decoded == END)
        return at

    cdef inline void pause(self, bint reading) noexcept:
        if self.paused != reading:
            self.paused = reading
            self.edge.pause(reading)

    # Output: what the exchange asks for.

    cdef void uncork(self) noexcept:
        self.send_rest(end_gathering(self))
        if self.closing:
            self.leave()

    cdef int write_head(self, int status, object headers, bint bodiless, int64_t* length) except -1:
        cdef Output out = self.edge.out
        cdef size_t mark = out.size
        cdef Declared declared
        try:
            write_status(out, status)
            declared.no_length = status == 204      # RFC 9110 section 8.6
            declared.mark = mark
            self.service.repeated.write(out, headers, &declared)
            self.service.defaults.write(out, &declared)
        except BaseException:
            out.size = min(out.size, mark)
            raise
        length[0] = declared.content_length
        if declared.close or self.service.draining:
            self.keep = False
        elif self.reading == BODY and (self.expects or self.decoder.remaining > UNREAD_BODY):
            # Answered early: the client either never sends the body, or sends more than is worth reading.
            self.keep = False
        self.began = mark
        self.writing = SILENT if bodiless else LENGTH if declared.content_length >= 0 else OPEN
        if self.writing != OPEN:
            self.end_lines()
        if not self.edge.corked:
            # The application runs in a task that we do not step: whether a body follows at once, nobody knows.
            self.held = PyBytes_FromStringAndSize(out.data + mark, out.size - mark)
            out.size = mark
            self.edge.send_soon()
        return 0

    cdef void body_wanted(self) noexcept:
        """The application waits for more of the body: RFC 9110 section 10.1.1, and the end of a pause."""
        cdef Output out = self.edge.out
        cdef size_t mark = out.size
        if self.expects:
            self.expects = False
            self.body_since = self.body_heard = self.service.now
            if self.writing == NONE:
                append(out, b"HTTP/1.1 100 Continue\r\n\r\n", 25)
                if not self.edge.corked:
                    self.edge.send(mark, NULL, 0, None, NULL, 0)
        self.body_taken()

    cdef void body_taken(self) noexcept:
        if self.paused and self.reading == BODY:
            self.body_since += self.service.now - self.body_heard
            self.body_heard = self.service.now
            self.pause(False)

    cdef void completed(self) noexcept:
        """The response is complete; it is on its way, or in the buffer."""
        self.exchange = None
        self.writing = NONE
        if self.reading == CLOSED:
            return
        if not self.keep or (self.service.prompt and self.ahead is NULL):
            self.shut(self.reading == BODY or self.wanted)
        elif self.reading == BODY:
            self.reading = DISCARD
            self.discarded = 0
            self.pause(False)
            self.watched = not self.feeding
            if self.watched:
                self.edge.deadline(self.service.ticks.second)
        else:
            self.next_request()

    cdef size_t failed(self, bint started) noexcept:
        """There is no response, or no end of it: never let the client take a part for the whole. Returns the size of
        the body that is sent in its place."""
        cdef size_t size
        self.exchange = None
        if not started:
            size = self.answer(500)
            self.shut(self.reading == BODY or self.wanted)
            return size
        if self.writing == UNTIL_CLOSE:
            # Only a reset tells the client; an orderly close would be the end of the body.
            self.reading = CLOSED
            self.closing = 0
            self.edge.out.size = 0 if self.edge.corked else self.edge.out.size
            self.edge.abort()
            return 0
        if self.held is not None:
            self.held = None
        elif self.writing == OPEN and self.edge.corked:
            self.edge.out.size = self.began
        self.writing = NONE
        self.shut(False)
        return 0

    cdef void next_request(self) noexcept:
        """The connection is ready for another request."""
        self.reading = HEAD
        self.bodiless = False
        if self.half_closed and self.ahead is NULL and not self.feeding:
            self.shut(False)
        elif not self.feeding:
            if self.ahead is not NULL:
                self.edge.resume_soon()
            else:
                self.edge.idle()
            self.pause(False)

    cdef Channel accept(self, Session session, bytes subprotocol, object headers):
        """RFC 6455 section 4.2.2: 101, and from then on the connection is the WebSocket's."""
        cdef Opening opening = self.opening
        cdef Output out = self.edge.out
        cdef size_t mark = out.size
        cdef WebSocket wire
        write_switch(out, opening, subprotocol, headers, self.service.defaults)
        wire = WebSocket.__new__(WebSocket, self.service, self.edge, session, opening.deflate)
        wire.writable = self.writable
        self.exchange = None
        self.opening = None
        self.reading = UPGRADED
        self.edge.switch(wire)
        if not self.edge.corked:
            self.edge.send(mark, NULL, 0, None, NULL, 0)
        if self.feeding:
            self.successor = wire
            wire.feeding = NOT_FED if self.feeding == FED_ALL else FED
        wire.start(self.paused, self.half_closed, None if self.feeding or self.ahead is NULL
                   else self.ahead.bytes[self.ahead.start:self.ahead.end])
        return wire

    # Errors, the end, and time.

    cdef void refuse(self, int status) noexcept:
        """The input is not acceptable, or not in time: answer if that is still possible, and close."""
        cdef Conversation exchange = self.exchange
        cdef bint unanswered = self.writing == NONE
        cdef size_t size
        reason = HTTPStatus(status).phrase
        client = self.edge.client()
        peer = f"{client[0]}:{client[1]}" if client else "-"
        self.exchange = None
        size = self.answer(status) if unanswered else 0
        if exchange is not None:
            exchange.lost(status, size)
        if unanswered:
            self.shut(True)
        else:
            self.reading = CLOSED
            self.edge.abort()
        self.service.log_refusal(f"Invalid HTTP request received: {status} {reason} ({peer})")

    cdef int answer(self, int status) except -1:
        """A response of our own, after which the connection is closed; returns the size of its body."""
        cdef Output out = self.edge.out
        cdef size_t mark = 0 if self.edge.corked else out.size
        cdef int size
        self.keep = False
        size = write_refusal(out, status, self.bodiless, self.service.defaults)
        if not self.edge.corked:
            self.edge.send(mark, NULL, 0, None, NULL, 0)
        return size

    cdef void turn_away(self, str why) noexcept:
        """The request was fine, but there is no answer to it: 503."""
        cdef Conversation exchange = self.exchange
        self.exchange = None
        exchange.lost(503, self.answer(503))
        self.shut(True)
        self.service.log_refusal(why)

    cdef void shut(self, bint linger) noexcept:
        """Close when everything is sent. linger: the client may still be sending, and a close with unread input would
        destroy what it has not read yet (RFC 9112 section 9.6); so shut our side only, and wait for its."""
        self.reading = LINGER if linger else CLOSED
        self.closing = True
        # A head that will not be finished: what is read from now on must not gather behind it.
        free(self.head)
        self.head = NULL
        if not self.feeding and not self.edge.corked:
            self.leave()

    cdef void leave(self) noexcept:
        self.closing = False
        if self.reading == LINGER and self.service.ticks.linger and not self.half_closed:
            self.pause(False)
            self.edge.shut()
            self.edge.deadline(self.service.ticks.linger)
        else:
            self.edge.close()

    cdef bint eof(self) noexcept:
        if self.reading == HEAD and self.feeding:
            self.half_closed = True
            return True
        if self.reading == HELD:
            self.half_closed = True
            # Perhaps it waits for the answer, perhaps it has gone: give the application a moment before it is told.
            self.edge.deadline(self.service.ticks.second)
            return True
        if self.reading == HEAD and self.ahead is not NULL and self.head is NULL:
            # Requests behind one that has just been answered: resume() is about to be called.
            self.half_closed = True
            return True
        return False

    cdef void expired(self) noexcept:
        cdef Service service = self.service
        if self.reading == HEAD:
            if self.feeding:
                pass                    # fed() sets another one
            elif self.head is not NULL:
                self.refuse(408)
            else:
                self.shut(False)
        elif self.reading == BODY:
            if not (self.paused or self.expects) and is_late(&self.decoder, &service.body_limits,
                    self.body_heard - self.body_since, service.now - self.body_heard):
                self.refuse(408)
                return
            self.edge.deadline(service.ticks.second)
        elif self.reading == HELD:
            if self.half_closed:
                if self.exchange is not None:
                    self.exchange.disconnect()
            elif self.opening is not None and self.writing == NONE:
                self.turn_away("WebSocket handshake timed out.")
        elif self.reading == DISCARD:
            self.shut(True)
        else:
            self.edge.close()

    cdef void drain(self) noexcept:
        """No further request after the current one, or after one that may be on its way: a close that crosses it would
        leave its client without an answer, and in doubt whether it was served (RFC 9112 section 9.3.1)."""
        if self.is_idle():
            if self.service.prompt and (self.served or not self.service.ticks.linger):
                self.shut(False)
            else:
                self.edge.deadline(self.service.ticks.linger)
        elif self.reading == DISCARD and self.service.prompt:
            self.shut(True)

    cdef void lost(self) noexcept:
        cdef Conversation exchange = self.exchange
        self.reading = CLOSED
        self.exchange = None
        self.held = None
        if exchange is not None:
            exchange.lost(CLIENT_GONE, 0)

    cdef void set_writable(self, bint writable) noexcept:
        self.writable = writable
        if writable and self.exchange is not None:
            self.exchange.wake(False)

    cdef bint give_way(self) noexcept:
        if not (self.served and self.is_idle()):
            return False
        self.shut(False)
        return True

    cdef bint is_idle(self) noexcept:
        return self.reading == HEAD and self.head is NULL and self.ahead is NULL and not self.feeding
