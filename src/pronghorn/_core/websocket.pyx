# cython: binding=False
# The state of one open WebSocket. See websocket.pxd.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from .deflate cimport STEP
from .frames cimport (
    BINARY, CLOSE, CONTINUATION, HEADER_MAX, PING, PONG, TEXT, bytes_of, legal_close, read_frame, text_of, unmask,
    write_frame,
)
from .output cimport Output, append, reserve
from .utf8 cimport ACCEPT, REJECT, check

cdef extern from "Python.h":
    int _PyBytes_Resize(PyObject** content, Py_ssize_t size) except -1
    PyObject* new_bytes "PyBytes_FromStringAndSize" (const char* data, Py_ssize_t size) except NULL
    str PyUnicode_DecodeUTF8(const char* data, Py_ssize_t size, const char* errors)

cdef enum:
    LARGE = 16384               # from here on a message is sent from where it is instead of being copied
    GATHERED = 65536            # what may gather before it is sent
    TURN = 1048576              # bytes inflated for one connection, then the others have their turn
    CONTROL = 125               # bytes of a control frame's payload (RFC 6455 section 5.5)

cdef enum:
    # Close codes: RFC 6455 section 7.4.1 and its registry.
    PROTOCOL_ERROR = 1002
    NO_CODE = 1005              # never on the wire: the close had none
    ABNORMAL = 1006             # never on the wire: the connection was lost
    NOT_CONSISTENT = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012


