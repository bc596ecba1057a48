# cython: binding=False
# The parts of an ASGI message. See message.pxd.

from cpython.dict cimport PyDict_GetItem, PyDict_Next
from libc.string cimport memcmp, memset

from ..errors import MessageError

cdef extern from "Python.h":
    bint PyUnicode_Check(object o)
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    void* PyUnicode_DATA(object text)


cdef dict as_dict(object message):
    """A message that is another mapping."""
    try:
        return dict(message)
    except (TypeError, ValueError):
        raise MessageError(f"an ASGI message must be a dict, not {type(message).__name__}") from None


cdef void read_message(dict source, Message* message) noexcept:
    cdef PyObject* key
    cdef PyObject* value
    cdef Py_ssize_t at = 0
    cdef bint strange = False
    memset(message, 0, sizeof(Message))
    while PyDict_Next(source, &at, &key, &value):
        if key is <PyObject*> "type":
            message.kind = value
        elif key is <PyObject*> "body":
            message.body = value
        elif key is <PyObject*> "more_body":
            message.more_body = value
        elif key is <PyObject*> "status":
            message.status = value
        elif key is <PyObject*> "headers":
            message.headers = value
        elif key is <PyObject*> "text":
            message.text = value
        elif key is <PyObject*> "bytes":
            message.octets = value
        else:
            strange = True
    if strange:         # another key, or one of these that is another object: one that was read from somewhere
        message.kind = PyDict_GetItem(source, "type")
        message.body = PyDict_GetItem(source, "body")
        message.more_body = PyDict_GetItem(source, "more_body")
        message.status = PyDict_GetItem(source, "status")
        message.headers = PyDict_GetItem(source, "headers")
        message.text = PyDict_GetItem(source, "text")
        message.octets = PyDict_GetItem(source, "bytes")


cdef bint reads(object text, str word) except -1:
    """Whether `text` is equal to `word`, which is ASCII."""
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(word)
    if PyUnicode_Check(text) and PyUnicode_IS_COMPACT_ASCII(text):
        return PyUnicode_GET_LENGTH(text) == length and memcmp(PyUnicode_DATA(text), PyUnicode_DATA(word), length) == 0
    return text == word
