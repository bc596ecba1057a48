# cython: binding=False
# A buffer over memory of ours. See window.pxd.

from cpython.buffer cimport PyBuffer_FillInfo


cdef class Window:

    def __len__(self):          # asyncio's own loop looks at it
        return self.length

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.start, self.length, 0, flags)
