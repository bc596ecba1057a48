"""A function of ours, bound to what it works for, that counts as a coroutine function: send() of a WebSocket.

Synchronous consumers give it to asgiref's async_to_sync(), which warns of anything else. No builtin method can be marked;
this costs some 20 ns more to call, which is why requests have a builtin one.
"""

from cpython.object cimport PyObject

cdef extern from "Python.h":
    ctypedef PyObject* (*vectorcallfunc)(PyObject*, PyObject* const*, size_t, PyObject*) except NULL


cdef class Bound:
    cdef vectorcallfunc function    # the interpreter finds it here (PEP 590)
    cdef object owner


cdef Bound bind(vectorcallfunc function, object owner)
