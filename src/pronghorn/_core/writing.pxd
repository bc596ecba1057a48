"""The writing side of one HTTP/1 connection: how a response is framed, and when what there is of it leaves.

    writing     NONE --http.response.start--> OPEN | LENGTH | UNTIL_CLOSE | SILENT
                OPEN --first body, or a flush--> LENGTH | CHUNKED | UNTIL_CLOSE
                any of them --last body--> NONE
"""

from libc.stdint cimport int64_t, uint8_t

from .session cimport Acceptor


cdef enum Writing:
    NONE
    OPEN                        # the head stands in the buffer, without its framing line and its end
    LENGTH                      # a body of declared length
    CHUNKED
    UNTIL_CLOSE                 # HTTP/1.0: the body ends with the connection
    SILENT                      # no body: HEAD, 204, 304


cdef class Writer(Acceptor):
    cdef bytes held             # output of an application that ran outside of our steps, until it is sent
    cdef size_t began           # where the current response begins in the gather buffer
    cdef uint8_t writing
    cdef bint old               # the current request is HTTP/1.0
    cdef bint keep              # the connection stays open after this response

    cdef void send_rest(self, size_t mark) noexcept
    cdef int end_head(self, int64_t length) except -1
    cdef int end_lines(self) except -1
