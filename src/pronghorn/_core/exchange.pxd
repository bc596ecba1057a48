"""The exchange: one request and its response as ASGI sees them, whatever the wire below.

Every rule of the ASGI specification about HTTP messages stands here: the scope, what receive() may return when, what
send() takes in which order and with which keys. The two sides have a state each:

    request     ARRIVING --all of it is here--> ARRIVED --its end was received--> DELIVERED
    response    AWAITED --http.response.start--> STARTED --last http.response.body--> COMPLETE
                AWAITED, STARTED --the connection is lost--> LOST

An exchange outlives its connection when the application works on after the response, and serves again when the
application has kept nothing of it.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from .drive cimport Call, Drive
from .future cimport Wait
from .journal cimport Journal
from .message cimport Message
from .scope cimport Scope, Scopes
from .wire cimport Wire


cdef enum Request:
    ARRIVING
    ARRIVED
    DELIVERED


cdef enum Response:
    AWAITED
    STARTED
    COMPLETE
    LOST


cdef enum:
    CLIENT_GONE = 499           # for the log: the client did not wait for an answer


cdef class Responder(Wire):
    """What an exchange needs of the wire below it. HTTP/1 implements it."""

    cdef int write_head(self, int status, object headers, bint bodiless, int64_t* length) except -1
    cdef int write_body(self, bytes body, bint last) except -1
    cdef void body_wanted(self) noexcept                # receive() waits for more of the body
    cdef void body_taken(self) noexcept                 # the application took what had arrived
    cdef void completed(self) noexcept                  # the response is complete
    cdef size_t failed(self, bint started) noexcept     # it never will be: 500, or an abort if it has started


cdef class Application:
    """What all exchanges of a server share."""
    cdef readonly object app
    cdef readonly Drive drive
    cdef readonly Scopes scopes
    cdef Journal journal                # the access log, or None
    cdef object error                   # logging.Logger
    cdef object on_limit                # called once, when `limit` responses are complete
    cdef readonly size_t limit          # 0: none
    cdef readonly size_t total          # responses completed
    cdef readonly size_t active         # calls of the application that have not ended
    cdef Conversation first             # those among them that have waited: a list
    cdef Conversation idle              # exchanges to use again: a list, too
    cdef uint32_t idles
    cdef bint cancelling                # the server cancels what still runs

    cdef Exchange begin(self, Responder wire, dict template, object client, object method, object path, object raw_path,
                        object query, list headers, bint old, bint bodiless)
    cdef object log(self)
    cdef void complain(self, str text, tuple arguments, object error) noexcept
    cdef int count(self) except -1
    cdef list waiting(self)
    cdef int cancel_some(self, list some, object message) except -1


cdef class Conversation(Call):
    """One call of the application with what it receives and sends: what requests and WebSockets have in common."""
    cdef Application application
    cdef Wire wire              # a Responder; None once the response is complete or the connection lost
    cdef Wire corked            # the wire that gathers during this step
    cdef dict scope
    cdef tuple line             # for the journal; None when it has been written, or shall not be
    cdef object receive_call    # the callables given to the application, made once for each
    cdef object send_call
    cdef Receive spare          # the awaitable of the last receive()
    cdef object waiters         # None, a Wait, or a list of them: receive() and send() calls that wait
    cdef Wait rested            # one to use again, or None
    cdef Conversation previous  # in the application's list, or in that of those to use again
    cdef Conversation next
    cdef int64_t length         # bytes that content-length still promises, -1 without one
    cdef int64_t size           # bytes of the response's body so far
    cdef uint16_t status        # of the response, 0 before there is one
    cdef uint8_t response       # Response
    cdef uint8_t bodiless       # HEAD: the response has no body
    cdef uint8_t gone           # tell the application that the client has gone
    cdef uint8_t stopping       # the server stops: a stream without end gets ClientDisconnected from send(), too
    cdef uint8_t knows          # the application has been told, or has found out by sending, that the client has gone
    cdef uint8_t ended          # the application has returned or raised
    cdef uint8_t waits          # it has waited, and is in the application's list
    cdef uint8_t sending        # send() is at work

    # From the wire.
    cdef void run(self) noexcept
    cdef void abandon(self) noexcept
    cdef void disconnect(self) noexcept
    cdef bint endless(self) noexcept
    cdef bint abandoned(self) noexcept
    cdef void lost(self, int status, size_t size) noexcept
    cdef void wake(self, bint now) noexcept

    cdef object message(self)
    cdef object sent(self, object message)
    cdef Wait wait(self)
    cdef int process(self, dict message, Message* parts) except -1
    cdef int start_response(self, dict message, Message* parts) except -1
    cdef int send_body(self, dict message, Message* parts) except -1
    cdef int check_wire(self) except -1
    cdef void fail(self, bint started) noexcept
    cdef bint is_cancelled(self, object error) noexcept
    cdef void answered(self, int status) noexcept
    cdef void account(self) noexcept
    cdef void end(self) noexcept
    cdef void recycle(self, Py_ssize_t references) noexcept


cdef class Exchange(Conversation):
    """One request and its response."""
    cdef Scope given            # where `scope` comes from
    cdef bytes body             # what has arrived of the body, or None
    cdef bytearray more         # and what arrived behind it, or None
    cdef readonly size_t buffered
    cdef uint8_t request        # Request

    # From the wire.
    cdef int feed(self, const char* data, size_t length, bytes source) except -1
    cdef void arrived(self, bint all) noexcept

    cdef bytes take(self)
    cdef int unexpected(self, object kind) except -1


cdef class Waiting:
    """An awaitable that waits on the exchange until it has an answer."""
    cdef Conversation exchange
    cdef Wait pending           # what it waits for, or None
    cdef object result          # of the last step

    cdef object answer(self)    # the value to return, or None to wait
    cdef bint resume(self) except -1


cdef class Receive(Waiting):
    pass
