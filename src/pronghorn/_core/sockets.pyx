# cython: binding=False
# Connections on sockets of our own. See sockets.pxd.

import os

from cpython.bytes cimport PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc

from .edge cimport READ_BUFFER, reset_on_close
from .poll cimport (
    ACCEPTS, ALL, BROKEN, EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, Sent, drop_queue,
    local_host, put_copy, put_rest, send_queue,
)
from .system cimport monotonic, recv
from .window cimport Buffer, begin_use, end_use, room as read_room
from .wire cimport Wire

from .poll import available

cdef extern from "<sys/socket.h>" nogil:
    int c_shutdown "shutdown" (int fd, int how)
    int MSG_DONTWAIT
    int SHUT_WR

cdef extern from "<unistd.h>" nogil:
    int c_close "close" (int fd)

# Edge-triggered: the system would look at each connection that has been served once more, in vain for most.
cdef uint32_t WATCHED = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET

cdef double QUICK = 15e-6       # seconds: an application that takes less keeps its clients awake
cdef double SLOW = 2e-4         # one that takes more is not waited for
cdef double LONGEST = 1e-3      # seconds until what is held is sent all the same
cdef uint32_t SLACK = 1         # connections more than another process has that are no reason to wait for it
cdef double SILENT = 3.0        # seconds after which a process that shows no sign of life is not waited for
HIGH_WATER = 65536              # where the settings leave it to the event loop: as uvloop does

enabled = True                  # the tests want to see the transports, too


def usable(loop) -> bool:
    """Whether the loop's connections can be on sockets of our own."""
    return bool(enabled and available and type(loop).__module__.startswith("uvloop") and not loop.get_debug())


cdef class Sockets(Poll):

    def __init__(self, Connections connections, page=None, int slot=0):
        """page: writable memory that is shared with the processes that listen to the same sockets, SHARES shares; slot:
        which of them is ours."""
        cdef unsigned char[::1] view
        Poll.__init__(self, connections.loop)
        if page is not None:
            view = page
            if view.shape[0] < SHARES * <Py_ssize_t> sizeof(Share) or not 0 <= slot < SHARES:
                raise ValueError("the page is too small")
            self.page = page
            self.shares = <Share*> &view[0]
            self.slot = slot
        self.connections = connections
        connections.poll = self
        self.closed = []
        self.held = []
        self.high_water = connections.write_high_water or HIGH_WATER
        self.low_water = self.high_water // 4

    def __dealloc__(self):
        free(self.places)

    def accept(self, int fd, Entrance entrance):
        """Accept connections from a listening socket until close() is called on what this returns."""
        return SocketAcceptor(self, fd, entrance)

    cdef void publish(self, uint32_t connections) noexcept:
        if self.shares is not NULL:
            self.shares[self.slot].connections = connections

    cdef void bury(self, SocketConnection connection) noexcept:
        """Tell it later that it has ended: its wire may be at work."""
        self.closed.append(connection)
        if self.count == 0 and len(self.closed) == 1:
            self.loop.call_soon(self.settle_now)

    def settle_now(self):
        if self.count:
            self.end_closed()
        else:
            self.settle()

    cdef void end_closed(self) noexcept:
        """Those that are being told further out are told of it when that is over; their applications now."""
        cdef list closed = self.closed
        cdef SocketConnection connection
        self.closed = []
        for connection in closed:
            if (self.count and self.batch[self.at - 1].data.ptr == &connection.watch) \
                    or (self.told is not None and <size_t> &connection.watch in self.told):
                self.closed.append(connection)
                connection.lose()
            else:
                connection.gone()

    cdef void begun(self) noexcept:
        self.early = 0
        if self.count > 1:
            self.connections.application.drive.begin_batch()
        if self.count >= CROWD:
            self.read_early()
            self.before = monotonic()

    cdef void read_early(self) noexcept:
        """Read from the next connections of the batch what will be served when it is their turn. The system's code and the
        application's displace each other from the processor's caches: each runs faster many times in a row.

        It is what recv() at their turn would have found, or less; who has been closed by then is not told of it."""
        cdef Watch* watch
        cdef SocketConnection connection
        cdef ssize_t length
        cdef int place = 0
        if self.places is NULL:
            self.places = <char*> malloc(PLACES * PLACE)
        while self.early < self.count and place < PLACES and self.places is not NULL:
            watch = <Watch*> self.batch[self.early].data.ptr
            # An end, or an error that has been reported, is left to its turn.
            if watch is not NULL and watch.ready is connection_ready and self.batch[self.early].events == EPOLLIN:
                connection = <SocketConnection> watch.subject
                if connection.brief and not (connection.deaf or connection.finished):
                    length = recv(watch.fd, self.places + place * PLACE, PLACE, MSG_DONTWAIT)
                    if length > 0:
                        connection.early = <int> length
                        connection.place = place
                        place += 1
                    elif length < 0 and errno != EAGAIN and errno != EINTR:
                        connection.early = BROKEN_OFF       # the system says so only once
            self.early += 1

    cdef void advanced(self) noexcept:
        """While many are served at once by an application that takes a while, the client sleeps between two answers, and
        waking it costs more than the sending: some are sent together. How long they wait for that is limited by
        the number and by the clock, and one that takes long is not waited for."""
        cdef double now
        if self.count < CROWD:
            return
        now = monotonic()
        self.connections.holding = QUICK < now - self.before < SLOW
        self.before = now
        if self.held and (not self.connections.holding or now - self.first > LONGEST or len(self.held) >= MOST_HELD):
            self.release()
        if self.at == self.early < self.count:
            self.read_early()
            self.before = monotonic()

    cdef void release(self) noexcept:
        cdef list held = self.held
        cdef SocketConnection connection
        self.held = []
        for connection in held:
            connection.held = False
            if connection.pending is not NULL and connection.watch.watched:
                connection.writable()
                if connection.pending is not NULL:
                    connection.put(0)

    cdef void settle(self) noexcept:
        self.connections.application.drive.end_batch()
        self.connections.holding = False
        if self.held:
            self.release()
        if self.starved and self.closed:
            self.starved = False
            for acceptor in self.acceptors:
                (<Acceptor> acceptor).go_on()
        while self.closed:
            (<SocketConnection> self.closed.pop()).gone()
        if self.acceptors:
            self.publish(self.connections.service.open)

    cdef object interrupted(self):
        self.connections.holding = False
        if self.held:
            self.release()
        return self.connections.application.drive.suspend_batch()

    cdef void resumed(self, object state) noexcept:
        self.connections.application.drive.resume_batch(state)
        self.end_closed()


