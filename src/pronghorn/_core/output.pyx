# The gather buffer. See output.pxd.

from libc.stdlib cimport free, malloc, realloc

# A response head with a small body fits many times over.
cdef size_t INITIAL = 65536


cdef class Output:

    def __cinit__(self):
        self.data = <char*> malloc(INITIAL)
        if self.data is NULL:
            raise MemoryError()
        self.capacity = INITIAL

    def __dealloc__(self):
        free(self.data)

    cdef int grow(self, size_t extra) except -1:
        cdef size_t wanted = max(self.size + extra, 2 * self.capacity)
        cdef char* data = <char*> realloc(self.data, wanted)
        if data is NULL:
            raise MemoryError()
        self.data = data
        self.capacity = wanted
        return 0

    def __len__(self):
        return self.size

    def take(self) -> bytes:
        """Empty the buffer; returns what stood in it."""
        cdef bytes content = self.data[:self.size]
        self.size = 0
        return content
