# cython: binding=False
# The scope of a request. See scope.pxd.

import sys

from cpython.dict cimport PyDict_Copy, PyDict_SetItem
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

cdef extern from *:
    """
    /* A number that no other dictionary has, and that every change of this one replaces (PEP 509). 0: this interpreter
       does not keep one. */
    #if PY_VERSION_HEX < 0x030E0000 && !defined(Py_LIMITED_API)
    #ifdef __GNUC__
    #pragma GCC diagnostic push
    #pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    #endif
    static inline uint64_t tag_of(PyObject *dict) { return ((PyDictObject *)dict)->ma_version_tag; }
    #ifdef __GNUC__
    #pragma GCC diagnostic pop
    #endif
    #else
    static inline uint64_t tag_of(PyObject *dict) { return 0; }
    #endif
    """
    uint64_t tag_of(PyObject* dict)
    Py_ssize_t Py_REFCNT(PyObject* o)

cdef str GET = sys.intern("GET")    # the very object that a parsed request has


cdef class Scopes:

    def __init__(self, state, str root_path="", str version="3.0"):
        self.state = dict(state)
        self.asgi = {"version": version, "spec_version": "2.5"}
        self.root_path = root_path

    cpdef dict template(self, object server, str scheme):
        """The scope of a listener's requests, with every key in place: copying a dictionary and overwriting values
        costs a quarter of what building it does."""
        cdef dict scope = {}        # filled one by one: a literal of this size gets a third more memory for each key
        scope["type"] = "http"
        scope["asgi"] = None
        scope["http_version"] = "1.1"
        scope["server"] = server
        scope["client"] = None
        scope["scheme"] = scheme
        scope["root_path"] = self.root_path
        scope["headers"] = None
        scope["state"] = None
        scope["method"] = GET
        scope["path"] = None
        scope["raw_path"] = None
        scope["query_string"] = b""
        scope["extensions"] = None
        return scope


cdef inline bint as_made(PyObject* dict, uint64_t tag, Py_ssize_t holders) noexcept:
    """Whether nobody has changed it, and nobody holds it but those of whom we know. A pointer: an argument that is an
    object would have one holder more."""
    return tag != 0 and tag_of(dict) == tag and Py_REFCNT(dict) == holders


cdef class Scope:

    def __cinit__(self, Scopes shared):
        self.shared = shared

    cdef dict begin(self, dict template, object client, object method, object path, object raw_path, object query,
                    list headers, bint old):
        """A scope that nobody else has. query: None if there is none. old: HTTP/1.0."""
        cdef dict whole
        if self.whole is None or self.template is not template:
            self.template = template
            self.copy()
        whole = self.whole
        if client is not self.client:
            self.client = client
            PyDict_SetItem(whole, "client", client)
        if path is not self.path or raw_path is not self.raw_path:
            self.path = path
            self.raw_path = raw_path
            PyDict_SetItem(whole, "path", path)
            PyDict_SetItem(whole, "raw_path", raw_path)
        PyDict_SetItem(whole, "headers", headers)
        if method is GET and query is None and not old:     # as the template has it
            self.tags.whole = tag_of(<PyObject*> whole)
            return whole
        self.tags.whole = 0
        PyDict_SetItem(whole, "method", method)
        if query is not None:
            PyDict_SetItem(whole, "query_string", query)
        if old:
            PyDict_SetItem(whole, "http_version", "1.0")
        return whole

    cdef int copy(self) except -1:
        """A new one of the template. What an application may write to is its own: a change must not show in another
        request."""
        cdef dict whole = PyDict_Copy(self.template)
        extensions = whole["extensions"]
        self.client = self.path = self.raw_path = None
        if self.asgi is None:
            self.asgi = PyDict_Copy(self.shared.asgi)
            self.tags.asgi = tag_of(<PyObject*> self.asgi)
        if self.state is None:
            self.state = PyDict_Copy(self.shared.state)
            self.tags.state = tag_of(<PyObject*> self.state)
        if extensions is not None:
            self.extensions = {"tls": PyDict_Copy(<dict> extensions["tls"])}
            self.tags.extensions = 0        # it does not show when something is changed inside
        elif self.extensions is None or self.tags.extensions == 0:
            self.extensions = {}
            self.tags.extensions = tag_of(<PyObject*> self.extensions)
        PyDict_SetItem(whole, "asgi", self.asgi)
        PyDict_SetItem(whole, "state", self.state)
        PyDict_SetItem(whole, "extensions", self.extensions)
        self.whole = whole
        return 0

    cdef void end(self) noexcept:
        """The application has ended, and the caller holds the scope no more: keep what can serve again."""
        cdef Py_ssize_t holders = 2
        if self.whole is None:
            return
        if as_made(<PyObject*> self.whole, self.tags.whole, 1):
            PyDict_SetItem(self.whole, "headers", None)     # they may be large, and secret
        else:
            self.whole = self.template = self.client = self.path = self.raw_path = None
            holders = 1
        # With the whole, a part loses one of its holders.
        if not as_made(<PyObject*> self.asgi, self.tags.asgi, holders):
            self.whole = self.asgi = None
            holders = 1
        if not as_made(<PyObject*> self.state, self.tags.state, holders):
            self.whole = self.state = None
            holders = 1
        if not as_made(<PyObject*> self.extensions, self.tags.extensions, holders):
            self.whole = self.extensions = None