cdef class SocketAcceptor(Acceptor):

    def __init__(self, Sockets sockets, int fd, Entrance entrance):
        self.entrance = entrance
        Acceptor.__init__(self, sockets, fd)
        sockets.publish(sockets.connections.service.open)

    def close(self):
        """Accept no more."""
        cdef Sockets sockets = <Sockets> self.poll
        Acceptor.close(self)
        if not sockets.acceptors:
            sockets.publish(NOBODY)

    cdef int wanted(self) noexcept:
        """Of several processes those with the fewest connections are to take the next."""
        cdef Sockets sockets = <Sockets> self.poll
        cdef uint32_t ours = sockets.connections.service.open
        cdef uint32_t fewest = NOBODY
        cdef int i
        if sockets.shares is NULL:
            return ACCEPTS
        for i in range(SHARES):
            if i != sockets.slot and sockets.shares[i].connections < fewest \
                    and monotonic() - sockets.shares[i].beat < SILENT:
                fewest = sockets.shares[i].connections
        if fewest == NOBODY:
            return ACCEPTS
        return 2 if ours <= fewest + SLACK + fewest // 20 else 0

    cdef void accepted(self, int fd, object peer) noexcept:
        cdef Sockets sockets = <Sockets> self.poll
        cdef SocketConnection connection
        cdef Entrance entrance = self.entrance
        if entrance.places is not None:
            host = local_host(fd)
            entrance = entrance.at(entrance.template["server"][0] if host is None else host)
        connection = SocketConnection.__new__(SocketConnection, sockets.connections, entrance)
        connection.transport = sockets
        connection.peer = peer
        connection.peer_known = True
        connection.local = peer is None
        connection.fd = connection.watch.fd = fd
        connection.watch.ready = connection_ready
        connection.watch.subject = <void*> connection
        try:
            sockets.watch(&connection.watch, WATCHED)
        except OSError as error:        # the system allows each user so many
            self.tell(error.errno)
            connection.wire = None      # it holds the connection, too
            c_close(fd)
            return
        connection.opened()
        sockets.publish(sockets.connections.service.open)

    cdef void refused(self, int code) noexcept:
        logger = (<Sockets> self.poll).connections.application.log()
        logger.error("Cannot accept a connection: %s", os.strerror(code).lower())


cdef void connection_ready(void* connection, uint32_t events) noexcept:
    cdef SocketConnection ready = <SocketConnection> connection     # it lives until this is over
    ready.ready(events)


