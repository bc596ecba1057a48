# cython: binding=False
# One request and its response. See exchange.pxd.

import sys
from asyncio import CancelledError

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.bytes cimport PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.string cimport memcpy

from .journal cimport Records
from .finished cimport DONE, Failed, thrown
from .message cimport Message, plain_headers, read_headers, read_message, read_unusual, reads
from .scope cimport Scope, Scopes

from ..calling import make_receive
from ..errors import ClientDisconnected, MessageError

cdef extern from *:
    """
    /* Up to 3.11 `await` asks an awaitable's am_send slot, which returns a value without a StopIteration around it.
       Cython has no way to fill that slot of a class. */
    typedef PySendResult (*send_function)(PyObject *, PyObject *, PyObject **);

    static void set_am_send(PyObject *type, send_function function)
    {
    #if PY_VERSION_HEX < 0x030C0000
        ((PyTypeObject *)type)->tp_as_async->am_send = function;
    #endif
    }
    """
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT
    ctypedef PySendResult (*send_function)(PyObject*, PyObject*, PyObject**) except PYGEN_ERROR
    void set_am_send(object type, send_function function)

cdef extern from "Python.h":
    void Py_INCREF(object o)
    long PyLong_AsLongAndOverflow(object o, int* overflow) except? -1
    Py_ssize_t Py_REFCNT(PyObject* o)

# From 3.12 on the interpreter runs a Python coroutine inline, and wraps what other awaitables return in a
# StopIteration: there receive() is a Python function, elsewhere it is a method that returns an awaitable.
cdef bint PYTHON_RECEIVE = sys.version_info >= (3, 12)

cdef enum:
    POOL = 128                  # idle exchanges kept: as many as are likely to run at once


cdef class Responder(Wire):

    cdef int write_head(self, int status, object headers, bint bodiless, int64_t* length) except -1:
        raise NotImplementedError

    cdef int write_body(self, bytes body, bint last) except -1:
        raise NotImplementedError

    cdef void body_wanted(self) noexcept:
        pass

    cdef void body_taken(self) noexcept:
        pass

    cdef void completed(self) noexcept:
        pass

    cdef size_t failed(self, bint started) noexcept:
        return 0


cdef class Application:

    def __init__(self, app, Drive drive, *, state, str root_path="", access=None, error=None, on_limit=None,
                 size_t limit=0, str version="3.0"):
        self.app = app
        self.drive = drive
        self.scopes = Scopes(state, root_path, version)
        self.journal = access if access is None or isinstance(access, Journal) else Records(access)
        self.error = error
        self.on_limit = on_limit
        self.limit = limit

    cdef Exchange begin(self, Responder wire, dict template, object client, object method, object path, object raw_path,
                        object query, list headers, bint old, bint bodiless):
        """An exchange for a request whose head is here; `old` is HTTP/1.0."""
        cdef Exchange exchange
        if self.idle is not None:
            exchange = <Exchange> self.idle
            self.idle = exchange.next
            exchange.next = None
            self.idles -= 1
        else:
            exchange = Exchange.__new__(Exchange, self)
        exchange.wire = wire
        exchange.request = ARRIVING
        exchange.response = AWAITED
        exchange.gone = exchange.ended = exchange.stopping = exchange.knows = False
        exchange.bodiless = bodiless
        exchange.length = -1
        exchange.size = exchange.status = 0
        exchange.scope = exchange.given.begin(template, client, method, path, raw_path, query, headers, old)
        if self.journal is not None:
            exchange.line = self.journal.begin(client, method, raw_path, query, "1.0" if old else "1.1", headers)
        return exchange

    cdef object log(self):
        """The error log. Who writes to it, or formats its records, may look at the current task."""
        self.drive.end_lingering()
        return self.error

    cdef void complain(self, str text, tuple arguments, object error) noexcept:
        """Log an error of the application's. What handles the record may be its code, too, and raise: everything else
        has to be done before."""
        self.log().error(text, *arguments, exc_info=error)

    cdef int count(self) except -1:
        """A response is complete."""
        self.total += 1
        if self.total == self.limit and self.on_limit is not None:
            self.on_limit()
        return 0

    cdef list waiting(self):
        """The exchanges whose application has waited and not ended."""
        cdef Conversation exchange = self.first
        cdef list found = []
        while exchange is not None:
            found.append(exchange)
            exchange = exchange.next
        return found

    def tasks(self) -> set:
        """The tasks of the calls that have not ended: those that have waited, and the one that is running now."""
        found = {self.drive.running}
        for exchange in self.waiting():
            found.add((<Conversation> exchange).task)
        found.discard(None)
        return found

    def disconnect(self, bint endless=False):
        """Tell every application that still runs that its client is to be thought of as gone: those that listen by
        http.disconnect, those that only send by the next send() that is not the last. ``endless``: only those that
        have begun a response without a length."""
        for exchange in self.waiting():
            if not endless or (<Conversation> exchange).endless():
                (<Conversation> exchange).stopping = True
                (<Conversation> exchange).disconnect()

    def cancel(self, message=None, bint endless=False) -> int:
        """Cancel what still runs, or only what disconnect() with ``endless`` has told; returns how many."""
        self.cancelling = self.cancelling or not endless
        return self.cancel_some([one for one in self.waiting() if not endless or (<Conversation> one).stopping], message)

    def cancel_abandoned(self, message=None) -> int:
        """Cancel the calls whose client has gone and that do not listen, each of them once; returns how many."""
        return self.cancel_some([one for one in self.waiting() if (<Conversation> one).abandoned()], message)

    cdef int cancel_some(self, list some, object message) except -1:
        cdef Conversation one
        cdef int cancelled = 0
        for one in some:
            one.stopping = True
            if one.task is not None:
                one.task.cancel(message)
                cancelled += 1
        return cancelled


