"""Sockets on an epoll set of our own: who is ready, accepting, and output that waits until a socket takes it.

The set is one descriptor, which the event loop watches as it would a socket's; the callback asks the set once and
tells whoever is ready. A Watch stands in the memory of the one that watches, and the kernel keeps its address:

    unwatched --watch()--> watched --change()--> watched --forget()--> unwatched

After forget() nobody is told any more, not even of what the kernel has reported already: whoever closes a descriptor
forgets it first, and then the memory may be freed and the descriptor's number come back at once. The set exists while
something is watched. What is watched with EPOLLET is reported when it begins to be ready, and again after remind() if it
still is then; anything else is reported in each turn of the loop until it has been taken.
"""

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

cdef extern from *:
    """
    #ifdef __linux__
    #include <sys/epoll.h>
    #else
    /* It compiles everywhere, and AVAILABLE says where it works. */
    enum { EPOLLIN = 1, EPOLLPRI = 2, EPOLLOUT = 4, EPOLLERR = 8, EPOLLHUP = 16, EPOLLET = 32, EPOLLRDHUP = 64 };
    struct epoll_event { uint32_t events; union { void *ptr; } data; };
    #endif
    """
    enum:
        EPOLLIN
        EPOLLPRI
        EPOLLOUT
        EPOLLERR
        EPOLLHUP
        EPOLLRDHUP
        EPOLLET
    union epoll_data:
        void* ptr
    struct epoll_event:
        uint32_t events
        epoll_data data

cdef enum:
    BATCH = 256                 # events taken at once; what is left comes in the next turn of the loop
    ACCEPTS = 32                # connections accepted at once: other processes may listen on the same socket
    HOST = 64                   # bytes for an address as text


cdef struct Watch:
    void (*ready)(void* subject, uint32_t events) noexcept
    void* subject               # whom it is about; not owned
    int fd
    uint32_t events             # that are looked for; errors always are
    bint watched                # it is in the set


cdef class Poll:
    cdef readonly object loop
    cdef set acceptors          # that are open
    cdef bint starved           # one of them has found no descriptor, and waits
    cdef int fd                 # of the set; -1: there is none
    cdef uint32_t watches
    cdef int at                 # in the batch: the next one to be told
    cdef int count              # in the batch; 0: none is being worked on
    cdef list told              # addresses of the watches whose ready() is under way further out, or None
    cdef epoll_event batch[BATCH]

    cdef int watch(self, Watch* watch, uint32_t events) except -1
    cdef void change(self, Watch* watch, uint32_t events) noexcept
    cdef void remind(self, Watch* watch) noexcept
    cdef void forget(self, Watch* watch) noexcept
    cdef void drop_set(self) noexcept
    cdef void go_on(self) noexcept
    # For those who inherit:
    cdef void begun(self) noexcept              # a batch is about to be worked on
    cdef void advanced(self) noexcept           # one of it is done
    cdef void settle(self) noexcept             # all of it
    cdef object interrupted(self)               # the event loop runs inside of a ready(): nothing waits for the batch's end
    cdef void resumed(self, object state) noexcept      # that is over; state: what interrupted() returned


cdef struct Piece:
    # The rest of something that was to be sent.
    Piece* next
    PyObject* owner             # the bytes object it stands in, or NULL: it stands behind this structure
    const char* data
    size_t length


cdef struct Queue:
    Piece* first
    Piece* last
    size_t size                 # bytes


cdef enum Sent:
    ALL
    PART                        # the socket takes no more for now
    BROKEN                      # the connection is gone


cdef int put_copy(Queue** queue, const char* data, size_t length) except -1
cdef int put_rest(Queue** queue, bytes owner, size_t offset) except -1
cdef Sent send_queue(Queue* queue, int fd) noexcept
cdef void drop_queue(Queue** queue) noexcept


cdef str local_host(int fd)                 # the address of ours that a connection has come to, or None


cdef class Acceptor:
    """Accepts the connections of a listening socket, which stays somebody else's."""
    cdef readonly Poll poll
    cdef Watch watch
    cdef double told            # when the log was told last that there is no descriptor, or no memory, for another one
    cdef object timer           # of the pause
    cdef int declined           # turns for which those who wait have been left to others
    cdef int insisted           # how often in a row somebody was taken whom others should have taken
    cdef char last[HOST]        # the address of the last peer
    cdef str host               # the same as an object, which the next one from there shares

    cdef void accept(self) noexcept
    cdef void insist(self) noexcept
    cdef int take(self, int most) noexcept
    cdef void pause(self, int code) noexcept
    cdef object peer(self, const char* host, int port)
    cdef void rest(self, double seconds)
    cdef void tell(self, int code) noexcept
    # For those who inherit:
    cdef int wanted(self) noexcept                              # connections to be accepted now; 0: others should
    cdef void accepted(self, int fd, object peer) noexcept      # peer: (host, port) or None; close the descriptor
    cdef void refused(self, int code) noexcept                  # tell the log of this error
