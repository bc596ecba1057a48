# cython: binding=False
# The header section that a connection repeats. See section.pxd.

from cpython.list cimport PyList_GetSlice, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_CLEAR, Py_INCREF
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

cdef enum:
    LONGEST_SECTION = 2048


cdef uint64_t hash_of(const char* at, size_t length) noexcept nogil:
    """Of all octets: two sections of one connection mostly differ in a few only."""
    cdef uint64_t hash = length
    cdef uint64_t word
    while length:
        word = 0
        memcpy(&word, at, 8 if length >= 8 else length)
        hash = (hash ^ word) * <uint64_t> 0x9E3779B97F4A7C15
        hash ^= hash >> 32
        if length < 8:
            break
        at += 8
        length -= 8
    return hash | 1


cdef Section* recall(Memory* memory, const char* at, const char* end) noexcept nogil:
    """The section, if it stands at `at`, as the empty line at its end tells; NULL if another one does."""
    cdef Section* section = memory.section
    if section is NULL or <size_t> (end - at) < section.length or memcmp(at, section.octets, section.length) != 0:
        return NULL
    return section


cdef void notice(Memory* memory, const char* at, const char* end, list headers, bint forwarded) noexcept:
    """A section has been parsed: keep it if the one before was the same."""
    cdef Section* section
    cdef uint64_t mark
    cdef size_t length = end - at
    if length > LONGEST_SECTION:
        return
    mark = hash_of(at, length)
    if mark != memory.mark:
        memory.mark = mark
        return
    forget(memory)
    section = <Section*> malloc(sizeof(Section) + length)
    if section is NULL:
        return
    try:
        own = PyList_GetSlice(headers, 0, PyList_GET_SIZE(headers))     # that one is the application's to change
    except MemoryError:
        free(section)
        return
    Py_INCREF(own)
    section.headers = <PyObject*> own
    section.length = <uint32_t> length
    section.forwarded = forwarded
    memcpy(section.octets, at, length)
    memory.section = section


cdef void forget(Memory* memory) noexcept:
    if memory.section is not NULL:
        Py_CLEAR(memory.section.headers)
        free(memory.section)
        memory.section = NULL