cdef class Conversation(Call):

    def __cinit__(self, Application application):
        self.application = application
        self.send_call = self.send
        self.receive_call = make_receive(self.next_message, self.next_change) if PYTHON_RECEIVE else self.receive

    # From the wire.

    cdef void run(self) noexcept:
        """Call the application. From here to end() it counts as active."""
        self.application.active += 1
        self.application.drive.start(self, self.application.app, self.scope, self.receive_call, self.send_call)
        if not self.ended:
            self.waits = True
            self.next = self.application.first
            if self.next is not None:
                self.next.previous = self
            self.application.first = self
        elif self.wire is None:
            self.recycle(1)

    cdef void abandon(self) noexcept:
        """The request is refused: the application is not called."""
        self.ended = True
        self.recycle(1)

    cdef void disconnect(self) noexcept:
        """The client will not read the response, or is to be thought of so."""
        self.gone = True
        self.wake(False)

    cdef bint endless(self) noexcept:
        """Whether the response has begun, and may go on for ever."""
        return False

    cdef bint abandoned(self) noexcept:
        """Whether the client has gone, and the application has not asked, nor found out by sending."""
        return False

    cdef void lost(self, int status, size_t size) noexcept:
        """The connection is gone, or the wire has answered itself: what the log says if nothing was answered before."""
        self.wire = None
        if self.response < COMPLETE:
            self.response = LOST
        self.gone = True
        self.wake(False)
        if self.line is not None:
            if self.status == 0:
                self.size = size
                self.answered(status)
            self.account()

    cdef void wake(self, bint now) noexcept:
        """Let those who wait look again. now: see Wait.complete()."""
        waiters = self.waiters
        if waiters is None:
            return
        self.waiters = None
        if now:
            self.application.drive.end_lingering()
        if type(waiters) is list:
            for wait in <list> waiters:
                (<Wait> wait).complete(now)
        else:
            (<Wait> waiters).complete(now)

    # From the drive.

    cdef void awake(self) noexcept:
        self.application.drive.resume(self)

    cdef void enter(self) noexcept:
        if self.wire is not None:
            self.corked = self.wire
            self.wire.cork()

    cdef void leave(self) noexcept:
        # Not self.wire: the response may have become complete in this step.
        cdef Wire wire = self.corked
        if wire is not None:
            self.corked = None
            wire.uncork()
        if self.ended and self.wire is None:
            self.recycle(1)

    cdef void fail(self, bint started) noexcept:
        """The application has ended without a complete response."""
        cdef Responder wire = <Responder> self.wire
        self.wire = None
        self.response = LOST
        self.disconnect()
        self.size += wire.failed(started)
        if not started:
            self.application.count()
        if self.line is not None:
            if self.status == 0:
                self.answered(CLIENT_GONE if started else 500)
            self.account()

    cdef bint is_cancelled(self, object error) noexcept:
        """Whether it has ended because the server cancelled it."""
        return (self.application.cancelling or self.stopping) and isinstance(error, CancelledError)

    cdef void end(self) noexcept:
        """The application has ended, one way or the other."""
        if self.ended:
            return
        self.ended = True
        self.application.active -= 1
        if self.waits:
            self.waits = False
            if self.previous is None:
                self.application.first = self.next
            else:
                self.previous.next = self.next
            if self.next is not None:
                self.next.previous = self.previous
            self.previous = self.next = None

    cdef void recycle(self, Py_ssize_t references) noexcept:
        """Serve again, if that is possible: the application has ended, and the wire has no need of it any more."""
        pass

    # receive()

    def receive(self):
        """The ASGI receive callable, where it is not the Python function around next_message()."""
        cdef Receive awaitable = self.spare
        # The last one serves again when nobody holds it: ours, and the local one, are the only references.
        if awaitable is None or Py_REFCNT(<PyObject*> awaitable) != 2:
            awaitable = self.spare = Receive.__new__(Receive)
        awaitable.exchange = self
        return awaitable

    def next_message(self):
        """message(), where receive() is written in Python."""
        return self.message()

    def next_change(self):
        """A future that is done when there may be another message."""
        return self.wait()

    cdef Wait wait(self):
        """A future that the next wake() completes."""
        cdef Wait wait = self.rested
        # The last one serves again when nobody holds it: ours, and the local one, are the only references.
        if wait is None or Py_REFCNT(<PyObject*> wait) != 2:
            wait = self.rested = Wait.__new__(Wait)
        else:
            wait.finished = wait.dropped = wait._asyncio_future_blocking = False
            wait.callbacks = None
        if self.waiters is None or (type(self.waiters) is not list and (<Wait> self.waiters).finished):
            self.waiters = wait
        elif type(self.waiters) is list:
            self.waiters = [other for other in self.waiters if not (<Wait> other).finished]
            self.waiters.append(wait)
        else:
            self.waiters = [self.waiters, wait]
        return wait

    cdef object message(self):
        """The message that receive() returns now, or None if it has to wait."""
        raise NotImplementedError

    # send()

    def send(self, message):
        """The ASGI send callable. What it does, it does when it is called; errors are raised where it is awaited."""
        return self.sent(message)

    cdef object sent(self, object message):
        cdef Message parts
        if self.sending:
            # What is in the message (an iterable of headers), or a finalizer, sends.
            return Failed.__new__(Failed, MessageError("send() inside of another send() of the same request"))
        self.sending = True
        try:
            if not read_message(message, &parts):
                message = read_unusual(message, &parts)
            self.process(<dict> message, &parts)
        except BaseException as error:
            self.sending = False
            return Failed.__new__(Failed, error)
        self.sending = False
        if self.wire is None or self.wire.writable:
            return DONE
        drain = Drain.__new__(Drain)
        (<Drain> drain).exchange = self
        return drain

    cdef int start_response(self, dict message, Message* parts) except -1:
        cdef PyObject* entry = parts.status
        cdef int overflow = 0
        cdef long status
        if entry is NULL:
            raise MessageError(f"'{message['type']}': 'status' is missing")
        if not isinstance(<object> entry, int):
            raise MessageError(f"'{message['type']}': 'status' must be an int, not {type(<object> entry).__name__}")
        status = PyLong_AsLongAndOverflow(<object> entry, &overflow)
        if overflow or not 200 <= status <= 599:
            raise MessageError(f"'{message['type']}': 'status' must be from 200 to 599, not {<object> entry}")
        self.bodiless = self.bodiless or status == 204 or status == 304
        given = () if parts.headers is NULL else <object> parts.headers
        if self.line is not None:
            given = self.application.journal.readable(given)
        if not plain_headers(given):
            given = read_headers(given, message["type"])
        if self.wire is None or self.response == LOST:
            self.check_wire()           # after what may be code of the application's
        (<Responder> self.wire).write_head(<int> status, given, self.bodiless, &self.length)
        self.response = STARTED
        if self.line is not None:
            self.line = self.application.journal.answer(self.line, given)
            self.answered(<int> status)
        return 0

    cdef int check_wire(self) except -1:
        if self.wire is None or self.response == LOST:
            raise ClientDisconnected("the client has gone")
        return 0

    cdef void answered(self, int status) noexcept:
        """There is a status; the first part of what the access log waits for. Only while there is a line."""
        self.status = status
        if not self.application.journal.late:
            self.account()

    cdef void account(self) noexcept:
        """The response is, or what there will be of it: one line, once."""
        cdef tuple line = self.line
        if line is not None:
            self.line = None
            self.application.journal.close(line, self.status, self.size)

    cdef int send_body(self, dict message, Message* parts) except -1:
        cdef PyObject* entry = parts.body
        cdef PyObject* more = parts.more_body
        cdef bint last = True
        cdef Responder wire = <Responder> self.wire
        cdef bytes body
        cdef Py_ssize_t size
        if more is not NULL:
            if <object> more is True:
                last = False
                if self.stopping:
                    raise ClientDisconnected("the server is stopping")
            elif <object> more is not False:
                raise MessageError(
                    f"'{message['type']}': 'more_body' must be a bool, not {type(<object> more).__name__}"
                )
        if entry is NULL:
            body = b""
        elif type(<object> entry) is bytes:
            body = <bytes> entry
        elif isinstance(<object> entry, (bytes, bytearray, memoryview)):
            body = bytes(<object> entry)
            self.check_wire()           # that may have been code of the application's
        else:
            raise MessageError(f"'{message['type']}': 'body' must be bytes, not {type(<object> entry).__name__}")
        size = PyBytes_GET_SIZE(body)
        if self.bodiless:
            body = b""
        elif self.length >= 0:
            if size > self.length:
                raise MessageError("Response content longer than Content-Length")
            if last and size < self.length:
                raise MessageError("Response content shorter than Content-Length")
            self.length -= size
        wire.write_body(body, last)
        self.size += PyBytes_GET_SIZE(body)
        if last:
            self.response = COMPLETE
            self.wire = None
            wire.completed()
            self.application.count()
            self.wake(False)
            if self.line is not None:
                self.account()
        return 0

    cdef int process(self, dict message, Message* parts) except -1:
        """What send() does with a message of this type; raises MessageError when it breaks a rule."""
        raise NotImplementedError


