# cython: binding=False
# The epoll set of an event loop. See poll.pxd.

import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.errno cimport EAGAIN, ECONNABORTED, EINTR, EPERM, EPROTO, errno
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset, strcmp, strcpy

from .system cimport send as system_send

cdef extern from *:
    """
    #include <errno.h>
    #include <sys/socket.h>
    #include <netinet/in.h>
    #include <arpa/inet.h>
    #include <unistd.h>
    #ifdef __linux__
    #include <netinet/tcp.h>
    #include <linux/filter.h>
    enum { AVAILABLE = 1 };

    /* Drop the segments that ask for a connection (SYN); those of handshakes that have begun pass. */
    static void drop_requests(int fd)
    {
        struct sock_filter program[] = {
            BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),                     /* the flags of the TCP header */
            BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 2, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, 0),
            BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
        };
        struct sock_fprog all = { sizeof program / sizeof *program, program };
        setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof all);
    }
    #else
    static void drop_requests(int fd) {}
    enum { AVAILABLE = 0, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLL_CLOEXEC, SOCK_NONBLOCK, SOCK_CLOEXEC };
    static int epoll_create1(int flags) { errno = ENOSYS; return -1; }
    static int epoll_ctl(int set, int operation, int fd, struct epoll_event *event) { errno = ENOSYS; return -1; }
    static int epoll_wait(int set, struct epoll_event *events, int count, int wait) { errno = ENOSYS; return -1; }
    static int accept4(int fd, void *address, socklen_t *length, int flags) { errno = ENOSYS; return -1; }
    #endif

    /* Accepted sockets inherit it; a unix socket does not have it. */
    static void no_delay(int fd)
    {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }

    /* An address of IPv4 is one, also where the socket listens on both families and shows it as ::ffff:1.2.3.4. */
    static const char *write_v6(const struct in6_addr *address, char *host, int room)
    {
        if (IN6_IS_ADDR_V4MAPPED(address))
            return inet_ntop(AF_INET, address->s6_addr + 12, host, room);
        return inet_ntop(AF_INET6, address, host, room);
    }

    /* Accept a connection. Its peer as text and port; port -1: none, as on a unix socket. */
    static int accept_peer(int fd, char *host, int room, int *port)
    {
        union { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; struct sockaddr_storage all; } peer;
        socklen_t length = sizeof peer;
        int accepted = accept4(fd, &peer.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        *port = -1;
        if (accepted < 0)
            return accepted;
        if (peer.any.sa_family == AF_INET && inet_ntop(AF_INET, &peer.v4.sin_addr, host, room))
            *port = ntohs(peer.v4.sin_port);
        else if (peer.any.sa_family == AF_INET6 && write_v6(&peer.v6.sin6_addr, host, room))
            *port = ntohs(peer.v6.sin6_port);
        return accepted;
    }

    static int local_address(int fd, char *host, int room)
    {
        union { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; struct sockaddr_storage all; } ours;
        socklen_t length = sizeof ours;
        if (getsockname(fd, &ours.any, &length) < 0)
            return 0;
        if (ours.any.sa_family == AF_INET)
            return inet_ntop(AF_INET, &ours.v4.sin_addr, host, room) != NULL;
        return ours.any.sa_family == AF_INET6 && write_v6(&ours.v6.sin6_addr, host, room) != NULL;
    }
    """
    int AVAILABLE
    int EPOLL_CTL_ADD
    int EPOLL_CTL_DEL
    int EPOLL_CTL_MOD
    int EPOLL_CLOEXEC
    int epoll_create1(int flags) nogil
    int epoll_ctl(int set, int operation, int fd, epoll_event* event) nogil
    int epoll_wait(int set, epoll_event* events, int count, int wait) nogil
    void no_delay(int fd) nogil
    void drop_requests(int fd) nogil
    int accept_peer(int fd, char* host, int room, int* port) nogil
    int local_address(int fd, char* host, int room) nogil
    int c_close "close" (int fd) nogil

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

cdef enum:
    PARTS = 32                  # pieces sent by one system call
    PATIENCE = 8                # turns of the loop for others to accept a connection

PAUSE = 0.1                     # seconds until a process without free descriptors tries again to accept
cdef double SILENCE = 10.0      # seconds in which the log is told once that this is so
cdef double LATER = 0.001       # seconds until one that has its share of the connections looks again

available = bool(AVAILABLE)


cdef inline void tell_next(Poll poll) noexcept:
    cdef Watch* watch = <Watch*> poll.batch[poll.at].data.ptr
    poll.at += 1
    if watch is not NULL:
        watch.ready(watch.subject, poll.batch[poll.at - 1].events)


