# cython: binding=False
# One WebSocket as ASGI sees it. See session.pxd.


from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_SetItem
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_GET_LENGTH, PyUnicode_KIND

from .bound cimport Bound, bind
from .exchange cimport AWAITED, CLIENT_GONE, COMPLETE, LOST, STARTED
from .frames cimport ABNORMAL, INTERNAL_ERROR, NORMAL, SERVICE_RESTART, legal_close
from .journal cimport client_text, target_text
from .message cimport Message, reads
from .scope cimport Scope

from ..errors import ClientDisconnected, MessageError
from .exchange import is_disconnect

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    size_t PY_VECTORCALL_ARGUMENTS_OFFSET
    void Py_INCREF(object o)

cdef enum:
    QUEUED = 1048576            # bytes in the queue, then reading stops
    REASON = 123                # bytes of a close reason (RFC 6455 section 5.5)

# What the handshake itself says (RFC 6455 section 4.2.2), or HTTP of a response without a body.
cdef frozenset OURS = frozenset([
    b"upgrade", b"connection", b"transfer-encoding", b"sec-websocket-accept", b"sec-websocket-extensions",
    b"sec-websocket-protocol", b"sec-websocket-version",
])


cdef class Channel(Wire):

    cdef int send_message(self, bint text, const char* data, size_t length, object owner) except -1:
        raise NotImplementedError

    cdef void send_close(self, int code, bytes reason) noexcept:
        pass

    cdef void message_taken(self) noexcept:
        pass


cdef class Acceptor(Responder):

    cdef Channel accept(self, Session session, bytes subprotocol, object headers):
        raise NotImplementedError


cdef Session open_session(Application application, Acceptor wire, dict template, object client, object path,
                          object raw_path, object query, list headers, list subprotocols, uint32_t most):
    """A session for a request that asks for a WebSocket. template: the scope of the listener's HTTP requests. most:
    messages that may wait for the application."""
    cdef Session session = Session.__new__(Session, application)
    cdef Scope given = Scope.__new__(Scope, application.scopes)
    cdef dict scope = given.begin(template, client, "GET", path, raw_path, query, headers, False)
    del scope["method"]
    PyDict_SetItem(scope, "type", "websocket")
    PyDict_SetItem(scope, "scheme", "wss" if scope["scheme"] == "https" else "ws")
    PyDict_SetItem(scope, "subprotocols", subprotocols)
    scope["extensions"]["websocket.http.response"] = {}
    session.scope = scope
    session.send_call = bind(call_send, session)
    session.wire = wire
    session.response = AWAITED
    session.length = -1
    session.most = most
    if application.journal is not None:
        session.line = application.journal.begin(client, "GET", raw_path, query, "1.1", headers)
    return session


cdef PyObject* call_send(PyObject* bound, PyObject* const* arguments, size_t count, PyObject* names) except NULL:
    if count & ~PY_VECTORCALL_ARGUMENTS_OFFSET != 1 or names is not NULL:
        raise TypeError("send() takes one argument, the message")
    answer = (<Session> (<Bound> bound).owner).sent(<object> arguments[0])
    Py_INCREF(answer)
    return <PyObject*> answer


cdef size_t memory_of(object item) noexcept:
    """Bytes that the content of a message takes."""
    if type(item) is str:
        return PyUnicode_GET_LENGTH(item) * PyUnicode_KIND(item)
    return PyBytes_GET_SIZE(item)


