# cython: binding=False
# Connections on sockets of our own. See sockets.pxd.

import os

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint32_t

from .edge cimport READ_BUFFER, reset_on_close
from .poll cimport (
    ALL, BROKEN, EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, Sent, drop_queue, put_copy, put_rest, send_queue,
)
from .wire cimport Wire

from .poll import available

cdef extern from "<sys/socket.h>" nogil:
    ssize_t recv(int fd, void* data, size_t length, int flags)
    int c_shutdown "shutdown" (int fd, int how)
    int MSG_DONTWAIT
    int SHUT_WR

cdef extern from "<unistd.h>" nogil:
    int c_close "close" (int fd)

HIGH_WATER = 65536              # where the settings leave it to the event loop: as uvloop does

enabled = True                  # the tests want to see the transports, too


def usable(loop) -> bool:
    """Whether the loop's connections can be on sockets of our own."""
    return bool(enabled and available and type(loop).__module__.startswith("uvloop") and not loop.get_debug())


cdef class Sockets(Poll):

    def __init__(self, Connections connections):
        Poll.__init__(self, connections.loop)
        self.connections = connections
        self.closed = []
        self.high_water = connections.write_high_water or HIGH_WATER
        self.low_water = self.high_water // 4

    def accept(self, int fd, Entrance entrance):
        """Accept connections from a listening socket until close() is called on what this returns."""
        return SocketAcceptor(self, fd, entrance)

    cdef void bury(self, SocketConnection connection) noexcept:
        """Tell it later that it has ended: its wire may be at work."""
        self.closed.append(connection)
        if self.count == 0 and len(self.closed) == 1:
            self.loop.call_soon(self.settle_now)

    def settle_now(self):
        self.settle()

    cdef void settle(self) noexcept:
        while self.closed:
            (<SocketConnection> self.closed.pop()).gone()


cdef class SocketAcceptor(Acceptor):

    def __init__(self, Sockets sockets, int fd, Entrance entrance):
        self.entrance = entrance
        Acceptor.__init__(self, sockets, fd)

    cdef void accepted(self, int fd, object peer) noexcept:
        cdef Sockets sockets = <Sockets> self.poll
        cdef SocketConnection connection
        connection = SocketConnection.__new__(SocketConnection, sockets.connections, self.entrance)
        connection.transport = sockets
        connection.peer = peer
        connection.peer_known = True
        connection.fd = connection.watch.fd = fd
        connection.watch.ready = connection_ready
        connection.watch.subject = <void*> connection
        try:
            sockets.watch(&connection.watch, EPOLLIN)
        except OSError as error:        # the system allows each user so many
            self.refused(error.errno)
            connection.wire = None      # it holds the connection, too
            c_close(fd)
            return
        connection.opened()

    cdef void refused(self, int code) noexcept:
        logger = (<Sockets> self.poll).connections.application.error
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
        if events & EPOLLIN and not (self.deaf or self.finished):
            self.readable()
        elif events & EPOLLERR or (events & EPOLLHUP and (self.finished or self.pending is not NULL)):
            self.dispose()
        elif events & EPOLLHUP:
            # The client of a unix socket has gone, and what it sent is not read yet. A level-triggered set would go on.
            (<Sockets> self.transport).change(&self.watch, EPOLLET)
        elif events & EPOLLIN:
            # Only now: most pauses are over before anything comes.
            (<Sockets> self.transport).change(&self.watch, self.watch.events & ~<uint32_t> EPOLLIN)
        if events & EPOLLOUT and self.watch.watched and self.pending is not NULL:
            self.writable()

    cdef void readable(self) noexcept:
        cdef Wire wire = self.wire      # held: it may be switched meanwhile
        cdef char* buffer = self.owner.buffer
        cdef size_t room = 1
        cdef char* place = wire.tail(&room)
        cdef ssize_t length
        if place is NULL:
            if room == 0:
                self.abort()            # there is no memory to read into
                return
            place = buffer
            room = READ_BUFFER
        length = recv(self.watch.fd, place, room, MSG_DONTWAIT)
        if length > 0:
            if place is buffer:
                wire.feed(place, length, None)
            else:
                wire.filled(length)
        elif length == 0:
            self.finished = True
            if not wire.eof():
                self.close()
        elif errno != EAGAIN and errno != EINTR:
            self.dispose()

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

    cdef void queue(self, const char* data, size_t length) noexcept:
        if not self.ended:
            try:
                put_copy(&self.pending, data, length)
                self.put()
            except MemoryError as error:
                self.broken(error)

    cdef void queue_rest(self, object owner, size_t done) noexcept:
        if not self.ended:
            try:
                put_rest(&self.pending, owner, done)
                self.put()
            except MemoryError as error:
                self.broken(error)

    cdef void put(self) noexcept:
        self.note_backlog()
        (<Sockets> self.transport).change(&self.watch, self.watch.events | EPOLLOUT)
        if self.wire.writable and self.pending.size > (<Sockets> self.transport).high_water:
            self.wire.set_writable(False)

    cdef size_t waiting(self) noexcept:
        return 0 if self.pending is NULL else self.pending.size

    cdef void pause(self, bint reading) noexcept:
        self.deaf = reading
        if not reading and not self.finished and self.watch.watched:
            (<Sockets> self.transport).change(&self.watch, EPOLLIN if self.pending is NULL else EPOLLIN | EPOLLOUT)

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
