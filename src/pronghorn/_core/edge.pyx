# cython: binding=False
# Connections on asyncio transports. See edge.pxd.

import asyncio

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from libc.string cimport memset

from .drive cimport Call
from .exchange cimport Conversation
from .memory cimport give_back
from .system cimport monotonic
from .system cimport send as system_send
from .system cimport acknowledged as system_acknowledged
from .system cimport unsent as system_unsent
from .window cimport begin_use, end_use, room as read_room

from .drive import Drive

cdef extern from "<sys/socket.h>" nogil:
    struct iovec:
        void* iov_base
        size_t iov_len
    struct msghdr:
        iovec* msg_iov
        size_t msg_iovlen
    ssize_t sendmsg(int fd, const msghdr* message, int flags)
    int MSG_NOSIGNAL
    int MSG_DONTWAIT

TICK = 0.5                      # seconds between two sweeps: how exact time-outs are

cdef enum:
    FRAMING = 64                # bytes of a chunk's framing, which is queued by itself
    USUAL_HIGH_WATER = 65536    # where the settings leave it to the event loop
    SLOWEST = 4096              # bytes per second of the average that a client may keep to by reading nothing for a while
    UNREAD = 262144             # bytes that a client's system may acknowledge before the client has read any
    PATIENCE = 4                # times timeout_write_stall, at the longest
FINEST = 0.05                   # the same where pings of WebSockets are wanted more often than every two seconds


