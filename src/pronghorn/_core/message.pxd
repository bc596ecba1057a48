"""What an application sends: the parts of an ASGI message, found in one pass over it.

A message has two or three keys, which the interpreter keeps once for the whole program: comparing each with those that
are known takes less time than asking the dict for each that may be there.
"""

from cpython.list cimport PyList_CheckExact, PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.string cimport memcmp, strlen

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    void* PyUnicode_DATA(object text)
from cpython.tuple cimport PyTuple_CheckExact


cdef struct Message:
    # All borrowed from the dict; NULL where it has none.
    PyObject* kind              # "type"
    PyObject* status
    PyObject* headers
    PyObject* body
    PyObject* more_body
    PyObject* text
    PyObject* octets            # "bytes"


# False: it is another mapping, or there are other keys in it, also such that are equal to these, or its type is no str.
cdef bint read_message(object source, Message* message) noexcept
# The same for those; returns the dict that the parts are borrowed from.
cdef dict read_unusual(object source, Message* message)
# Headers that can be read without running code of the application's, of any. type: of the message.
cdef list read_headers(object headers, object type)


cdef inline bint plain_headers(object headers) noexcept:
    """Whether they are that already."""
    cdef Py_ssize_t i
    if not PyList_CheckExact(headers):
        return False
    for i in range(PyList_GET_SIZE(headers)):
        if not PyTuple_CheckExact(<object> PyList_GET_ITEM(headers, i)):
            return False
    return True
cdef bint reads_otherwise(object text, const char* word) except -1


cdef inline bint reads(object text, const char* word) except -1:
    """Whether the str `text` is equal to `word`, an ASCII literal: its length is the compiler's to know."""
    if PyUnicode_IS_COMPACT_ASCII(text):
        return PyUnicode_GET_LENGTH(text) == <Py_ssize_t> strlen(word) \
            and memcmp(PyUnicode_DATA(text), word, strlen(word)) == 0
    return reads_otherwise(text, word)