cdef class WebSocket(Channel):

    def __cinit__(self, Service service, Edge edge, Session session, Deflate deflate):
        self.service = service
        self.edge = edge
        self.session = session
        self.deflate = deflate
        self.writable = True

    def __dealloc__(self):
        Py_XDECREF(self.message)
        free(self.held)

    cdef void start(self, bint paused, bytes early) noexcept:
        """The handshake is done. paused: reading is. early: what has come since the handshake, or None."""
        self.paused = paused
        self.waiting = early
        self.next_ping = self.service.now + self.service.ticks.ws_ping
        self.watch()
        if paused or early is not None or self.service.draining:
            self.edge.resume_soon()

    # Input.

    cdef void feed(self, const char* data, size_t length, bytes source) noexcept:
        cdef bytes joined
        self.pinged = 0
        if self.state >= LINGER:
            return
        if self.waiting is None:
            self.take(data, length)
            return
        joined = self.waiting + data[:length]
        self.waiting = None
        self.take(PyBytes_AS_STRING(joined), PyBytes_GET_SIZE(joined))

    cdef void resume(self) noexcept:
        """Go on with input that waited."""
        cdef bytes waiting = self.waiting
        if self.state >= LINGER or self.taking:
            return
        if self.service.draining:
            self.drain()
        self.waiting = None
        if waiting is None:
            self.take(NULL, 0)
        else:
            self.take(PyBytes_AS_STRING(waiting), PyBytes_GET_SIZE(waiting))

    cdef void take(self, const char* data, size_t length) noexcept:
        """Parse input, and let the application have it; what has to wait is kept."""
        cdef const char* end = data + length
        cdef const char* at = data
        cdef Session session = self.session
        self.taking = True
        while True:
            self.cork()
            at = self.parse(at, end)
            self.uncork()
            # Nothing is corked now: the application may do anything, even write to another connection.
            if session.news():
                session.wake(True)
            if not self.blocked or session.full() or self.state >= LINGER:
                break
        self.taking = False
        if self.state >= LINGER:
            return
        if at != end:
            self.waiting = PyBytes_FromStringAndSize(at, end - at)
        if self.paused != (self.blocked or self.inflating):
            self.paused = not self.paused
            self.edge.pause(self.paused)
        if self.opcode and not self.watched:
            self.watched = True
            self.watch()

    cdef const char* parse(self, const char* at, const char* end) noexcept:
        """Take input from `at` on; returns where it stopped because more has to come, or the queue is full."""
        cdef const char* next
        self.blocked = False
        try:
            while self.state < LINGER:
                if self.inflating and not self.inflate():
                    return at
                if self.in_frame and self.left == 0:
                    self.in_frame = False
                    if self.frame.final and self.state == OPEN:
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
            self.service.application.error.error("Exception while reading a WebSocket\n", exc_info=error)
            self.fail(INTERNAL_ERROR, "internal error")
        return end

    cdef const char* parse_frame(self, const char* at, const char* end) except? NULL:
        """A frame, or what is here of its payload; NULL if what is here has to wait."""
        cdef size_t size
        cdef int header
        if not self.in_frame:
            header = read_frame(at, end, self.deflate is not None, &self.frame)
            if header == 0:
                return NULL
            if header < 0:
                self.fail(PROTOCOL_ERROR, "invalid frame")
                return end
            size = end - at - header
            if self.frame.opcode >= CLOSE:
                if size < self.frame.length:
                    return NULL
                self.control(at + header)
                return at + header + self.frame.length
            if self.state == OPEN:
                if self.session.full():
                    self.blocked = True
                    return NULL
                if self.frame.final and size >= self.frame.length and self.opcode == 0 and not self.frame.compressed \
                        and self.frame.opcode != CONTINUATION \
                        and (self.service.ws_size == 0 or self.frame.length <= self.service.ws_size):
                    self.whole(at + header)
                    return at + header + self.frame.length
                self.begin_frame()
            at += header
            self.left = self.frame.length
            self.in_frame = True
        size = min(self.left, <uint64_t> (end - at))
        if self.state == OPEN:
            self.payload(at, size)
        self.left -= size
        return at + size

    cdef int whole(self, const char* data) except -1:
        """A message in one frame that is here as a whole: the common case."""
        if self.frame.opcode == TEXT:
            try:
                item = text_of(data, self.frame.length, self.frame.key)
            except UnicodeDecodeError:
                self.fail(NOT_CONSISTENT, "invalid UTF-8")
                return 0
        else:
            item = bytes_of(data, self.frame.length, self.frame.key)
        return self.session.put(item, self.frame.length)

    cdef int begin_frame(self) except -1:
        """The header of a data frame is here: RFC 6455 section 5.4, and the limits."""
        if (self.frame.opcode == CONTINUATION) == (self.opcode == 0):
            self.fail(PROTOCOL_ERROR, "unexpected data frame" if self.opcode else "unexpected continuation")
            return 0
        if self.opcode == 0:
            self.opcode = self.frame.opcode
            self.compressed = self.frame.compressed
            self.text = ACCEPT
            self.began = self.service.now
            self.fragments = 0
            self.declared = 0
        self.fragments += 1
        self.declared += self.frame.length
        if self.service.ws_size and self.declared > self.service.ws_size:
            self.fail(TOO_BIG, "message too big")
        elif self.service.ws_fragments and self.fragments > self.service.ws_fragments:
            self.fail(POLICY, "too many fragments")
        elif self.frame.length == 0 and self.fragments > 1 and self.frequent():
            self.fail(POLICY, "too many empty frames")
        elif not self.compressed:
            self.room(self.frame.length)
        return 0

    cdef int payload(self, const char* data, size_t length) except -1:
        """Some of a data frame's payload, still masked."""
        cdef bytes piece
        if not self.compressed:
            return self.add(data, length, True)
        piece = PyBytes_FromStringAndSize(NULL, length)
        unmask(PyBytes_AS_STRING(piece), data, length, self.frame.key, self.frame.length - self.left)
        self.deflate.begin(piece, self.frame.final and self.left == length)
        self.inflating = True
        return 0

    cdef bint inflate(self) except -1:
        """Inflate what has come of a compressed message. False: later, or never."""
        cdef size_t before = self.size
        cdef size_t most
        cdef bytes piece
        while True:
            most = STEP
            if self.service.ws_size:
                most = min(most, self.service.ws_size - self.size + 1)
            try:
                piece = self.deflate.step(most)
            except ValueError:
                self.fail(NOT_CONSISTENT, "invalid compressed data")
                return False
            if piece is None:
                self.inflating = False
                return True
            if self.service.ws_size and self.size + PyBytes_GET_SIZE(piece) > self.service.ws_size:
                self.fail(TOO_BIG, "message too big")
                return False
            self.add(PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece), False)
            if self.state >= LINGER:
                return False
            if self.size - before >= TURN:
                self.edge.resume_soon()
                return False

    cdef int add(self, const char* data, size_t length, bint masked) except -1:
        """Put bytes behind those that the message has already."""
        cdef char* place
        self.room(length)
        place = PyBytes_AS_STRING(<object> self.message) + self.size
        if masked:
            unmask(place, data, length, self.frame.key, self.frame.length - self.left)
        else:
            memcpy(place, data, length)
        self.size += length
        if self.opcode == TEXT:
            self.text = check(self.text, place, length)
            if self.text == REJECT:
                self.fail(NOT_CONSISTENT, "invalid UTF-8")
        return 0

    cdef int room(self, size_t extra) except -1:
        """Memory for `extra` more bytes of the message. A frame's whole length is asked for at once: what has not come
        costs address space alone."""
        cdef size_t wanted = self.size + extra
        cdef size_t capacity
        if self.message is NULL:
            self.message = new_bytes(NULL, wanted)
            return 0
        capacity = PyBytes_GET_SIZE(<object> self.message)
        if capacity < wanted:
            _PyBytes_Resize(&self.message, max(wanted, capacity + capacity // 2))
        return 0

    cdef int finish(self) except -1:
        """The message is complete."""
        cdef size_t size = self.size
        cdef object item
        if self.opcode == TEXT:
            if self.text != ACCEPT:
                self.fail(NOT_CONSISTENT, "invalid UTF-8")
                return 0
            item = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(<object> self.message), size, NULL) if size else ""
            Py_XDECREF(self.message)
        elif size == 0:
            item = b""
            Py_XDECREF(self.message)
        else:
            if <size_t> PyBytes_GET_SIZE(<object> self.message) != size:
                _PyBytes_Resize(&self.message, size)
            item = <object> self.message
            Py_DECREF(item)
        self.message = NULL
        self.size = 0
        self.opcode = 0
        self.watched = False
        return self.session.put(item, size)

    cdef int control(self, const char* data) except -1:
        """A control frame that is here as a whole: RFC 6455 section 5.5."""
        cdef char[CONTROL] payload
        cdef size_t length = self.frame.length
        cdef int code = NO_CODE
        cdef str reason = ""
        unmask(payload, data, length, self.frame.key, 0)
        if self.frame.opcode == CLOSE:
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
        elif self.frame.opcode == PING and self.state == OPEN:
            if self.writable:
                self.write(PONG, False, payload, length, None)
            else:
                # Section 5.5.3: only the latest has to be answered.
                self.pong = payload[:length]
        return 0

    cdef bint frequent(self) noexcept:
        """Count a frame that carries nothing for the application. True: there are too many of them."""
        if self.service.now - self.controls_since >= self.service.ticks.ten_seconds:
            self.controls_since = self.service.now
            self.controls = 0
        self.controls += 1
        return self.service.ws_controls and self.controls > self.service.ws_controls

    # Output.

    cdef void cork(self) noexcept:
        if self.held_size:
            self.flush()
        self.edge.corked = True

    cdef void uncork(self) noexcept:
        self.edge.corked = False
        if self.edge.out.size:
            self.edge.send(0, NULL, 0, None, NULL, 0)
        if self.closing:
            self.leave()

    cdef void flush(self) noexcept:
        """What was sent outside of our steps leaves."""
        cdef Output out = self.edge.out
        cdef size_t mark = out.size
        if self.held_size == 0:
            return
        try:
            append(out, self.held, self.held_size)
            self.held_size = self.held_capacity = 0
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
        cdef size_t wanted = self.held_size + HEADER_MAX + length
        cdef char* held
        if wanted > self.held_capacity:
            wanted = max(wanted, 2 * self.held_capacity)
            held = <char*> realloc(self.held, wanted)
            if held is NULL:
                raise MemoryError()
            self.held = held
            self.held_capacity = wanted
        if self.held_size == 0:
            self.edge.send_soon()
        held = self.held + self.held_size
        held += write_frame(held, opcode, compressed, length)
        if length:
            memcpy(held, data, length)
        self.held_size = held - self.held + length
        if self.held_size > GATHERED:
            self.flush()
        return 0

    cdef void set_writable(self, bint writable) noexcept:
        cdef bytes payload = self.pong
        self.writable = writable
        if not writable:
            return
        if payload is not None:
            self.pong = None
            try:
                self.write(PONG, False, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), None)
            except MemoryError:
                self.edge.abort()
        if self.session is not None:
            self.session.wake(False)

    cdef void message_taken(self) noexcept:
        if self.blocked and not self.taking:
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
        client = self.edge.client()
        self.service.application.error.warning(
            "WebSocket closed: %d %s (%s)", code, reason, f"{client[0]}:{client[1]}" if client else "-"
        )
        if self.state == OPEN:
            self.write_close(code, reason.encode())
        if self.session is None:
            return                      # the write told that the connection is lost
        self.state = LINGER
        self.session.over(code, reason)
        if self.edge.corked:
            self.closing = True
        else:
            self.flush()
            self.leave()
            if self.session is not None:
                self.session.wake(False)

    cdef void leave(self) noexcept:
        self.closing = False
        self.waiting = None
        Py_XDECREF(self.message)
        self.message = NULL
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
            session.lost()

    cdef void expired(self) noexcept:
        cdef uint32_t now = self.service.now
        if self.state != OPEN:
            self.edge.close()
            return
        if self.opcode and self.service.ticks.ws_message and now - self.began >= self.service.ticks.ws_message:
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
                due = self.pinged + self.service.ticks.ws_pong
        if self.opcode and self.service.ticks.ws_message:
            end = self.began + self.service.ticks.ws_message
            due = min(due, end) if due else end
        self.edge.deadline(max(due, now + 1) - now if due else 0)