cdef class Connections:
    """See docs/architecture.md, "The door between the two layers".

    config: an object with the attributes of pronghorn.Config. state: copied into each scope. access: called with
    (client, method, path, http_version, status) for each request, or a Journal, or None. error: logging.Logger. on_limit:
    called once `limit` responses are complete. context: contextvars.Context that requests start from a copy of.
    """

    def __init__(self, loop, app, config, *, state, access=None, error=None, on_limit=None, limit=None, context=None):
        self.loop = loop
        self.application = Application(
            app, Drive(loop, config.task, context), state=state, root_path=config.root_path, access=access,
            error=error, on_limit=on_limit, limit=limit or 0, version=config.asgi_version,
        )
        self.tick = TICK
        for seconds in (config.ws_ping_interval, config.ws_ping_timeout):
            if seconds:
                self.tick = max(min(self.tick, seconds / 4), FINEST)
        self.service = Service(self.application, config, self.tick)
        self.out = Output()
        self.outgoing = []
        self.verbose = error is not None and error.isEnabledFor(10)     # logging.DEBUG
        self.proxy_protocol = config.proxy_protocol
        self.proxies = config.proxy_protocol_hosts
        self.window = Window()
        self.buffer = Buffer(READ_BUFFER)
        # uvloop reads into memory of its own and makes a bytes object of what came, at less cost than asking us for a
        # buffer. asyncio's loop makes a bytes object of full size for each read; there the buffer pays.
        self.protocol = StreamConnection if type(loop).__module__.startswith("uvloop") else BufferedConnection
        give_back(monotonic())
        self.limit = config.limit_connections or 0
        self.write_high_water = config.write_high_water or 0
        self.stall = <uint32_t> (config.timeout_write_stall / self.tick + 0.999) if config.timeout_write_stall else 0

    def entrance(self, server, certificates=None) -> Entrance:
        """How the connections of one listener begin. server: (host, port), (path, None) or None. certificates: makes it
        TLS; see tls.Shelter."""
        cdef dict template = self.application.scopes.template(server, "http" if certificates is None else "https")
        return Entrance(self.service, template, certificates, self.proxy_protocol, self.proxies)

    def listener(self, Entrance entrance):
        """A factory of protocols for `loop.create_server`."""
        kind = self.protocol
        def protocol():
            return kind(self, entrance)
        return protocol

    @property
    def open(self) -> int:
        """Open connections."""
        return self.service.open

    @property
    def active(self) -> int:
        """Calls of the application that have not ended."""
        return self.application.active

    @property
    def total_requests(self) -> int:
        """Responses completed."""
        return self.application.total

    @property
    def task_mode(self) -> str:
        """How applications are run: lazy, eager or task."""
        return self.application.drive.mode_name

    def __iter__(self):
        """The open connections."""
        cdef list found = []
        cdef Connection connection = self.first
        while connection is not None:
            found.append(connection)
            connection = connection.next
        return iter(found)

    def tasks(self) -> set:
        """The tasks of the calls that have not ended."""
        return self.application.tasks()

    def serving(self):
        """The scope of the request whose step is under way, or None: for a thread that finds the loop blocked.

        A call in its first step, or parked, is the drive's; others have a task, which is the loop's current one then.
        """
        cdef Call call = self.application.drive.call
        cdef Conversation one
        if call is None:
            task = asyncio.current_task(self.loop)
            for waiting in self.application.waiting() if task is not None else ():
                if (<Conversation> waiting).task is task:
                    call = <Conversation> waiting
        one = <Conversation> call
        return None if one is None else one.scope

    def drain(self, bint prompt=False):
        """No further requests after the one under way, or the one that comes within ``timeout_linger``.

        ``prompt``: connections that have had a response and wait for another request close now.
        """
        cdef Connection connection = self.first
        cdef Connection following
        self.service.draining = True
        self.service.prompt = prompt or not self.service.ticks.linger
        while connection is not None:
            following = connection.next
            connection.wire.drain()
            connection = following

    def disconnect(self, bint endless=False):
        """http.disconnect to every application that still runs; the stop has waited for clients long enough.
        ``endless``: only to those that have begun a response without a length."""
        self.service.prompt = self.service.prompt or not endless
        self.application.disconnect(endless)

    def cancel(self, message=None, bint endless=False) -> int:
        """Cancel the applications that still run, or only those whose response is ``endless``; returns how many."""
        return self.application.cancel(message, endless)

    def cancel_abandoned(self, message=None) -> int:
        """Cancel the applications whose client has gone, and that do not know it; returns how many."""
        return self.application.cancel_abandoned(message)

    def abort(self):
        """Close every connection now."""
        cdef Connection connection = self.first
        cdef Connection following
        while connection is not None:
            following = connection.next
            connection.abort()
            connection = following

    async def wait_closed(self):
        """Return when no connection is open and no application runs."""
        while self.service.open or self.application.active:
            if self.closed is None or self.closed.done():
                self.closed = self.loop.create_future()
            await asyncio.shield(self.closed)
        self.service.report_dropped()
        self.service.report_refusals()

    cdef void log_connection(self, Connection connection, str what) noexcept:
        client = connection.client()
        peer = "-" if client is None else f"{client[0]}:{client[1]}"
        self.application.log().debug("%s - connection %s (%d open)", peer, what, self.service.open)

    cdef void note_closed(self) noexcept:
        if self.closed is not None and not self.closed.done():
            self.closed.set_result(None)

    cdef void link(self, Connection connection, bint idle) noexcept:
        """Put a connection at the end of the idle ones, or of the others."""
        connection.placed = self.service.now if idle else 0
        connection.next = self.others if idle else None
        connection.previous = self.final if connection.next is None else connection.next.previous
        if connection.previous is None:
            self.first = connection
        else:
            connection.previous.next = connection
        if connection.next is None:
            self.final = connection
        else:
            connection.next.previous = connection
        if self.others is None and not idle:
            self.others = connection

    cdef void unlink(self, Connection connection) noexcept:
        if self.others is connection:
            self.others = connection.next
        if connection.previous is None:
            self.first = connection.next
        else:
            connection.previous.next = connection.next
        if connection.next is None:
            self.final = connection.previous
        else:
            connection.next.previous = connection.previous
        connection.previous = None
        connection.next = None

    def flush(self):
        """Send what was written outside of our steps since the loop last looked for input."""
        cdef list outgoing = self.outgoing
        cdef Connection connection
        cdef Wire wire
        self.outgoing = []
        for connection in outgoing:
            if not connection.ended:
                wire = connection.wire
                wire.flush()

    cdef bint drop_idle(self) noexcept:
        """Close the connection that has been idle longest; False if none is.

        Each that is not idle any more is looked at once until it has been so again: in constant time all in all."""
        cdef Connection connection = self.first
        while connection is not self.others:
            self.unlink(connection)
            self.link(connection, False)
            if connection.wire.give_way():
                return True
            connection = self.first
        return False

    def sweep(self):
        """Every half second: the time-outs of all connections, the Date header, and what else changes slowly."""
        cdef Connection connection = self.first
        cdef Connection following
        cdef Wire wire              # held, as its connection is: either may end meanwhile
        cdef uint32_t now
        cdef bint missed
        if self.out.holder is not None:
            # An application runs the event loop inside of its step: what it has sent must not wait for its end.
            wire = self.out.holder
            wire.interrupted()
        if self.service.rests is not NULL:
            self.service.resume_rests()
        if self.poll is not None:
            self.poll.go_on()
        self.service.now += 1
        now = self.service.now
        self.service.defaults.refresh()
        self.application.drive.refresh()
        if now % <uint32_t> (1.001 / self.tick) == 0:
            self.service.report_refusals()
        if self.outgoing:
            self.flush()
        missed, self.missed = self.missed, False
        while connection is not None:
            following = connection.next
            if missed and not connection.ended:
                wire = connection.wire
                wire.resume()
            if connection.due and connection.due <= now:
                connection.due = 0
                wire = connection.wire
                wire.expired()
            if connection.backlog:
                connection.watch_backlog()
            connection = following
        # What a peak has taken is given back also when no one is there any more.
        if give_back(monotonic()) and not self.service.draining or self.service.open or self.application.active:
            self.timer = self.loop.call_later(self.tick, self.sweep)
        else:
            self.timer = None
            self.service.report_refusals()
        if self.service.open == 0 and self.application.active == 0:
            self.note_closed()


