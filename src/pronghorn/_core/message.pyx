# cython: binding=False
# The parts of an ASGI message. See message.pxd.

from cpython.dict cimport PyDict_GetItem, PyDict_Next
from cpython.list cimport PyList_CheckExact, PyList_GET_ITEM, PyList_GET_SIZE
from cpython.tuple cimport PyTuple_CheckExact
from libc.string cimport memcmp, memset

from ..errors import MessageError

cdef extern from "Python.h":
    bint PyUnicode_Check(object o)
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    void* PyUnicode_DATA(object text)
    int PyUnicode_Compare(object left, object right) except? -1


cdef dict read_message(object source, Message* message):
    if type(source) is not dict or not find_parts(<dict> source, message):
        return read_copy(source, message)
    if message.kind is NULL or not PyUnicode_Check(<object> message.kind):
        check_kind(message)
    return <dict> source


cdef bint find_parts(dict message, Message* parts) noexcept:
    """Fill `parts` from keys that are the interpreter's own; False if there are others, or not only such."""
    cdef PyObject* key
    cdef PyObject* value
    cdef Py_ssize_t at = 0
    cdef bint known = True
    memset(parts, 0, sizeof(Message))
    while PyDict_Next(message, &at, &key, &value):
        if key is <PyObject*> "type":
            parts.kind = value
        elif key is <PyObject*> "body":
            parts.body = value
        elif key is <PyObject*> "more_body":
            parts.more_body = value
        elif key is <PyObject*> "status":
            parts.status = value
        elif key is <PyObject*> "headers":
            parts.headers = value
        elif key is <PyObject*> "text":
            parts.text = value
        elif key is <PyObject*> "bytes":
            parts.octets = value
        else:
            known = False
    return known


cdef dict read_copy(object source, Message* message):
    """The same for another mapping, and for other keys, or equal ones that were read from somewhere: comparing keys may be
    code of the application's, which changes what is read."""
    cdef dict whole
    try:
        whole = dict(source)
    except (TypeError, ValueError):
        raise MessageError(f"an ASGI message must be a dict, not {type(source).__name__}") from None
    message.kind = PyDict_GetItem(whole, "type")
    message.body = PyDict_GetItem(whole, "body")
    message.more_body = PyDict_GetItem(whole, "more_body")
    message.status = PyDict_GetItem(whole, "status")
    message.headers = PyDict_GetItem(whole, "headers")
    message.text = PyDict_GetItem(whole, "text")
    message.octets = PyDict_GetItem(whole, "bytes")
    check_kind(message)
    return whole


cdef int check_kind(Message* message) except -1:
    if message.kind is NULL:
        raise MessageError("an ASGI message must have a 'type'")
    if not PyUnicode_Check(<object> message.kind):
        raise MessageError(f"'type' of an ASGI message must be a str, not {<object> message.kind!r}")
    return 0


cdef bint reads(object text, str word) except -1:
    """Whether the str `text` is equal to `word`, which is ASCII."""
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(word)
    if PyUnicode_IS_COMPACT_ASCII(text):
        return PyUnicode_GET_LENGTH(text) == length and memcmp(PyUnicode_DATA(text), PyUnicode_DATA(word), length) == 0
    return PyUnicode_Compare(text, word) == 0       # and not ==, which a subclass may have of its own


cdef bint plain_headers(object headers) noexcept:
    cdef Py_ssize_t i
    if not PyList_CheckExact(headers):
        return False
    for i in range(PyList_GET_SIZE(headers)):
        if not PyTuple_CheckExact(<object> PyList_GET_ITEM(headers, i)):
            return False
    return True


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
