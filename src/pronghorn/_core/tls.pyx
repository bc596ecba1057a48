# cython: binding=False
# TLS on memory. See tls.pxd.

import ssl

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Copy

from .http1 cimport Http1
from .output cimport Output
from .response cimport write_refusal
from .service cimport Rest
from .window cimport Buffer, begin_use, end_use, room as read_room

cdef enum:
    PLAIN = 65536               # bytes decrypted before the wire above is fed: four records of full size
    PIECE = 32768               # bytes of records that OpenSSL gets at once
    BARREN = 65536              # bytes of records in a row with nothing in them for the wire above
    ANSWERS = 16384             # bytes of the protocol's own answers, such as new keys
    EARNED = 1024               # bytes for the wire above that earn one more of those

cdef object MemoryBIO = ssl.MemoryBIO
cdef object SSLError = ssl.SSLError
cdef object SSLWantReadError = ssl.SSLWantReadError


cdef class Shelter:
    """certificates: has `context`, the ssl.SSLContext for the next connection, and `describe(session)`, which makes the
    `tls` extension of the scope from an ssl.SSLObject. template: the scope of the listener's requests."""

    def __cinit__(self, Service service, dict template, object certificates):
        self.service = service
        self.template = template
        self.certificates = certificates
        self.records = Window()
        self.plain = Window()
        self.buffer = Buffer(PLAIN)


