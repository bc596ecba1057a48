# cython: binding=False
# Buffers. See window.pxd.

from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdlib cimport free, malloc


cdef class Window:

    def __len__(self):          # asyncio's own loop looks at it
        return self.length

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.start, self.length, 0, flags)


cdef class Buffer:

    def __cinit__(self, size_t size):
        self.size = size
        self.memory = <char*> malloc(size)
        if self.memory is NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.memory)

    cdef char* another(self) noexcept:
        cdef char* fresh = <char*> malloc(self.size)
        if fresh is not NULL:
            self.memory = fresh
            self.used = False
        return fresh
