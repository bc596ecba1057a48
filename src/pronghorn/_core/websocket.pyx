# cython: binding=False
# The state of one open WebSocket. See websocket.pxd.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
from libc.stdint cimport SIZE_MAX
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy

from .deflate cimport STEP
from .frames cimport (
    BINARY, CLOSE, CONTINUATION, HEADER_MAX, INTERNAL_ERROR, NO_CODE, NOT_CONSISTENT, PING, POLICY, PONG, PROTOCOL_ERROR,
    SERVICE_RESTART, TEXT, TOO_BIG, bytes_of, legal_close, read_frame, text_of, unmask, write_frame,
)
from .output cimport GATHERED, LARGE, Output, append, reserve
from .service cimport Rest
from .session cimport CLIENT_GONE
from .utf8 cimport ACCEPT, REJECT, check
from .wire cimport FED, FED_ALL, NOT_FED, THROWN, Edge, begin_gathering, end_gathering, turn_over

cdef extern from "Python.h":
    int _PyBytes_Resize(PyObject** content, Py_ssize_t size) except -1
    PyObject* new_bytes "PyBytes_FromStringAndSize" (const char* data, Py_ssize_t size) except NULL
    str PyUnicode_DecodeUTF8(const char* data, Py_ssize_t size, const char* errors)

cdef str BIG = "message too big"

cdef enum:
    TURN = 1048576              # bytes inflated for one connection, then the others have their turn
    FRAGMENT = 64               # bytes for which a message may have a fragment more than the limit
    CONTROL = 125               # bytes of a control frame's payload (RFC 6455 section 5.5)
    LATE = 65536                # bytes that came in the middle of a feed, then reading pauses


