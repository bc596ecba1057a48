"""The session: one WebSocket as ASGI sees it, from the request that asks for it to its one websocket.disconnect.

    phase       ASKED --websocket.accept--> OPEN --websocket.close, or the application ended--> CLOSING
                ASKED --websocket.close, websocket.http.response.start--> DENIED
                any   --the client closed, the connection is lost, the server stops--> OVER

While it is ASKED or DENIED it is an exchange with an HTTP response, and the wire below is a Responder. From the accept
on the wire is a Channel.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from .exchange cimport CLIENT_GONE, Application, Conversation, Responder
from .message cimport Message
from .wire cimport Wire


cdef enum Phase:
    ASKED
    DENIED
    OPEN
    CLOSING                     # our close is on its way, the client's is awaited
    OVER


cdef class Channel(Wire):
    """What a session needs of the wire below it once it is open. The WebSocket wire implements it."""

    cdef int send_message(self, bint text, const char* data, size_t length, object owner) except -1
    cdef void send_close(self, int code, bytes reason) noexcept
    cdef void message_taken(self) noexcept      # the application took a message when the queue was full


cdef class Acceptor(Responder):
    """A Responder that can become a Channel. HTTP/1 implements it."""

    cdef Channel accept(self, Session session, bytes subprotocol, object headers)


cdef class Session(Conversation):
    cdef list queue             # messages that have arrived, each a str or bytes
    cdef object reason          # of the websocket.disconnect
    cdef uint32_t taken         # how many messages of the queue the application has
    cdef uint32_t queued        # bytes of the others
    cdef uint32_t most          # messages in the queue
    cdef uint16_t code          # of it; 0: not yet
    cdef uint8_t phase          # Phase
    cdef uint8_t asked          # websocket.connect was received
    cdef uint8_t told           # websocket.disconnect was received

    # From the wire.
    cdef int put(self, object item) except -1
    cdef bint full(self) noexcept
    cdef bint news(self) noexcept               # there is something for receive()
    cdef void over(self, int code, object reason) noexcept

    cdef int accept(self, dict message) except -1
    cdef int deny(self) except -1
    cdef int send_message(self, Message* parts) except -1
    cdef int send_close(self, dict message) except -1
    cdef int refuse(self, object kind) except -1
    cdef void close(self, int code, bytes reason) noexcept
    cdef dict take_message(self)


cdef Session open_session(Application application, Acceptor wire, dict template, object client, object path,
                          object raw_path, object query, list headers, list subprotocols, uint32_t most)
