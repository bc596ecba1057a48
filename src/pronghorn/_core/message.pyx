# cython: binding=False
# The parts of an ASGI message. See message.pxd.

from cpython.dict cimport PyDict_GetItem, PyDict_Next
from libc.string cimport memset

from ..errors import MessageError

cdef extern from "Python.h":
    bint PyUnicode_Check(object o)
    int PyUnicode_Compare(object left, object right) except? -1


cdef bint read_message(object source, Message* message) noexcept:
    cdef PyObject* key
    cdef PyObject* value
    cdef Py_ssize_t at = 0
    if type(source) is not dict:
        return False
    memset(message, 0, sizeof(Message))
    while PyDict_Next(<dict> source, &at, &key, &value):
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
            return False
    return message.kind is not NULL and PyUnicode_Check(<object> message.kind)


cdef dict read_unusual(object source, Message* message):
    cdef dict whole
    try:
        whole = dict(source)        # nobody changes it: comparing keys may be code of the application's
    except (TypeError, ValueError):
        raise MessageError(f"an ASGI message must be a dict, not {type(source).__name__}") from None
    message.kind = PyDict_GetItem(whole, "type")
    message.body = PyDict_GetItem(whole, "body")
    message.more_body = PyDict_GetItem(whole, "more_body")
    message.status = PyDict_GetItem(whole, "status")
    message.headers = PyDict_GetItem(whole, "headers")
    message.text = PyDict_GetItem(whole, "text")
    message.octets = PyDict_GetItem(whole, "bytes")
    if message.kind is NULL:
        raise MessageError("an ASGI message must have a 'type'")
    if not PyUnicode_Check(<object> message.kind):
        raise MessageError(f"'type' of an ASGI message must be a str, not {<object> message.kind!r}")
    return whole


cdef bint reads_otherwise(object text, const char* word) except -1:
    # Not ==, which a subclass of str may have of its own.
    return PyUnicode_Compare(text, word.decode("ascii")) == 0


cdef list read_headers(object headers, object type):
    cdef list pairs
    cdef Py_ssize_t i
    try:
        pairs = list(headers)
    except TypeError:
        raise MessageError(f"'{type}': 'headers' must be an iterable of pairs, not {headers.__class__.__name__}") from None
    for i in range(len(pairs)):
        try:
            pairs[i] = tuple(pairs[i])
        except TypeError:
            pairs[i] = ()
        if len(pairs[i]) != 2:
            raise MessageError(f"'{type}': each of the 'headers' must be a pair of name and value")
    return pairs