cdef class Poll:

    def __cinit__(self):
        self.fd = -1

    def __init__(self, loop):
        self.loop = loop
        self.acceptors = set()

    def __dealloc__(self):
        # Only the descriptor: after a fork the set is the other process's, too.
        if self.fd >= 0:
            c_close(self.fd)

    cdef int watch(self, Watch* watch, uint32_t events) except -1:
        cdef epoll_event event
        if self.fd < 0:
            self.fd = epoll_create1(EPOLL_CLOEXEC)
            if self.fd < 0:
                raise OSError(errno, os.strerror(errno))
            self.loop.add_reader(self.fd, self.ready)
        event.events = events
        event.data.ptr = watch
        if epoll_ctl(self.fd, EPOLL_CTL_ADD, watch.fd, &event) < 0:
            error = OSError(errno, os.strerror(errno))
            if self.watches == 0:
                self.drop_set()
            raise error
        watch.events = events
        watch.watched = True
        self.watches += 1
        return 0

    cdef void change(self, Watch* watch, uint32_t events) noexcept:
        if events != watch.events:
            watch.events = events
            self.remind(watch)

    cdef void remind(self, Watch* watch) noexcept:
        cdef epoll_event event
        if watch.watched:
            event.events = watch.events
            event.data.ptr = watch
            epoll_ctl(self.fd, EPOLL_CTL_MOD, watch.fd, &event)

    cdef void forget(self, Watch* watch) noexcept:
        cdef epoll_event event
        cdef int i
        if not watch.watched:
            return
        watch.watched = False
        # Closing would do only while nobody else, such as a child process, has the descriptor open.
        epoll_ctl(self.fd, EPOLL_CTL_DEL, watch.fd, &event)
        for i in range(self.at, self.count):
            if self.batch[i].data.ptr == watch:
                self.batch[i].data.ptr = NULL
        self.watches -= 1
        if self.watches == 0:
            self.drop_set()

    cdef void drop_set(self) noexcept:
        self.loop.remove_reader(self.fd)
        c_close(self.fd)
        self.fd = -1

    def ready(self):
        """From the loop: something in the set is ready."""
        if self.fd < 0:
            return
        if self.count:
            self.go_on()
            return
        self.count = max(epoll_wait(self.fd, self.batch, BATCH, 0), 0)
        self.at = 0
        self.begun()
        while self.at < self.count:
            tell_next(self)
            self.advanced()
        self.count = 0
        self.settle()

    cdef void go_on(self) noexcept:
        """One of the batch runs the event loop inside of its ready(): the others are told now, since the set reports them
        only once, and then whoever is ready by now."""
        cdef void* told
        if self.count == 0:
            return
        told = self.batch[self.at - 1].data.ptr
        if self.told is None:
            self.told = []
        self.told.append(<size_t> told)
        state = self.interrupted()
        while self.at < self.count:
            tell_next(self)
        if self.fd >= 0:
            self.at = 0
            self.count = max(epoll_wait(self.fd, self.batch, BATCH, 0), 0)
            while self.at < self.count:
                tell_next(self)
        self.batch[0].data.ptr = told
        self.at = self.count = 1
        self.resumed(state)
        self.told.pop()

    cdef void begun(self) noexcept:
        pass

    cdef void advanced(self) noexcept:
        pass

    cdef void settle(self) noexcept:
        pass

    cdef object interrupted(self):
        return None

    cdef void resumed(self, object state) noexcept:
        pass


cdef int enqueue(Queue** place, Piece* piece, const char* data, size_t length) except -1:
    cdef Queue* queue = place[0]
    if queue is NULL:
        queue = place[0] = <Queue*> calloc(1, sizeof(Queue))
        if queue is NULL:
            free(piece)
            raise MemoryError()
    piece.data = data
    piece.length = length
    piece.next = NULL
    if queue.first is NULL:
        queue.first = piece
    else:
        queue.last.next = piece
    queue.last = piece
    queue.size += length
    return 0


cdef int put_copy(Queue** place, const char* data, size_t length) except -1:
    """Bytes to be sent later."""
    cdef Piece* piece = <Piece*> malloc(sizeof(Piece) + length)
    if piece is NULL:
        raise MemoryError()
    piece.owner = NULL
    memcpy(piece + 1, data, length)
    return enqueue(place, piece, <const char*> (piece + 1), length)


cdef int put_rest(Queue** place, bytes owner, size_t offset) except -1:
    """What stands in a bytes object from `offset` on; it is not copied."""
    cdef Piece* piece = <Piece*> malloc(sizeof(Piece))
    if piece is NULL:
        raise MemoryError()
    piece.owner = <PyObject*> owner
    enqueue(place, piece, PyBytes_AS_STRING(owner) + offset, PyBytes_GET_SIZE(owner) - offset)
    Py_INCREF(owner)
    return 0


cdef void drop_first(Queue* queue) noexcept:
    cdef Piece* piece = queue.first
    queue.first = piece.next
    Py_XDECREF(piece.owner)
    free(piece)


