"""What an application sends: the parts of an ASGI message, found in one pass over it.

A message has two or three keys, which the interpreter keeps once for the whole program: comparing each with those that
are known takes less time than asking the dict for each that may be there.
"""

from cpython.object cimport PyObject


cdef struct Message:
    # All borrowed from the dict; NULL where it has none.
    PyObject* kind              # "type"
    PyObject* status
    PyObject* headers
    PyObject* body
    PyObject* more_body
    PyObject* text
    PyObject* octets            # "bytes"


# The message as a dict, which the caller holds as long as it uses the parts.
cdef dict read_message(object source, Message* message)
cdef bint find_parts(dict message, Message* parts) noexcept
cdef dict read_copy(object source, Message* message)
cdef int check_kind(Message* message) except -1
# Whether headers can be read without running code of the application's; and those that can, of any. type: of the message.
cdef bint plain_headers(object headers) noexcept
cdef list read_headers(object headers, object type)
cdef bint reads(object text, str word) except -1
