"""The response head: status lines, the lines the server adds, and the application's headers, checked while copied."""

from libc.stdint cimport int64_t

from .output cimport Output


cdef struct Declared:
    # What the application's headers say about the message, filled by write_headers(); but `no_length` is set by the
    # caller: the status allows no content-length, leave it out.
    bint no_length
    size_t mark                 # set by the caller, too: where the head begins, which an error cuts back to
    int64_t content_length      # bytes, or -1 when there is none
    bint close                  # Connection: close
    bint date                   # the application sends its own Date
    bint server                 # and its own Server


cdef class Defaults:
    """The lines that every response of a server has: Date, Server and the headers of the settings.

    Rendered once a second, not once a response.
    """
    cdef bytes date             # b"date: ...\r\n" or b""
    cdef bytes server
    cdef bytes extra
    cdef bytes block            # the three of them
    cdef bint with_date
    cdef long second            # the one that `date` is for

    cpdef refresh(self)
    cdef int write(self, Output out, Declared* declared) except -1


cdef int write_status(Output out, int status) except -1
cdef int write_headers(Output out, object headers, Declared* declared, str message) except -1
cdef int write_length(Output out, size_t length) except -1
cdef int write_chunk_size(Output out, size_t length) except -1
cdef int write_refusal(Output out, int status, bint bodiless, Defaults defaults) except -1