cdef object unmapped(object host):
    """The host of an address as the system gives it: ::ffff:1.2.3.4 is one of IPv4."""
    return host[7:] if type(host) is str and host.startswith("::ffff:") and "." in host else host


cdef class Connection(Edge):
    """One connection: an asyncio.Protocol below, what the wire asks for above."""

    def __cinit__(self, Connections owner, Entrance entrance):
        self.owner = owner
        self.out = owner.out
        self.fd = -1
        owner.jitter = owner.jitter * 1103515245 + 12345
        if entrance.places is None:
            self.wire = entrance.wire(self, owner.jitter >> 8)
        else:
            self.transport = entrance       # until the real one tells the address: it saves a field of every connection

    # asyncio.Protocol

    def connection_made(self, transport):
        cdef Connections owner = self.owner
        cdef Entrance entrance
        if self.wire is None:
            entrance = self.transport
            name = transport.get_extra_info("sockname") or entrance.template["server"]      # it may be gone already
            self.wire = entrance.at(unmapped(name[0])).wire(self, owner.jitter >> 8)
        self.transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None:
            self.fd = sock.fileno()
        if owner.write_high_water:
            transport.set_write_buffer_limits(owner.write_high_water)
        self.opened()

    def data_received(self, bytes data):
        cdef Wire wire = self.wire      # held: it may be switched meanwhile
        if wire is not None:            # it is gone already, where something else than the transport calls
            wire.feed(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), data)

    def eof_received(self):
        return self.wire is not None and self.wire.eof()

    def connection_lost(self, error):
        self.gone()

    cdef void opened(self) noexcept:
        """The connection is there, and can be told to close."""
        cdef Connections owner = self.owner
        owner.service.open += 1
        owner.link(self, False)
        self.linked = True
        if owner.timer is None:
            # Nobody was here: the date may be an old one.
            owner.service.defaults.refresh()
            owner.timer = owner.loop.call_later(owner.tick, owner.sweep)
        if owner.verbose:
            owner.log_connection(self, "made")
        self.deadline(owner.service.ticks.first_byte)
        if owner.limit and owner.service.open > owner.limit and not owner.drop_idle():
            self.close()

    cdef void lose(self) noexcept:
        if not self.told:
            self.told = True
            self.wire.lost()

    cdef void gone(self) noexcept:
        """The connection is closed. Never from within the wire, which is freed here."""
        cdef Connections owner = self.owner
        self.fd = -1
        self.due = 0
        self.backlog = False
        self.ended = True
        self.lose()
        self.wire = None            # it holds us, too
        self.transport = None
        if self.linked:
            self.linked = False
            owner.unlink(self)
            owner.service.open -= 1
            if owner.verbose:
                owner.log_connection(self, "closed")
        if owner.service.open == 0:
            owner.note_closed()

    def pause_writing(self):
        if self.wire is not None:
            self.wire.set_writable(False)

    def resume_writing(self):
        if self.wire is not None:
            self.wire.set_writable(True)

    # wire.Edge

    cdef int send(self, size_t mark, const char* body, size_t length, object owner, const char* tail,
                  size_t tail_length) noexcept:
        """Send what stands in the gather buffer from `mark` on, then the body, then the tail, with one system call.
        What the socket does not take is left to the transport."""
        cdef Output out = self.out
        cdef iovec parts[3]
        cdef msghdr message
        cdef const char* head = out.data + mark
        cdef size_t head_length = out.size - mark
        cdef ssize_t sent = 0
        cdef size_t done
        out.size = mark
        if self.ended:
            return 0
        if self.owner.holding and head_length + length + tail_length <= HELD_SIZE \
                and self.hold(head, head_length, body, length, tail, tail_length):
            return 0
        if self.fd >= 0 and not self.backlog:
            while True:
                if length == 0:
                    sent = system_send(self.fd, head, head_length, MSG_NOSIGNAL | MSG_DONTWAIT)
                elif head_length == 0 and tail_length == 0:
                    sent = system_send(self.fd, body, length, MSG_NOSIGNAL | MSG_DONTWAIT)
                else:
                    parts[0].iov_base = <void*> head
                    parts[0].iov_len = head_length
                    parts[1].iov_base = <void*> body
                    parts[1].iov_len = length
                    parts[2].iov_base = <void*> tail
                    parts[2].iov_len = tail_length
                    memset(&message, 0, sizeof(message))
                    message.msg_iov = parts
                    message.msg_iovlen = 3 if tail_length else 2
                    sent = sendmsg(self.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)
                if sent >= 0:
                    break
                if errno == EAGAIN:
                    sent = 0
                    break
                if errno != EINTR:
                    # Broken pipe, reset: the application is told before the loop gets to tell us.
                    self.abort()
                    self.lose()
                    return 0
            done = <size_t> sent
            if done == head_length + length + tail_length:
                return 0
        else:
            done = 0
        if done < head_length:
            self.queue(head + done, head_length - done)
            done = 0
        else:
            done -= head_length
        if length:
            if done < length:
                self.queue_rest(owner, done)
                done = 0
            else:
                done -= length
            if done < tail_length:
                self.queue(tail + done, tail_length - done)
        return 0

    cdef bint hold(self, const char* head, size_t head_length, const char* body, size_t length, const char* tail,
                   size_t tail_length) noexcept:
        """Keep output for the end of the batch; False if it has to be sent now."""
        return False

    cdef void queue(self, const char* data, size_t length) noexcept:
        """Leave bytes to the transport."""
        try:
            self.transport.write(PyBytes_FromStringAndSize(data, length))
            self.note_backlog(length)
        except BaseException as error:
            self.broken(error)

    cdef void queue_rest(self, object owner, size_t done) noexcept:
        """The same for what stands in a bytes object behind the first `done`."""
        try:
            self.transport.write(owner if done == 0 else memoryview(owner)[done:])
            self.note_backlog(PyBytes_GET_SIZE(owner) - done)
        except BaseException as error:
            self.broken(error)

    cdef size_t waiting(self) noexcept:
        """Bytes that the transport holds."""
        return self.transport.get_write_buffer_size()

    cdef int socket(self):
        """The descriptor, also while what is left goes out before the close; -1: there is none."""
        sock = self.transport.get_extra_info("socket") if self.fd < 0 else None
        return self.fd if sock is None else sock.fileno()

    cdef void note_backlog(self, size_t length) noexcept:
        """So many bytes have been added to what waits. Until that is empty again, everything has to go through it, in order."""
        cdef size_t size = self.waiting()
        if size == 0:
            self.backlog = NOTHING_WAITS
        elif self.backlog:
            self.backlog_size += <uint32_t> length
            if length > FRAMING and size - length > max(self.owner.write_high_water, <size_t> USUAL_HIGH_WATER):
                self.backlog = PILES_UP
        else:
            self.backlog = WAITS
            self.backlog_size = <uint32_t> size
            self.unsent = 0xFFFFFFFF
            self.stalled = self.owner.service.now

    cdef void watch_backlog(self) noexcept:
        """Called by the sweep: a client that takes nothing for too long is dropped.

        What it takes shows in what waits here, which is less than what waited and has been added, or in what the system
        holds. The system takes more from us only when much of what it holds has gone, so that a slow client's progress
        shows there alone for minutes; and what is added is no progress."""
        cdef size_t size = self.waiting()
        cdef uint32_t unsent
        if size == 0:
            self.backlog = False
            return
        try:
            unsent = system_unsent(self.socket())
        except Exception as error:
            self.broken(error)
            return
        if <uint32_t> size != self.backlog_size or unsent < self.unsent:
            self.stalled = self.owner.service.now
            self.backlog = WAITS
        elif self.owner.stall and self.owner.service.now - self.stalled > self.owner.stall \
                and self.owner.service.now - self.stalled > self.patience():
            self.abort()
            return
        self.backlog_size = <uint32_t> size
        self.unsent = unsent

    cdef uint32_t patience(self) noexcept:
        """Ticks that a client which has taken something before may take nothing.

        A client that keeps to a rate reads much at once and then nothing, until its average is down to that (curl: 4 MB, and
        100 s of nothing at 40 kB/s); what it has acknowledged since it connected tells it from one that never reads. Not
        where the application goes on sending instead of waiting: what waits would grow all that time."""
        cdef uint32_t stall = self.owner.stall
        cdef double earned
        if self.backlog == PILES_UP:
            return stall
        try:
            earned = (<double> system_acknowledged(self.socket()) - UNREAD) / (SLOWEST * self.owner.tick)
        except Exception:
            return stall
        return <uint32_t> max(<double> stall, min(earned, <double> stall * PATIENCE))

    cdef void broken(self, object error) noexcept:
        """The transport did not do as it was told: nothing more can be said to this client."""
        self.owner.application.log().debug("connection broken: %r", error)
        self.abort()
        self.lose()

    cdef void send_soon(self) noexcept:
        cdef Connections owner = self.owner
        owner.outgoing.append(self)
        if len(owner.outgoing) == 1:
            try:
                owner.loop.call_soon(owner.flush)
            except BaseException:       # too deep a recursion of the application's, or no memory: sweep() flushes
                pass

    cdef void resume_soon(self) noexcept:
        try:
            self.owner.loop.call_soon(self.resume_now)
        except BaseException:           # the same: sweep() resumes
            self.owner.missed = True

    def resume_now(self):
        cdef Wire wire = self.wire
        if not self.ended:
            wire.resume()

    cdef void switch(self, Wire wire) noexcept:
        self.wire = wire

    cdef void pause(self, bint reading) noexcept:
        if self.ended:
            return
        try:
            if reading:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()
        except Exception as error:
            self.broken(error)

    cdef void deadline(self, uint32_t ticks) noexcept:
        self.due = self.owner.service.now + ticks if ticks else 0

    cdef void idle(self) noexcept:
        cdef Connections owner = self.owner
        cdef uint32_t ticks = owner.service.ticks.linger if owner.service.draining else owner.service.ticks.keep_alive
        self.due = owner.service.now + ticks if ticks else 0
        # Those that were idle longest come first, to be dropped first; in which half second is exact enough.
        if self.placed != owner.service.now and self.linked:
            owner.unlink(self)
            owner.link(self, True)

    cdef void close(self) noexcept:
        self.due = 0
        self.fd = -1
        if not self.ended:
            self.ended = True
            self.transport.close()

    cdef void shut(self) noexcept:
        if self.ended:
            return
        try:
            if self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()
        except Exception as error:      # asyncio's loop shuts down at once: the client may have reset it just now
            self.broken(error)

    cdef void abort(self) noexcept:
        """Drop the connection with a reset, so that the client cannot take what it has for the whole."""
        self.due = 0
        if self.transport is None:
            return
        if self.fd >= 0:
            reset_on_close(self.fd)
            self.fd = -1
        self.ended = True
        self.transport.abort()

    cdef object client(self):
        if not self.peer_known and self.transport is not None:
            self.peer_known = True
            peer = self.transport.get_extra_info("peername")
            if isinstance(peer, tuple):
                self.peer = (unmapped(peer[0]), peer[1])
        return self.peer

    cdef void introduce(self, object client) noexcept:
        self.peer = client
        self.peer_known = True


cdef class Buffered(Connection):
    """A connection that is read into memory of ours."""

    def get_buffer(self, hint):
        cdef Connections owner = self.owner
        cdef Window window = owner.window
        window.length = 1
        window.start = NULL if self.wire is None else self.wire.tail(&window.length)
        if window.start is NULL:
            if window.length == 0:
                self.abort()            # there is no memory to read into
            window.start = read_room(owner.buffer)
            window.length = READ_BUFFER
            if window.start is NULL:
                self.abort()
                window.length = 0
        return window

    def buffer_updated(self, size_t length):
        cdef Connections owner = self.owner
        cdef Wire wire = self.wire
        cdef char* memory
        if self.ended:
            return
        if owner.window.start == owner.buffer.memory:
            memory = begin_use(owner.buffer)
            wire.feed(memory, length, None)
            end_use(owner.buffer, memory)
        else:
            wire.filled(length)


# asyncio looks at the classes to know how a protocol wants to be read.

class StreamConnection(Connection, asyncio.Protocol):
    __slots__ = ()


class BufferedConnection(Buffered, asyncio.BufferedProtocol):
    __slots__ = ()