cdef class Exchange(Conversation):

    def __cinit__(self, Application application):
        self.given = Scope.__new__(Scope, application.scopes)

    # From the wire.

    cdef int feed(self, const char* data, size_t length, bytes source) except -1:
        """Body bytes, in the wire's memory; if they are all of `source`, that is taken instead of a copy."""
        cdef Py_ssize_t size
        if self.body is None:
            if source is not None and <size_t> PyBytes_GET_SIZE(source) == length:
                self.body = source
            else:
                self.body = PyBytes_FromStringAndSize(data, length)
        else:
            if self.more is None:
                self.more = bytearray()
            size = PyByteArray_GET_SIZE(self.more)
            PyByteArray_Resize(self.more, size + length)
            memcpy(PyByteArray_AS_STRING(self.more) + size, data, length)
        self.buffered += length
        return 0

    cdef bint endless(self) noexcept:
        return self.response == STARTED and self.length < 0

    cdef bint abandoned(self) noexcept:
        return self.gone and self.response != COMPLETE and not self.knows and not self.stopping

    cdef void arrived(self, bint all) noexcept:
        """Body bytes have been fed, or (`all`) its end has come."""
        if all:
            self.request = ARRIVED
        if self.waiters is not None:
            self.wake(False)

    # From the drive.

    cdef void returned(self, object result) noexcept:
        cdef int missing = 0
        if self.gone and self.response < COMPLETE:
            # It was told that the client has gone, and believed it.
            self.fail(True)
        elif self.response == AWAITED:
            missing = 1
            self.fail(False)
        elif self.response == STARTED:
            missing = 2
            self.fail(True)
        self.end()
        if result is not None:
            self.application.complain("ASGI callable should return None, but returned '%s'.", (result,), None)
        if missing:
            self.application.complain(
                f"ASGI callable returned without {'starting' if missing == 1 else 'completing'} response.", (), None
            )

    cdef void raised(self, object error) noexcept:
        quiet = ((self.response == LOST or self.stopping) and is_disconnect(error)) or self.is_cancelled(error)
        if self.response < COMPLETE:
            self.fail(self.response == STARTED)
        self.end()
        if not quiet:
            self.application.complain("Exception in ASGI application\n", (), error)

    cdef void recycle(self, Py_ssize_t references) noexcept:
        """Serve again, if the application kept nothing: neither callable, nor what receive() or send() returned.

        Ours are: of each callable `references`, and of the exchange itself the callables' (receive() in Python has two
        methods inside), the last awaitable's and the caller's."""
        if Py_REFCNT(<PyObject*> self.send_call) != references \
                or Py_REFCNT(<PyObject*> self.receive_call) != references \
                or Py_REFCNT(<PyObject*> self) > 3 + PYTHON_RECEIVE + (self.spare is not None) \
                or (self.spare is not None and Py_REFCNT(<PyObject*> self.spare) != 1) \
                or self.waiters is not None or self.application.idles >= POOL:
            # The callables hold the exchange, too: it would only be freed by the collector.
            self.send_call = self.receive_call = self.spare = None
            return
        self.scope = None
        self.given.end()
        self.body = None
        self.more = None
        self.buffered = 0
        self.next = self.application.idle
        self.application.idle = self
        self.application.idles += 1

    # receive() and send()

    cdef object message(self):
        if self.response == COMPLETE:
            return {"type": "http.disconnect"}
        if self.request == ARRIVED:
            self.request = DELIVERED
            if self.buffered == 0:
                return {"type": "http.request", "body": b"", "more_body": False}
            return {"type": "http.request", "body": self.take(), "more_body": False}
        if self.gone:
            self.knows = True
            return {"type": "http.disconnect"}
        if self.request == ARRIVING:
            if self.buffered:
                body = self.take()
                (<Responder> self.wire).body_taken()
                return {"type": "http.request", "body": body, "more_body": True}
            (<Responder> self.wire).body_wanted()
        return None

    cdef bytes take(self):
        """What has arrived of the body since the last call."""
        cdef bytes body = self.body
        if self.more is not None:
            body += self.more
            self.more = None
        self.body = None
        self.buffered = 0
        return body

    cdef int process(self, dict message, Message* parts) except -1:
        if self.response == LOST:
            self.knows = True
            raise ClientDisconnected("the client has gone")
        if self.response == STARTED and reads(<object> parts.kind, b"http.response.body"):
            return self.send_body(message, parts)
        if self.response == AWAITED and reads(<object> parts.kind, b"http.response.start"):
            return self.start_response(message, parts)
        return self.unexpected(<object> parts.kind)

    cdef int unexpected(self, object kind) except -1:
        if self.response == COMPLETE:
            raise MessageError(f"Unexpected ASGI message '{kind}' sent, after response already completed.")
        expected = "http.response.start" if self.response == AWAITED else "http.response.body"
        raise MessageError(f"Expected ASGI message '{expected}', but got '{kind}'.")