cdef class Tls(Wire):

    def __cinit__(self, Shelter shelter, Edge edge, uint32_t jitter):
        self.shelter = shelter
        self.edge = edge
        self.jitter = jitter
        self.writable = True

    # From the edge.

    cdef void feed(self, const char* data, size_t length, bytes source) noexcept:
        if length <= PIECE and self.pieces is None:
            self.take(data, length, source)
            return
        # OpenSSL reads on until there is something for us, and a new key takes it 25 us: in pieces we see what it is at.
        try:
            if self.pieces is not None:     # the application runs the event loop while one of them is dealt with
                self.pieces = self.pieces[self.piece:] + data[:length]
            else:                           # the read buffer is not ours any more once the wire above has been fed
                self.pieces = data[:length] if source is None else source
            self.piece = 0
        except MemoryError:
            self.edge.abort()
            return
        self.take_pieces()

    cdef void take_pieces(self) noexcept:
        cdef bytes pieces = self.pieces
        cdef size_t at
        cdef size_t length
        while pieces is not None:
            at = self.piece
            length = min(<size_t> PyBytes_GET_SIZE(pieces) - at, <size_t> PIECE)
            self.piece += length
            if self.piece == <size_t> PyBytes_GET_SIZE(pieces):
                self.pieces = None
            self.take(PyBytes_AS_STRING(pieces) + at, length, None)
            pieces = self.pieces

    cdef void take(self, const char* data, size_t length, bytes source) noexcept:
        cdef Window records = self.shelter.records
        if self.finished or self.closed:    # behind close_notify, theirs or ours: RFC 8446 section 6.1 has it ignored
            self.throw_away(length)
            return
        try:
            if not self.heard:
                self.start()
            if source is not None:
                self.incoming.write(source)
            else:
                records.start = <char*> data
                records.length = length
                self.incoming.write(records)
        except BaseException as error:
            self.refused(error)
            return
        if self.inner is None:
            self.shake()
            return
        self.barren += <uint32_t> length
        if self.held:
            self.waiting = True
        else:
            self.decrypt()

    cdef void resume(self) noexcept:
        cdef Wire inner = self.inner        # held here and below: it may be switched meanwhile, or the connection end
        if self.resuming:
            self.resuming = False
            if inner is not None:
                inner.resume()
        if self.waiting and self.inner is not None:
            self.decrypt()
        self.take_pieces()

    cdef bint eof(self) noexcept:
        cdef Wire inner = self.inner
        if inner is None:
            return False
        if self.finished:
            return True
        if self.waiting:
            self.ending = True
            return True
        self.finished = True
        if inner.eof():
            return True
        self.notify_close()
        return False

    cdef void expired(self) noexcept:
        cdef Wire inner = self.inner
        if inner is None:
            self.edge.abort()               # too slow for a handshake
        else:
            inner.expired()

    cdef void flush(self) noexcept:
        cdef Wire inner = self.inner
        if inner is not None:
            inner.flush()

    cdef void drain(self) noexcept:
        cdef Wire inner = self.inner
        # A client in the middle of its handshake still gets the answer it came for: the deadline is on.
        if inner is not None:
            inner.drain()
        elif not self.heard:
            self.edge.deadline(self.shelter.service.ticks.linger)

    cdef bint give_way(self) noexcept:
        cdef Wire inner = self.inner
        return inner is not None and inner.give_way()

    cdef void lost(self) noexcept:
        cdef Wire inner = self.inner
        cdef Shield shield = self.shield
        self.inner = None
        self.shield = None
        self.session = self.read = self.write = self.pieces = None
        if shield is not None:
            shield.ended = True
            shield.tls = None
        if inner is not None:
            inner.lost()

    cdef void set_writable(self, bint writable) noexcept:
        cdef Wire inner = self.inner
        self.writable = writable
        if inner is not None:
            inner.set_writable(writable)

    # The handshake.

    cdef int start(self) except -1:
        """The first bytes are here: only now is there a session, which takes memory. Whoever connects and says nothing
        costs as little as without TLS."""
        cdef Shelter shelter = self.shelter
        self.heard = True
        self.incoming = MemoryBIO()
        self.outgoing = MemoryBIO()
        self.session = shelter.certificates.context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.edge.deadline(shelter.service.ticks.tls_handshake)
        return 0

    cdef void shake(self) noexcept:
        try:
            self.session.do_handshake()
        except SSLWantReadError:
            self.put()
            return
        except BaseException as error:
            self.refused(error)
            return
        self.put()
        if not self.edge.ended:
            self.established()

    cdef void refused(self, object error) noexcept:
        """OpenSSL takes no more of this client's bytes. What it has to say about that, it has written."""
        cdef Output out = self.edge.out
        cdef size_t mark = out.size
        self.shelter.service.application.log().debug("TLS: %s", error)
        self.finished = True
        if self.inner is None and getattr(error, "reason", None) == "HTTP_REQUEST":
            # Somebody took https for http: an answer that he can read.
            try:
                write_refusal(out, 400, False, self.shelter.service.defaults)
                self.edge.send(mark, NULL, 0, None, NULL, 0)
            except MemoryError:
                out.size = mark
        elif self.outgoing is not None:
            self.put()
        self.closed = True                  # the alert was the last thing to be said
        if self.inner is None:
            self.edge.close()
        else:
            self.edge.abort()

    cdef void established(self) noexcept:
        cdef Shelter shelter = self.shelter
        cdef dict template
        try:
            session = self.session
            raw = getattr(session, "_sslobj", session)  # what SSLObject.read() and write() only hand on to
            self.read = raw.read
            self.write = raw.write
            template = PyDict_Copy(shelter.template)
            template["extensions"] = {"tls": shelter.certificates.describe(session)}
            self.shield = Shield.__new__(Shield, self)
            self.inner = Http1.__new__(Http1, shelter.service, self.shield, template, self.jitter)
        except BaseException as error:
            shelter.service.application.log().error("Exception after a TLS handshake\n", exc_info=error)
            self.edge.abort()
            return
        self.edge.deadline(shelter.service.ticks.first_byte)
        if not self.writable:
            self.inner.set_writable(False)
        if self.incoming.pending:
            self.decrypt()

    # What comes.

    cdef void decrypt(self) noexcept:
        """Feed the wire above with everything that has come, as long as it wants to read."""
        cdef Wire inner = self.inner
        cdef Buffer buffer = self.shelter.buffer
        cdef char* place
        cdef size_t room
        cdef Py_ssize_t length
        cdef Rest rest
        rest.outer = self.shelter.service.rests
        rest.wire = <void*> self
        rest.at = rest.end = NULL
        self.waiting = True
        while self.waiting and not self.held and not self.closed:
            room = 1
            place = inner.tail(&room)
            if place is NULL:
                if room == 0:
                    self.edge.abort()       # there is no memory to read into
                    return
                place = read_room(buffer)
                room = PLAIN
                if place is NULL:
                    self.edge.abort()
                    return
            length = self.read_into(place, room)
            if length < 0:
                return
            self.shelter.service.rests = &rest
            if length and place is buffer.memory:
                begin_use(buffer)
                inner.feed(place, length, None)
                end_use(buffer, place)
            elif length:
                inner.filled(length)
            self.shelter.service.rests = rest.outer
            inner = self.inner              # it may have been switched, or the connection be gone
            if inner is None:
                return
        if self.waiting or self.finished or self.closed:
            return
        if self.ending:
            self.finished = True
            if not inner.eof() and self.shield is not None:
                self.shield.close()

    cdef Py_ssize_t read_into(self, char* place, size_t room) noexcept:
        """Decrypt as much as there is, or fits. Returns the bytes, -1 when the connection has ended over it."""
        cdef Window plain = self.shelter.plain
        cdef size_t done = 0
        cdef Py_ssize_t length
        try:
            while done < room:
                plain.start = place + done
                plain.length = room - done
                length = self.read(room - done, plain)
                if length == 0:             # close_notify
                    self.waiting = False
                    self.ending = True
                    break
                done += <size_t> length
                # Asking once more would cost an exception each time.
                if self.incoming.pending == 0 and done < room:
                    self.waiting = False
                    break
        except SSLWantReadError:
            self.waiting = False
        except BaseException as error:
            self.refused(error)
            return -1
        length = self.outgoing.pending
        if length:
            self.put()                      # an answer of the protocol's own, such as a new key
        if self.idling(done, length):
            self.refused("too many records without content")
            return -1
        return done

    cdef bint idling(self, size_t done, size_t answer) noexcept:
        """Whether this client has the protocol work for nothing. done: bytes for the wire above; answer: bytes that the
        protocol had to say to what came. A client may ask for new keys and read none of the answers."""
        self.answered -= min(self.answered, <uint32_t> (done // EARNED))
        self.answered += <uint32_t> answer
        if done:
            self.barren = 0
        return self.barren > BARREN or self.answered > ANSWERS

    # What goes.

    cdef bint encrypt(self, const char* data, size_t length) noexcept:
        cdef Window plain = self.shelter.plain
        cdef size_t done = 0
        try:
            while done < length:
                plain.start = <char*> data + done
                plain.length = length - done
                done += <size_t> self.write(plain)
        except BaseException as error:
            self.refused(error)
            return False
        return True

    cdef void put(self) noexcept:
        """Send the records that are ready."""
        cdef Edge edge = self.edge
        cdef bytes records
        try:
            records = self.outgoing.read()
        except BaseException as error:
            self.shelter.service.application.log().debug("TLS: %s", error)
            edge.abort()
            return
        if PyBytes_GET_SIZE(records):
            edge.send(edge.out.size, PyBytes_AS_STRING(records), PyBytes_GET_SIZE(records), records, NULL, 0)

    cdef void notify_close(self) noexcept:
        """Say that nothing more will follow (RFC 8446 section 6.1), so that nobody takes a part for the whole."""
        if self.closed or self.session is None:
            return
        self.closed = True
        try:
            self.session.unwrap()
        except SSLError:
            pass                            # the client's own close_notify is not here yet
        except BaseException as error:
            self.shelter.service.application.log().debug("TLS: %s", error)
        self.put()


cdef class Shield(Edge):

    def __cinit__(self, Tls tls):
        self.tls = tls
        self.edge = tls.edge
        self.out = tls.edge.out

    cdef int send(self, size_t mark, const char* body, size_t length, object owner, const char* tail,
                  size_t tail_length) noexcept:
        cdef Output out = self.out
        cdef Tls tls = self.tls
        cdef size_t head = out.size - mark
        out.size = mark
        if self.ended or tls is None:
            return 0
        # OpenSSL writes into memory of its own: what stands behind `mark` stays until the next append.
        if (head == 0 or tls.encrypt(out.data + mark, head)) \
                and (length == 0 or tls.encrypt(body, length)) \
                and (tail_length == 0 or tls.encrypt(tail, tail_length)):
            tls.put()
        return 0

    cdef void send_soon(self) noexcept:
        self.edge.send_soon()

    cdef void resume_soon(self) noexcept:
        if self.tls is not None:
            self.tls.resuming = True
            self.edge.resume_soon()

    cdef void pause(self, bint reading) noexcept:
        if self.tls is None:
            return
        self.tls.held = reading
        self.edge.pause(reading)
        if not reading and self.tls.waiting:
            self.edge.resume_soon()

    cdef void deadline(self, uint32_t ticks) noexcept:
        self.edge.deadline(ticks)

    cdef void idle(self) noexcept:
        self.edge.idle()

    cdef void close(self) noexcept:
        if not self.ended and self.tls is not None:
            self.tls.notify_close()
        self.ended = True
        self.edge.close()

    cdef void shut(self) noexcept:
        if not self.ended and self.tls is not None:
            self.tls.notify_close()
            self.edge.shut()

    cdef void abort(self) noexcept:
        self.ended = True
        self.edge.abort()

    cdef void switch(self, Wire wire) noexcept:
        if self.tls is not None:
            self.tls.inner = wire

    cdef object client(self):
        return self.edge.client()

    cdef void introduce(self, object client) noexcept:
        self.edge.introduce(client)