cdef class SocketConnection(Connection):

    def __dealloc__(self):
        if self.watch.watched:          # the loop was left with it
            c_close(self.watch.fd)
        drop_queue(&self.pending)

    # From the set.

    cdef void ready(self, uint32_t events) noexcept:
        if self.early:
            self.take_early()
        elif events & EPOLLIN and not (self.deaf or self.finished):
            self.readable(events)
        elif events & EPOLLERR or (events & EPOLLHUP and (self.finished or self.pending is not NULL)):
            self.dispose()
        elif events & EPOLLIN:
            self.unread = True
        if events & EPOLLOUT and self.watch.watched and self.pending is not NULL:
            self.writable()

    cdef void readable(self, uint32_t events) noexcept:
        cdef Wire wire = self.wire      # held: it may be switched meanwhile
        cdef Buffer buffer = self.owner.buffer
        cdef size_t room = 1
        cdef char* place = wire.tail(&room)
        cdef ssize_t length
        if place is NULL:
            if room == 0:
                self.abort()            # there is no memory to read into
                return
            place = read_room(buffer)
            room = READ_BUFFER
            if place is NULL:
                self.abort()
                return
        length = recv(self.watch.fd, place, room, MSG_DONTWAIT)
        self.brief = 0 < length < PLACE
        if length > 0:
            # Less than there was room for is all there is, unless an end, an error or urgent data stands behind it. Before
            # the application is called: it may run the event loop, and wait for what is there.
            if <size_t> length == room or self.local or events & ~<uint32_t> (EPOLLIN | EPOLLOUT):
                self.read_on()
            if place is buffer.memory:
                begin_use(buffer)
                wire.feed(place, length, None)
                end_use(buffer, place)
            else:
                wire.filled(length)
        elif length == 0:
            self.finished = True
            if not wire.eof():
                self.close()
            elif events & EPOLLHUP:
                (<Sockets> self.transport).remind(&self.watch)      # it has closed altogether: ready() ends it
        elif errno == EINTR:
            self.read_on()
        elif errno != EAGAIN:
            self.dispose()

    cdef void read_on(self) noexcept:
        """There may be more to be read: let us be told of that in the next turn of the loop, or after the pause."""
        if self.deaf:
            self.unread = True
        else:
            (<Sockets> self.transport).remind(&self.watch)

    cdef void take_early(self) noexcept:
        """What has been read ahead of its turn."""
        cdef Wire wire = self.wire      # held: it may be switched meanwhile
        cdef const char* data = (<Sockets> self.transport).places + self.place * PLACE
        cdef int length = self.early
        self.early = 0
        self.brief = length < PLACE
        if length == BROKEN_OFF:
            self.dispose()
        elif not self.finished:         # it may have been closed since
            if length == PLACE or self.local:
                self.read_on()
            wire.feed(data, length, None)

    cdef void writable(self) noexcept:
        cdef Sent sent = send_queue(self.pending, self.watch.fd)
        if sent == BROKEN:
            self.dispose()
            return
        if sent == ALL:
            drop_queue(&self.pending)
            self.backlog = False
            (<Sockets> self.transport).change(&self.watch, self.watch.events & ~<uint32_t> EPOLLOUT)
            if self.ended:
                self.dispose()
                return
            if self.shutting:
                c_shutdown(self.watch.fd, SHUT_WR)
        if not self.wire.writable and self.waiting() <= (<Sockets> self.transport).low_water:
            self.wire.set_writable(True)

    # For the edge.

    cdef bint hold(self, const char* head, size_t head_length, const char* body, size_t length, const char* tail,
                   size_t tail_length) noexcept:
        cdef Sockets sockets = <Sockets> self.transport
        if self.fd < 0 or self.pending is not NULL:
            return False
        try:
            if not sockets.held:
                sockets.first = sockets.before
            sockets.held.append(self)
            if head_length:
                put_copy(&self.pending, head, head_length)
            if length:
                put_copy(&self.pending, body, length)
            if tail_length:
                put_copy(&self.pending, tail, tail_length)
        except MemoryError as error:
            self.broken(error)
            return True
        self.held = self.backlog = True
        self.backlog_size = <uint32_t> (head_length + length + tail_length)
        self.unsent = 0xFFFFFFFF
        self.stalled = self.owner.service.now
        return True

    cdef void queue(self, const char* data, size_t length) noexcept:
        if not self.ended:
            try:
                put_copy(&self.pending, data, length)
                self.put(length)
            except MemoryError as error:
                self.broken(error)

    cdef void queue_rest(self, object owner, size_t done) noexcept:
        if not self.ended:
            try:
                put_rest(&self.pending, owner, done)
                self.put(PyBytes_GET_SIZE(owner) - done)
            except MemoryError as error:
                self.broken(error)

    cdef void put(self, size_t length) noexcept:
        self.note_backlog(length)
        if self.held:
            return
        (<Sockets> self.transport).change(&self.watch, self.watch.events | EPOLLOUT)
        if self.wire.writable and self.pending.size > (<Sockets> self.transport).high_water:
            self.wire.set_writable(False)

    cdef size_t waiting(self) noexcept:
        return 0 if self.pending is NULL else self.pending.size

    cdef int socket(self):
        return self.watch.fd

    cdef void pause(self, bint reading) noexcept:
        self.deaf = reading
        if self.unread and not reading and self.watch.watched:
            self.unread = False
            (<Sockets> self.transport).remind(&self.watch)

    cdef void close(self) noexcept:
        self.due = 0
        self.fd = -1
        if not self.ended:
            self.ended = True
            self.finished = True
            if self.pending is NULL:
                self.dispose()

    cdef void shut(self) noexcept:
        if self.ended:
            return
        if self.pending is NULL:
            c_shutdown(self.watch.fd, SHUT_WR)
        else:
            self.shutting = True

    cdef void abort(self) noexcept:
        if self.watch.watched:
            reset_on_close(self.watch.fd)
            self.dispose()

    cdef void dispose(self) noexcept:
        """Close the socket, whatever was still to be sent."""
        self.due = 0
        self.fd = -1
        self.ended = True
        self.backlog = False
        if self.watch.watched:
            (<Sockets> self.transport).forget(&self.watch)
            c_close(self.watch.fd)
            drop_queue(&self.pending)
            (<Sockets> self.transport).bury(self)