cdef Sent send_queue(Queue* queue, int fd) noexcept:
    """What waits, as far as the socket takes it."""
    cdef iovec parts[PARTS]
    cdef msghdr message
    cdef Piece* piece
    cdef ssize_t sent
    cdef size_t left, offered
    while queue.first is not NULL:
        piece = queue.first
        if piece.next is NULL:      # costs the system less than a list of one
            offered = piece.length
            sent = system_send(fd, piece.data, offered, MSG_NOSIGNAL | MSG_DONTWAIT)
        else:
            memset(&message, 0, sizeof(message))
            message.msg_iov = parts
            offered = 0
            while piece is not NULL and message.msg_iovlen < PARTS:
                parts[message.msg_iovlen].iov_base = <void*> piece.data
                parts[message.msg_iovlen].iov_len = piece.length
                offered += piece.length
                message.msg_iovlen += 1
                piece = piece.next
            sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)
        if sent < 0:
            if errno == EINTR:
                continue
            return PART if errno == EAGAIN else BROKEN
        queue.size -= <size_t> sent
        left = <size_t> sent
        while left and queue.first.length <= left:
            left -= queue.first.length
            drop_first(queue)
        if left:
            queue.first.data += left
            queue.first.length -= left
        if <size_t> sent < offered:
            return PART
    return ALL


cdef void drop_queue(Queue** place) noexcept:
    if place[0] is NULL:
        return
    while place[0].first is not NULL:
        drop_first(place[0])
    free(place[0])
    place[0] = NULL


cdef str local_host(int fd):
    cdef char host[HOST]
    return host.decode("ascii") if local_address(fd, host, HOST) else None


def deafen(int fd):
    """Let a listening TCP socket begin no further handshake. Otherwise there are always some that end between the last
    accept and the close, which resets them: their clients have been told that they are connected, and may have sent a
    request. Who asks now is not answered, asks again a second later, and is refused then."""
    drop_requests(fd)


cdef void acceptor_ready(void* acceptor, uint32_t events) noexcept:
    cdef Acceptor ready = <Acceptor> acceptor           # it lives until this is over
    ready.accept()


cdef class Acceptor:

    def __init__(self, Poll poll, int fd):
        self.poll = poll
        self.watch.ready = acceptor_ready
        self.watch.subject = <void*> self
        self.watch.fd = fd
        no_delay(fd)
        poll.watch(&self.watch, EPOLLIN)
        poll.acceptors.add(self)

    def close(self):
        """Accept no more."""
        self.poll.forget(&self.watch)
        self.poll.acceptors.discard(self)
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    cdef void accept(self) noexcept:
        cdef int most = self.wanted()
        if most:
            self.declined = 0
            self.insisted = 0
            self.take(most)
            return
        # Another process, which has been woken as well, is to take who waits. It is given some turns of our loop to do
        # so, during which nothing is missed should it become our turn; then a moment of real time.
        self.declined += 1
        if self.declined > PATIENCE:
            self.rest(LATER * (1 << min(self.insisted, 3)))

    cdef void insist(self) noexcept:
        """Whoever still waits is taken all the same: one at a time while the others may just not have had a processor,
        more when they seem to be blocked."""
        cdef int most = 1 << min(max(self.insisted - 7, 0), 5)
        self.declined = 0
        self.insisted = self.insisted + 1 if self.take(most) == most else 0

    cdef int take(self, int most) noexcept:
        """Accept so many, if they are there; how many there were."""
        cdef char host[HOST]
        cdef int port = -1
        cdef int fd, taken = 0
        while taken < most:
            fd = accept_peer(self.watch.fd, host, HOST, &port)
            if fd >= 0:
                taken += 1
                self.accepted(fd, self.peer(host, port))
                if not self.watch.watched:
                    break
            elif errno == EAGAIN:
                break
            elif errno not in (ECONNABORTED, EINTR, EPERM, EPROTO):     # those are about this one connection
                self.pause(errno)
                break
        return taken

    cdef object peer(self, const char* host, int port):
        if port < 0:
            return None
        if self.host is None or strcmp(host, self.last) != 0:
            strcpy(self.last, host)
            self.host = host.decode("ascii")
        return (self.host, port)

    cdef void pause(self, int code) noexcept:
        """Those who wait are accepted later: without a pause they would be reported again and again."""
        self.poll.starved = True
        self.rest(PAUSE)
        self.tell(code)

    cdef void tell(self, int code) noexcept:
        cdef double now = self.poll.loop.time()
        if not self.told or now - self.told > SILENCE:
            self.told = now
            self.refused(code)

    cdef void rest(self, double seconds):
        self.poll.change(&self.watch, 0)
        self.timer = self.poll.loop.call_later(seconds, self.go_on)

    def go_on(self):
        if self.timer is not None:
            self.timer.cancel()
        self.timer = None
        self.poll.change(&self.watch, EPOLLIN)
        if self.declined:
            self.insist()

    cdef int wanted(self) noexcept:
        return ACCEPTS

    cdef void accepted(self, int fd, object peer) noexcept:
        c_close(fd)

    cdef void refused(self, int code) noexcept:
        pass
