# cython: binding=False
# Headers that an application repeats. See repeated.pxd.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_CheckExact, PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_CLEAR, Py_INCREF
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stdint cimport uintptr_t

from .output cimport append
from .response cimport write_headers

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject* o)


cdef bint are_constants(list headers) noexcept:
    """Whether others have these pairs, too, as the code has its constants, and nothing but bytes is in them. Cookies
    are never kept."""
    cdef PyObject* pair
    cdef Py_ssize_t i
    for i in range(PyList_GET_SIZE(headers)):
        pair = <PyObject*> PyList_GET_ITEM(headers, i)
        if Py_REFCNT(pair) < 2 or not PyTuple_CheckExact(<object> pair) or PyTuple_GET_SIZE(<object> pair) != 2:
            return False
        name = <object> PyTuple_GET_ITEM(<object> pair, 0)
        if not PyBytes_CheckExact(name) or not PyBytes_CheckExact(<object> PyTuple_GET_ITEM(<object> pair, 1)):
            return False
        if PyBytes_GET_SIZE(name) == 10 and (<bytes> name).lower() == b"set-cookie":
            return False
    return True


cdef void drop(Kept* place) noexcept:
    cdef Py_ssize_t i
    for i in range(place.count):
        Py_CLEAR(place.pairs[i])
    Py_CLEAR(place.lines)
    place.count = 0


cdef class Repeated:

    def __dealloc__(self):
        cdef int i
        for i in range(PLACES):
            drop(&self.places[i])

    cdef int write(self, Output out, object headers, Declared* declared) except -1:
        """As write_headers() does, for an http.response.start."""
        cdef Py_ssize_t i, count
        cdef size_t mark
        cdef uintptr_t hash = 0
        cdef Kept* place
        cdef bint constants
        if declared.no_length or not PyList_CheckExact(headers) or not 0 < PyList_GET_SIZE(headers) <= MOST_PAIRS:
            return write_headers(out, headers, declared, "http.response.start")
        count = PyList_GET_SIZE(headers)
        for i in range(count):
            hash = hash * 31 + (<uintptr_t> PyList_GET_ITEM(headers, i) >> 4)
        place = &self.places[(hash ^ hash >> 8) & (PLACES - 1)]
        if place.count == count:
            for i in range(count):
                if place.pairs[i] != <PyObject*> PyList_GET_ITEM(headers, i):
                    break
            else:
                declared[0] = place.declared
                return append(out, PyBytes_AS_STRING(<object> place.lines), PyBytes_GET_SIZE(<object> place.lines))
        constants = are_constants(<list> headers)       # before: other things may be code that changes the list
        mark = out.size
        write_headers(out, headers, declared, "http.response.start")
        if constants and out.size - mark <= LONGEST_LINES:
            self.keep(place, <list> headers, PyBytes_FromStringAndSize(out.data + mark, out.size - mark), declared)
        return 0

    cdef int keep(self, Kept* place, list headers, bytes lines, Declared* declared) except -1:
        cdef Py_ssize_t i
        drop(place)
        for i in range(PyList_GET_SIZE(headers)):
            place.pairs[i] = <PyObject*> PyList_GET_ITEM(headers, i)
            Py_INCREF(<object> place.pairs[i])
        Py_INCREF(lines)
        place.lines = <PyObject*> lines
        place.declared = declared[0]
        place.count = PyList_GET_SIZE(headers)
        return 0