cdef class WebSocket(Channel):

    def __cinit__(self, Service service, Edge edge, Session session, Deflate deflate):
        self.service = service
        self.edge = edge
        self.session = session
        self.deflate = deflate
        self.writable = True

    def __dealloc__(self):
        self.forget()
        free(self.held)

    cdef void start(self, bint paused, bint half_closed, bytes early) noexcept:
        """The handshake is done. paused: reading is. half_closed: the client has shut down its side, and could not even
        answer a close. early: what has come since the handshake, or None."""
        self.paused = paused
        self.waiting = early
        self.next_ping = self.service.now + self.service.ticks.ws_ping
        self.watch()
        if half_closed:
            self.edge.close()
        elif paused or early is not None or self.service.draining:
            self.edge.resume_soon()

    cdef void begin_with(self, const char* data, size_t length) noexcept:
        """The handshake is answered; what came in the same read is taken in the next turn: the application has accepted
        in its first step, and cannot be woken as long as we are in that."""
        self.feeding = NOT_FED
        self.uncork()
        if length:
            self.waiting = data[:length] if self.waiting is None else self.waiting + data[:length]
            self.edge.resume_soon()

    # Input.

    cdef void feed(self, const char* data, size_t length, bytes source) noexcept:
        cdef bytes joined
        if self.state != OPEN:
            self.throw_away(length)
            if self.state >= LINGER:
                return
        if self.feeding and not self.overtaking(data, length):
            return
        if self.waiting is None:
            self.take(data, length)
        else:
            joined = self.waiting + data[:length]
            self.waiting = None
            self.take(PyBytes_AS_STRING(joined), PyBytes_GET_SIZE(joined))
        if self.service.late is not None:
            self.take_late()

    cdef bint overtaking(self, const char* data, size_t length) noexcept:
        """There is input while this is being fed: the application runs the event loop inside of its step. It is parsed now,
        since the application may be waiting for it; what is left of the input before goes before it. Or it is kept for the
        end of that feed (False), when something else runs the event loop."""
        try:
            if self.feeding == FED_ALL:
                self.waiting = (self.service.take_rest(self) or b"") + (self.service.take_late(self) or b"") or None
                self.feeding = NOT_FED
                return True
            if self.service.keep_late(self, data, length) > LATE and not self.paused:
                self.paused = True
                self.edge.pause(True)
        except MemoryError:
            self.edge.abort()
        return False

    cdef bint wake(self, const char* at, const char* end) noexcept:
        """Let the application have what has come; what stands from `at` on is to be parsed after that. False: it has been,
        since the application has run the event loop inside of its step."""
        cdef Rest rest
        rest.outer = self.service.rests
        rest.wire = <void*> self
        rest.at = at
        rest.end = end
        self.service.rests = &rest
        self.feeding = FED_ALL
        self.session.wake(True)
        self.service.rests = rest.outer
        if not self.feeding:
            return False
        self.feeding = FED
        return True

    cdef void take_late(self) noexcept:
        """What came while this was being fed, if that is over."""
        cdef bytes late = None if self.feeding else self.service.take_late(self)
        if late:
            self.feed(PyBytes_AS_STRING(late), PyBytes_GET_SIZE(late), None)
        elif late is not None:
            self.resume()

    cdef void resume(self) noexcept:
        """Go on with input that waited."""
        cdef bytes waiting
        if self.state >= LINGER or (self.feeding and not self.overtaking(NULL, 0)):
            return
        waiting = self.waiting
        if self.service.draining:
            self.drain()
        self.waiting = None
        if waiting is None:
            self.take(NULL, 0)
        else:
            self.take(PyBytes_AS_STRING(waiting), PyBytes_GET_SIZE(waiting))
        if self.service.late is not None:
            self.take_late()

    cdef void take(self, const char* data, size_t length) noexcept:
        """Parse input, and let the application have it; what has to wait is kept."""
        cdef const char* end = data + length
        cdef const char* at = data
        cdef Session session = self.session
        cdef bint stop
        cdef int code
        cdef double began = 0
        while True:
            self.feeding = FED
            self.cork()
            at = self.parse(at, end)
            self.uncork()
            # Nothing is corked now: the application may do anything, even write to another connection.
            if session.news() and not self.wake(at, end):
                return
            self.settled = self.blocked == SETTLING     # once is enough: who waits may be a send()
            if self.refusing():
                code, reason = self.later
                self.fail(code, reason)
                if self.state == CLOSING:
                    continue
            if not self.blocked or (self.blocked == FULL and session.full()) or self.state >= LINGER:
                break
            if turn_over(&began):
                self.edge.resume_soon()
                break
        self.feeding = NOT_FED
        if at != data:
            self.pinged = 0             # a sign of life; a piece of a control frame, or of a header, is none yet
        if self.state >= LINGER:
            return
        if at != end:
            self.waiting = PyBytes_FromStringAndSize(at, end - at)
        stop = self.blocked or self.thrown == THROWN
        if self.incoming is not NULL and self.incoming.inflating:
            stop = True
        if self.paused != stop:
            self.paused = stop
            self.edge.pause(stop)
        # Once our close is sent, the deadline is the client's answer to it.
        if self.incoming is not NULL and not self.watched and self.state == OPEN:
            self.watched = True
            self.watch()

    cdef const char* parse(self, const char* at, const char* end) noexcept:
        """Take input from `at` on; returns where it stopped because more has to come, or the queue is full."""
        cdef const char* next
        cdef Incoming* incoming
        self.blocked = NO
        try:
            while self.state < LINGER and not self.refusing():
                incoming = self.incoming
                if incoming is not NULL:
                    if incoming.inflating and not self.inflate():
                        return at
                    if incoming.in_frame and incoming.left == 0:
                        incoming.in_frame = False
                        if incoming.frame.final:
                            self.finish()
                        continue
                if at == end:
                    return at
                next = self.parse_frame(at, end)
                if next is NULL:
                    return at
                at = next
        except MemoryError:
            self.fail(TOO_BIG, "out of memory")
        except BaseException as error:
            self.service.application.log().error("Exception while reading a WebSocket\n", exc_info=error)
            self.fail(INTERNAL_ERROR, "internal error")
        return at

    cdef const char* parse_frame(self, const char* at, const char* end) except? NULL:
        """A frame, or what is here of its payload; NULL if what is here has to wait."""
        cdef Incoming* incoming = self.incoming
        cdef Frame frame
        cdef size_t size
        cdef int header
        if incoming is NULL or not incoming.in_frame:
            header = read_frame(at, end, self.deflate is not None, &frame)
            if header == 0:
                return NULL
            if header < 0:
                self.fail(PROTOCOL_ERROR, "invalid frame")
                return end
            size = end - at - header
            if frame.opcode >= CLOSE:
                if size < frame.length:
                    return NULL
                if frame.opcode == CLOSE and not self.settled and self.session.news():
                    self.blocked = SETTLING
                    return NULL
                self.control(&frame, at + header)
                return at + header + frame.length
            if self.state == OPEN and self.session.full():
                self.blocked = FULL
                return NULL
            if frame.final and size >= frame.length and incoming is NULL and not frame.compressed \
                    and frame.opcode != CONTINUATION \
                    and (self.service.ws_size == 0 or frame.length <= self.service.ws_size):
                self.whole(&frame, at + header)
                return at + header + frame.length
            at += header
            self.begin_frame(&frame)
            if self.state >= LINGER or self.refusing():
                return at
        size = min(self.incoming.left, <uint64_t> (end - at))
        self.payload(at, size)
        self.incoming.left -= size
        return at + size

    cdef int whole(self, Frame* frame, const char* data) except -1:
        """A message in one frame that is here as a whole: the common case."""
        if self.state != OPEN:
            return 0                    # as in payload()
        if frame.opcode == TEXT:
            try:
                item = text_of(data, frame.length, frame.key)
            except UnicodeDecodeError:
                self.fail(NOT_CONSISTENT, "invalid UTF-8")
                return 0
        else:
            item = bytes_of(data, frame.length, frame.key)
        return self.session.put(item)

    cdef int begin_frame(self, Frame* frame) except -1:
        """The header of a data frame is here: RFC 6455 section 5.4, and the limits."""
        cdef Incoming* incoming = self.incoming
        if (frame.opcode == CONTINUATION) == (incoming is NULL):
            self.fail(PROTOCOL_ERROR, "unexpected continuation" if incoming is NULL else "unexpected data frame")
            return 0
        if incoming is NULL:
            incoming = self.incoming = <Incoming*> calloc(1, sizeof(Incoming))
            if incoming is NULL:
                raise MemoryError()
            incoming.opcode = frame.opcode
            incoming.compressed = frame.compressed
            incoming.text = ACCEPT
            incoming.began = self.service.now
        incoming.fragments += 1
        incoming.declared += frame.length
        incoming.frame = frame[0]
        incoming.left = frame.length
        incoming.in_frame = True
        if self.state != OPEN:
            pass
        elif self.service.ws_size and incoming.declared > self.service.ws_size:
            self.fail(TOO_BIG, BIG)
        elif self.service.ws_fragments \
                and incoming.fragments > self.service.ws_fragments + incoming.declared // FRAGMENT:
            self.fail(POLICY, "too many fragments")
        elif frame.length == 0 and incoming.fragments > 1 and self.frequent():
            self.fail(POLICY, "too many empty frames")
        elif not incoming.compressed:
            self.room(frame.length)
        return 0

    cdef int payload(self, const char* data, size_t length) except -1:
        """Some of a data frame's payload, still masked."""
        cdef Incoming* incoming = self.incoming
        cdef bytes piece
        if self.state != OPEN:
            return 0                    # our close is sent: what is not a control frame does not count any more
        if not incoming.compressed:
            return self.add(data, length, True)
        piece = PyBytes_FromStringAndSize(NULL, length)
        unmask(PyBytes_AS_STRING(piece), data, length, incoming.frame.key, incoming.frame.length - incoming.left)
        self.deflate.begin(piece, incoming.frame.final and incoming.left == length)
        incoming.inflating = True
        return 0

    cdef bint inflate(self) except -1:
        """Inflate what has come of a compressed message. False: later, or never."""
        cdef Incoming* incoming = self.incoming
        cdef size_t before = incoming.size
        cdef size_t most
        cdef bytes piece
        while True:
            most = STEP
            if self.service.ws_size:
                most = min(most, self.service.ws_size - incoming.size + 1)
            try:
                piece = self.deflate.step(most)
            except ValueError:
                self.fail(NOT_CONSISTENT, "invalid compressed data")
                return False
            if piece is None:
                incoming.inflating = False
                return True
            if self.service.ws_size and incoming.size + PyBytes_GET_SIZE(piece) > self.service.ws_size:
                self.fail(TOO_BIG, BIG)
                return self.state == CLOSING
            self.add(PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece), False)
            if self.state >= LINGER or self.refusing():
                return False
            if incoming.size - before >= TURN:
                self.edge.resume_soon()
                return False

    cdef int add(self, const char* data, size_t length, bint masked) except -1:
        """Put bytes behind those that the message has already."""
        cdef Incoming* incoming = self.incoming
        cdef char* place
        self.room(length)
        place = PyBytes_AS_STRING(<object> incoming.content) + incoming.size
        if masked:
            unmask(place, data, length, incoming.frame.key, incoming.frame.length - incoming.left)
        else:
            memcpy(place, data, length)
        incoming.size += length
        if incoming.opcode == TEXT:
            incoming.text = check(incoming.text, place, length)
            if incoming.text == REJECT:
                self.fail(NOT_CONSISTENT, "invalid UTF-8")
        return 0

    cdef int room(self, size_t extra) except -1:
        """Memory for `extra` more bytes of the message. A frame's whole length is asked for at once: what has not come
        costs address space alone."""
        cdef Incoming* incoming = self.incoming
        cdef size_t wanted = incoming.size + extra
        cdef size_t capacity
        if wanted > SIZE_MAX // 4:          # longer than any bytes object; it comes this far only without a limit
            raise MemoryError()
        if incoming.content is NULL:
            incoming.content = new_bytes(NULL, wanted)
            return 0
        capacity = PyBytes_GET_SIZE(<object> incoming.content)
        if capacity < wanted:
            _PyBytes_Resize(&incoming.content, max(wanted, capacity + capacity // 2))
        return 0

    cdef int finish(self) except -1:
        """The message is complete."""
        cdef Incoming* incoming = self.incoming
        cdef size_t size = incoming.size
        cdef object item = None
        if self.state != OPEN:
            pass
        elif incoming.opcode == TEXT:
            if incoming.text != ACCEPT:
                self.fail(NOT_CONSISTENT, "invalid UTF-8")
                return 0
            item = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(<object> incoming.content), size, NULL) if size else ""
        elif size == 0:
            item = b""
        else:
            if <size_t> PyBytes_GET_SIZE(<object> incoming.content) != size:
                _PyBytes_Resize(&incoming.content, size)
            item = <object> incoming.content
        self.forget()
        return 0 if item is None else self.session.put(item)

    cdef void forget(self) noexcept:
        if self.incoming is not NULL:
            Py_XDECREF(self.incoming.content)
            free(self.incoming)
            self.incoming = NULL
        self.watched = False

    cdef int control(self, Frame* frame, const char* data) except -1:
        """A control frame that is here as a whole: RFC 6455 section 5.5."""
        cdef char[CONTROL] payload
        cdef size_t length = frame.length
        cdef int code = NO_CODE
        cdef str reason = ""
        unmask(payload, data, length, frame.key, 0)
        if frame.opcode == CLOSE:
            if length:
                code = (<unsigned char> payload[0]) << 8 | <unsigned char> payload[1] if length > 1 else 0
                if not legal_close(code):
                    self.fail(PROTOCOL_ERROR, "invalid close code")
                    return 0
                try:
                    reason = PyUnicode_DecodeUTF8(payload + 2, length - 2, NULL)
                except UnicodeDecodeError:
                    self.fail(NOT_CONSISTENT, "invalid UTF-8")
                    return 0
            if self.state == OPEN:
                self.write(CLOSE, False, payload, min(length, 2), None)
            self.state = CLOSED
            self.closing = True
            if self.session is not None:
                self.session.over(code, reason)
        elif self.frequent():
            self.fail(POLICY, "too many control frames")
        elif frame.opcode == PING and self.state == OPEN:
            if self.writable:
                self.write(PONG, False, payload, length, None)
            else:
                # Section 5.5.3: only the latest has to be answered.
                self.later = payload[:length]
        return 0

    cdef bint refusing(self) noexcept:
        return type(self.later) is tuple

    cdef bint frequent(self) noexcept:
        """Count a frame that carries nothing for the application. True: there are too many of them."""
        if <uint16_t> (self.service.now - self.controls_since) >= self.service.ticks.ten_seconds:
            self.controls_since = <uint16_t> self.service.now
            self.controls = 0
        if self.controls < 65535:
            self.controls += 1
        return self.service.ws_controls != 0 and self.controls > self.service.ws_controls

    # Output.

    cdef void cork(self) noexcept:
        if self.held is not NULL:
            self.flush()
        begin_gathering(self)

    cdef void uncork(self) noexcept:
        cdef size_t mark = end_gathering(self)
        if self.edge.out.size != mark:
            self.edge.send(mark, NULL, 0, None, NULL, 0)
        if self.closing:
            self.leave()

    cdef void flush(self) noexcept:
        """What was sent outside of our steps leaves."""
        cdef Output out = self.edge.out
        cdef size_t mark = out.size
        if self.held is NULL:
            return
        try:
            append(out, self.held.bytes, self.held.size)
            free(self.held)
            self.held = NULL
            self.edge.send(mark, NULL, 0, None, NULL, 0)
        except MemoryError:
            self.edge.abort()

    cdef int send_message(self, bint text, const char* data, size_t length, object owner) except -1:
        cdef uint8_t opcode = TEXT if text else BINARY
        cdef bytes payload
        if self.state != OPEN:
            return 0
        if self.deflate is not None and length >= self.service.deflate.min_size:
            payload = self.deflate.compress(PyBytes_FromStringAndSize(data, length) if text else owner)
            return self.write(opcode, True, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), payload)
        if text and length >= LARGE:
            payload = PyBytes_FromStringAndSize(data, length)
            return self.write(opcode, False, PyBytes_AS_STRING(payload), length, payload)
        return self.write(opcode, False, data, length, owner)

    cdef int write(self, uint8_t opcode, bint compressed, const char* data, size_t length, object owner) except -1:
        """A frame. owner: the bytes object with the data, if it is a large one."""
        cdef Output out = self.edge.out
        cdef size_t mark = 0
        cdef char* place
        if not self.edge.corked:
            if length < LARGE:
                return self.hold(opcode, compressed, data, length)
            self.flush()
            mark = out.size
        if length < LARGE:
            place = reserve(out, HEADER_MAX + length)
            place += write_frame(place, opcode, compressed, length)
            if length:
                memcpy(place, data, length)
            out.size = place - out.data + length
            if out.size > GATHERED:
                self.edge.send(0, NULL, 0, None, NULL, 0)
        else:
            place = reserve(out, HEADER_MAX)
            out.size += write_frame(place, opcode, compressed, length)
            self.edge.send(mark, data, length, owner, NULL, 0)
        return 0

    cdef int hold(self, uint8_t opcode, bint compressed, const char* data, size_t length) except -1:
        """Keep a frame until the loop has done what there is to do in this turn: more may come for this client."""
        cdef Outgoing* held = self.held
        cdef size_t used = 0 if held is NULL else held.size
        cdef size_t wanted = used + HEADER_MAX + length
        if held is NULL or wanted > held.capacity:
            wanted = wanted if held is NULL else max(wanted, 2 * held.capacity)
            held = <Outgoing*> realloc(held, sizeof(Outgoing) + wanted)
            if held is NULL:
                raise MemoryError()
            held.capacity = wanted
            if self.held is NULL:
                self.edge.send_soon()
            self.held = held
        used += write_frame(held.bytes + used, opcode, compressed, length)
        if length:
            memcpy(held.bytes + used, data, length)
        held.size = used + length
        if held.size > GATHERED:
            self.flush()
        return 0

    cdef void set_writable(self, bint writable) noexcept:
        cdef bytes payload = None
        self.writable = writable
        if not writable:
            return
        if type(self.later) is bytes:
            payload = self.later
            self.later = None
        if payload is not None and self.state == OPEN:
            try:
                self.write(PONG, False, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), None)
            except MemoryError:
                self.edge.abort()
        if self.session is not None:
            self.session.wake(False)

    cdef void message_taken(self) noexcept:
        if self.blocked and not self.feeding:
            self.edge.resume_soon()

    # The end, and time.

    cdef void send_close(self, int code, bytes reason) noexcept:
        """Our close: the client's is awaited, and what else it sends does not count any more."""
        if self.state != OPEN:
            return
        self.write_close(code, reason)
        self.state = CLOSING
        self.edge.deadline(self.service.ticks.ws_close)
        if self.paused:
            self.edge.resume_soon()

    cdef void write_close(self, int code, bytes reason) noexcept:
        cdef char[CONTROL] payload
        payload[0] = <char> (code >> 8)
        payload[1] = <char> code
        memcpy(payload + 2, PyBytes_AS_STRING(reason), PyBytes_GET_SIZE(reason))
        try:
            self.write(CLOSE, False, payload, 2 + PyBytes_GET_SIZE(reason), None)
        except MemoryError:
            self.edge.abort()

    cdef void fail(self, int code, str reason) noexcept:
        """Section 7.1.7: the client broke a rule or a limit. Say which, and close."""
        if self.edge.corked and self.session.news():
            self.later = (code, reason)     # first the application gets, and may answer, what came before it
            return
        self.later = None
        client = self.edge.client()
        peer = f"{client[0]}:{client[1]}" if client else "-"
        self.service.log_refusal(f"WebSocket closed: {code} {reason} ({peer})")
        if self.state == OPEN:
            self.write_close(code, reason.encode())
        if self.session is None:
            return                      # the write told that the connection is lost
        if reason is BIG and self.service.ticks.linger:
            # The client is still sending that message, and some do not bear it that we shut our side meanwhile. Its frames
            # are in step: its close is waited for, as after one of ours.
            self.state = CLOSING
            Py_XDECREF(self.incoming.content)
            self.incoming.content = NULL
            self.incoming.size = 0
            self.incoming.inflating = False
            self.edge.deadline(self.service.ticks.linger)
        else:
            self.state = LINGER
        self.session.over(code, reason)
        if self.edge.corked:
            self.closing = self.state == LINGER
        else:
            self.flush()
            if self.state == LINGER:
                self.leave()
            if self.session is not None:
                self.session.wake(False)

    cdef void leave(self) noexcept:
        self.closing = False
        self.waiting = None
        self.forget()
        if self.state == LINGER and self.service.ticks.linger:
            if self.paused:
                self.paused = False
                self.edge.pause(False)
            self.edge.shut()
            self.edge.deadline(self.service.ticks.linger)
        else:
            self.edge.close()

    cdef void drain(self) noexcept:
        if self.state == OPEN:
            self.send_close(SERVICE_RESTART, b"")
            if self.session is not None:
                self.session.over(SERVICE_RESTART, "")
                self.session.wake(False)

    cdef void lost(self) noexcept:
        cdef Session session = self.session
        self.state = CLOSED
        self.session = None
        self.waiting = None
        if session is not None:
            session.lost(CLIENT_GONE, 0)

    cdef void expired(self) noexcept:
        cdef uint32_t now = self.service.now
        if self.state != OPEN:
            self.edge.close()
            return
        if self.incoming is not NULL and self.service.ticks.ws_message \
                and now - self.incoming.began >= self.service.ticks.ws_message:
            self.fail(POLICY, "message not finished in time")
            return
        if self.pinged and self.paused:
            self.pinged = now           # we do not look: a sign of life may be there
        if self.pinged and self.service.ticks.ws_pong and now - self.pinged >= self.service.ticks.ws_pong:
            self.fail(INTERNAL_ERROR, "keepalive ping timeout")
            return
        if self.service.ticks.ws_ping and not self.pinged and now >= self.next_ping:
            self.pinged = now
            self.next_ping = now + self.service.ticks.ws_ping
            try:
                self.write(PING, False, NULL, 0, None)
            except MemoryError:
                self.edge.abort()
                return
        self.watch()

    cdef void watch(self) noexcept:
        """Set the deadline: the next ping, its answer, or the end of a message under way, whichever comes first."""
        cdef uint32_t now = self.service.now
        cdef uint32_t due = 0
        cdef uint32_t end
        if self.service.ticks.ws_ping:
            due = self.next_ping
            if self.pinged and self.service.ticks.ws_pong:
                end = self.pinged + self.service.ticks.ws_pong
                due = end if due <= now else min(due, end)
        if self.incoming is not NULL and self.service.ticks.ws_message:
            end = self.incoming.began + self.service.ticks.ws_message
            due = min(due, end) if due else end
        self.edge.deadline(max(due, now + 1) - now if due else 0)