cdef class Session(Conversation):

    # From the wire.

    cdef int put(self, object item) except -1:
        """A message has arrived."""
        if self.ended:
            return 0
        if self.queue is None:
            self.queue = []
        self.queue.append(item)
        self.queued += memory_of(item)
        return 0

    cdef bint full(self) noexcept:
        if self.queue is None or self.ended:
            return False
        return self.queued >= QUEUED or PyList_GET_SIZE(self.queue) - self.taken >= self.most

    cdef bint news(self) noexcept:
        return self.waiters is not None and (self.queue is not None or self.code != 0)

    cdef void over(self, int code, object reason) noexcept:
        """There will be no further message: `code` and `reason` are what the application is told."""
        if not self.code:
            self.code = code
            self.reason = reason
        self.gone = True
        if self.phase == ASKED or self.phase == OPEN:
            self.phase = OVER

    cdef void disconnect(self) noexcept:
        """The client is to be thought of as gone: it shut down its side before it had an answer, or the server stops
        and an open session has been told already."""
        if self.phase == ASKED or self.phase == DENIED:
            self.over(SERVICE_RESTART if self.stopping else ABNORMAL, "")
            self.wake(False)

    cdef bint endless(self) noexcept:
        return self.phase == OPEN or self.phase == CLOSING or self.phase == OVER

    cdef bint abandoned(self) noexcept:
        # Not those that the stop itself has closed: what is under way there may be finished.
        return self.phase == OVER and self.code != SERVICE_RESTART and not self.told and not self.knows \
            and not self.stopping

    cdef void lost(self, int status, size_t size) noexcept:
        self.over(ABNORMAL, "")
        Conversation.lost(self, status, size)

    # From the drive.

    cdef void returned(self, object result) noexcept:
        cdef str missing = None
        if self.phase == OPEN:
            self.close(NORMAL, b"")
        elif self.wire is not None and self.response == AWAITED:
            missing = None if self.gone else "accepting or closing the WebSocket"
            self.fail(False)
        elif self.wire is not None and self.response == STARTED:
            missing = "completing response"
            self.fail(True)
        self.end()
        if result is not None:
            self.application.complain("ASGI callable should return None, but returned '%s'.", (result,), None)
        if missing is not None:
            self.application.complain(f"ASGI callable returned without {missing}.", (), None)

    cdef void raised(self, object error) noexcept:
        quiet = (self.gone and is_disconnect(error)) or self.is_cancelled(error)
        if self.phase == OPEN:
            self.close(INTERNAL_ERROR, b"")
        elif self.wire is not None and self.response < COMPLETE:
            self.fail(self.response == STARTED)
        self.end()
        if not quiet:
            self.application.complain("Exception in ASGI application\n", (), error)

    cdef void end(self) noexcept:
        Conversation.end(self)
        self.recycle(0)

    cdef void recycle(self, Py_ssize_t references) noexcept:
        self.queue = None
        # The callables hold the session, too: it would only be freed by the collector.
        self.send_call = self.receive_call = self.spare = None

    # receive()

    cdef object message(self):
        if not self.asked:
            self.asked = True
            return {"type": "websocket.connect"}
        if self.queue is not None:
            return self.take_message()
        if not self.code:
            return None
        if self.told:
            raise ClientDisconnected("receive() after websocket.disconnect")
        self.told = True
        return {"type": "websocket.disconnect", "code": self.code, "reason": self.reason}

    cdef dict take_message(self):
        cdef bint was_full = self.full()
        item = self.queue[self.taken]
        if self.taken + 1 == <size_t> PyList_GET_SIZE(self.queue):
            self.queue = None
            self.taken = self.queued = 0
        else:
            self.queue[self.taken] = None
            self.taken += 1
            self.queued -= memory_of(item)
            if self.taken >= self.most:         # a queue that never becomes empty must not grow, either
                del self.queue[:self.taken]
                self.taken = 0
        if was_full and self.wire is not None and not self.full():
            (<Channel> self.wire).message_taken()
        if type(item) is str:
            return {"type": "websocket.receive", "text": item}
        return {"type": "websocket.receive", "bytes": item}

    # send()

    cdef int process(self, dict message, Message* parts) except -1:
        cdef object kind = <object> parts.kind
        if self.phase == OPEN:
            if reads(kind, b"websocket.send"):
                return self.send_message(parts)
            if reads(kind, b"websocket.close"):
                return self.send_close(message)
        elif self.phase == ASKED:
            if reads(kind, b"websocket.accept"):
                return self.accept(message)
            if reads(kind, b"websocket.close"):
                return self.deny()
            if reads(kind, b"websocket.http.response.start"):
                self.start_response(message, parts)
                self.phase = DENIED
                return 0
        elif self.phase == DENIED and self.response == STARTED and reads(kind, b"websocket.http.response.body"):
            self.send_body(message, parts)
            if self.response == COMPLETE:       # from now on receive() says so
                self.over(ABNORMAL, "")
                self.wake(False)
            return 0
        return self.refuse(kind)

    cdef int refuse(self, object kind) except -1:
        """The message does not fit the phase."""
        if self.phase == CLOSING:
            raise MessageError(f"Unexpected ASGI message '{kind}', after sending 'websocket.close'.")
        if self.phase == DENIED and self.response == COMPLETE:
            raise MessageError(f"Unexpected ASGI message '{kind}', after the response was completed.")
        if self.phase == OVER or self.response == LOST:
            self.knows = True
            raise ClientDisconnected("the client has gone")
        if self.phase == OPEN:
            expected = "'websocket.send' or 'websocket.close'"
        elif self.phase == DENIED:
            expected = "'websocket.http.response.body'"
        else:
            expected = "'websocket.accept', 'websocket.close' or 'websocket.http.response.start'"
        raise MessageError(f"Expected ASGI message {expected}, but got '{kind}'.")

    cdef int accept(self, dict message) except -1:
        cdef bytes chosen = None
        cdef Acceptor below = <Acceptor> self.wire      # held: it may be given up before it returns
        subprotocol = message.get("subprotocol")
        if subprotocol is not None:
            if not isinstance(subprotocol, str):
                raise MessageError(f"'websocket.accept': 'subprotocol' must be a str, not {type(subprotocol).__name__}")
            if subprotocol not in self.scope.get("subprotocols", ()):
                # RFC 6455 section 4.1: the client would have to fail the connection.
                raise MessageError(f"'websocket.accept': the client did not offer the subprotocol {subprotocol!r}")
            chosen = subprotocol.encode("ascii")
        try:
            headers = [(name, value) for name, value in message.get("headers") or ()]
        except (TypeError, ValueError):
            raise MessageError("'websocket.accept': 'headers' must be an iterable of pairs of name and value") from None
        for name, _ in headers:
            if isinstance(name, bytes) and name.lower() in OURS:
                raise MessageError(f"'websocket.accept': the header {name!r} is the server's to send")
        if self.phase != ASKED:         # after what may be code of the application's
            raise ClientDisconnected("the client has gone")
        wire = below.accept(self, chosen, headers)
        if self.code:
            raise ClientDisconnected("the client has gone")     # when it was to be sent the answer
        self.wire = wire
        self.phase = OPEN
        self.response = COMPLETE
        self.scope = None
        if self.line is not None:
            self.line = self.application.journal.answer(self.line, headers)
            self.answered(101)
            self.account()
        return 0

    cdef int deny(self) except -1:
        """websocket.close before the accept: the specification has 403 for it."""
        cdef Responder wire = <Responder> self.wire
        wire.write_head(403, (), False, &self.length)
        wire.write_body(b"", True)
        self.phase = DENIED
        self.response = COMPLETE
        self.wire = None
        wire.completed()
        self.application.count()
        self.over(ABNORMAL, "")
        self.wake(False)
        if self.line is not None:
            self.answered(403)
            self.account()
        return 0

    cdef int send_message(self, Message* parts) except -1:
        cdef PyObject* entry = parts.text
        cdef Py_ssize_t size = 0
        cdef const char* data
        cdef bytes payload
        if entry is not NULL and <object> entry is not None:
            text = <object> entry
            if not isinstance(text, str):
                raise MessageError(f"'websocket.send': 'text' must be a str, not {type(text).__name__}")
            if parts.octets is not NULL and <object> parts.octets is not None:
                raise MessageError("'websocket.send': 'text' and 'bytes' are both there")
            try:
                data = PyUnicode_AsUTF8AndSize(text, &size)
            except UnicodeEncodeError as error:
                raise MessageError(f"'websocket.send': 'text' cannot be sent: {error}") from None
            return (<Channel> self.wire).send_message(True, data, size, text)
        entry = parts.octets
        if entry is NULL or <object> entry is None:
            raise MessageError("'websocket.send': either 'text' or 'bytes' must be there")
        if type(<object> entry) is bytes:
            payload = <bytes> entry
        elif isinstance(<object> entry, (bytes, bytearray, memoryview)):
            payload = bytes(<object> entry)
            if self.phase != OPEN:      # that may have been code of the application's
                raise ClientDisconnected("the client has gone")
        else:
            raise MessageError(f"'websocket.send': 'bytes' must be bytes, not {type(<object> entry).__name__}")
        return (<Channel> self.wire).send_message(False, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), payload)

    cdef int send_close(self, dict message) except -1:
        code = message.get("code")
        reason = message.get("reason")
        code = NORMAL if code is None else code
        reason = "" if reason is None else reason
        if not isinstance(code, int) or not legal_close(code if -1 < code < 65536 else 0):
            raise MessageError(f"'websocket.close': 'code' must be one that may be sent (RFC 6455 section 7.4), not {code!r}")
        if not isinstance(reason, str):
            raise MessageError(f"'websocket.close': 'reason' must be a str, not {type(reason).__name__}")
        try:
            text = reason.encode()
        except UnicodeEncodeError as error:
            raise MessageError(f"'websocket.close': 'reason' cannot be sent: {error}") from None
        if len(text) > REASON:
            raise MessageError(f"'websocket.close': 'reason' must have at most {REASON} bytes in UTF-8, not {len(text)}")
        if self.phase != OPEN:          # since it may have been code of the application's that read all that
            raise ClientDisconnected("the client has gone")
        self.close(code, text)
        self.over(code, reason)
        self.wake(False)
        return 0

    cdef void close(self, int code, bytes reason) noexcept:
        self.phase = CLOSING
        self.queue = None
        self.taken = self.queued = 0
        (<Channel> self.wire).send_close(code, reason)

    # The log.

    cdef void answered(self, int status) noexcept:
        """As uvicorn has it, this is no matter of the access log; where that has a format of its own, it is as well."""
        cdef tuple line = self.line
        if self.application.journal.sessions:
            Conversation.answered(self, status)
        else:
            self.line = None
        if status != CLIENT_GONE:
            self.application.log().info(
                '%s - "WebSocket %s" %s', client_text(line[0]), target_text(line),
                "[accepted]" if status == 101 else str(status),
            )
