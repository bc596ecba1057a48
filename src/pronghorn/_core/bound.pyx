# cython: binding=False
# A function bound to what it works for. See bound.pxd.

import asyncio
import inspect

from cpython.ref cimport Py_DECREF

cdef extern from *:
    """
    /* Cython gives its classes no vectorcall: it is only an offset in the class, and a flag. */
    static void take_vectorcalls(PyObject *type, size_t offset)
    {
        ((PyTypeObject *)type)->tp_vectorcall_offset = (Py_ssize_t)offset;
        ((PyTypeObject *)type)->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
        ((PyTypeObject *)type)->tp_call = PyVectorcall_Call;
        PyType_Modified((PyTypeObject *)type);
    }
    """
    void take_vectorcalls(object type, size_t offset)


def marks() -> tuple:
    """What asyncio, up to 3.11 the only one to ask, and inspect look for."""
    mark = getattr(inspect, "markcoroutinefunction", None)
    marked = None if mark is None else mark(lambda: None)
    return getattr(asyncio.coroutines, "_is_coroutine", None), getattr(marked, "_is_coroutine_marker", None)


cdef class Bound:
    _is_coroutine, _is_coroutine_marker = marks()

    def __call__(self, argument):
        cdef PyObject* arguments[1]
        arguments[0] = <PyObject*> argument
        cdef PyObject* result = self.function(<PyObject*> self, arguments, 1, NULL)
        answer = <object> result
        Py_DECREF(answer)
        return answer


cdef Bound bind(vectorcallfunc function, object owner):
    cdef Bound bound = Bound.__new__(Bound)
    bound.function = function
    bound.owner = owner
    return bound


cdef Bound probe = Bound.__new__(Bound)
take_vectorcalls(Bound, <size_t> &probe.function - <size_t> <PyObject*> probe)