def is_disconnect(error) -> bool:
    """Whether an exception is, or comes from, the ClientDisconnected that send() raised: that is not an error."""
    seen = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, ClientDisconnected):
            return True
        if isinstance(error, BaseExceptionGroup):
            return all(is_disconnect(part) for part in error.exceptions)
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


# Awaitables that wait.

cdef class Waiting:

    cdef object answer(self):
        raise NotImplementedError

    cdef bint resume(self) except -1:
        """One step. True: `result` is a future to wait for. False: it is the answer."""
        if self.pending is not None:
            wait = self.pending
            self.pending = None
            wait.result()
        answer = self.answer()
        if answer is not None:
            self.result = answer
            return False
        wait = self.exchange.wait()
        wait._asyncio_future_blocking = True
        self.pending = self.result = wait
        return True

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if self.resume():
            return self.result
        raise StopIteration(self.result)

    def send(self, value):
        return self.__next__()

    def throw(self, kind, value=None, traceback=None):
        self.pending = None
        raise thrown(kind, value)

    def close(self):
        self.pending = None


cdef class Receive(Waiting):
    """What receive() returns."""

    cdef object answer(self):
        return self.exchange.message()


cdef class Drain(Waiting):
    """What send() returns above the write high-water mark. Its answer means nothing."""

    cdef object answer(self):
        return False if self.exchange.wire is None or self.exchange.wire.writable else None

    def __next__(self):
        if self.resume():
            return self.result
        raise StopIteration


cdef PySendResult receive_am_send(PyObject* receive, PyObject* value, PyObject** result) except PYGEN_ERROR:
    waits = (<Receive> receive).resume()
    Py_INCREF((<Receive> receive).result)
    result[0] = <PyObject*> (<Receive> receive).result
    (<Receive> receive).result = None
    return PYGEN_NEXT if waits else PYGEN_RETURN


set_am_send(Receive, receive_am_send)
