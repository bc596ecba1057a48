# cython: binding=False
# The writing side of one HTTP/1 connection. See writing.pxd.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from .output cimport GATHERED, LARGE, Output, append
from .response cimport write_chunk_size, write_length


cdef class Writer(Acceptor):

    cdef void interrupted(self) noexcept:
        cdef Output out = self.edge.out
        if self.writing == OPEN and self.held is None:
            try:
                self.held = PyBytes_FromStringAndSize(out.data + self.began, out.size - self.began)
            except MemoryError:
                self.edge.abort()
            out.size = self.began
            self.edge.send_soon()
        Acceptor.interrupted(self)

    cdef void flush(self) noexcept:
        if not self.edge.corked:
            self.send_rest(self.edge.out.size)

    cdef void send_rest(self, size_t mark) noexcept:
        """What stands in the buffer from `mark` on, and what is held."""
        cdef Output out = self.edge.out
        try:
            if self.held is not None:
                append(out, PyBytes_AS_STRING(self.held), PyBytes_GET_SIZE(self.held))
                self.held = None
            if self.writing == OPEN:
                self.end_head(-1)
        except MemoryError:
            self.edge.abort()
        if out.size != mark:
            self.edge.send(mark, NULL, 0, None, NULL, 0)

    cdef int end_head(self, int64_t length) except -1:
        """The framing line, and the end of an OPEN head. length: of the whole body, -1 when it is not known."""
        cdef Output out = self.edge.out
        if length >= 0:
            write_length(out, length)
            self.writing = LENGTH
        elif self.old:
            self.keep = False
            self.writing = UNTIL_CLOSE
        else:
            append(out, b"transfer-encoding: chunked\r\n", 28)
            self.writing = CHUNKED
        return self.end_lines()

    cdef int end_lines(self) except -1:
        cdef Output out = self.edge.out
        if not self.keep:
            return append(out, b"connection: close\r\n\r\n", 21)
        if self.old:
            return append(out, b"connection: keep-alive\r\n\r\n", 26)
        return append(out, b"\r\n", 2)

    cdef int write_body(self, bytes body, bint last) except -1:
        cdef Output out = self.edge.out
        cdef size_t mark = 0 if self.edge.corked else out.size
        cdef Py_ssize_t length = PyBytes_GET_SIZE(body)
        if self.held is not None:
            self.began = out.size
            append(out, PyBytes_AS_STRING(self.held), PyBytes_GET_SIZE(self.held))
            self.held = None
        if self.writing == OPEN:
            # A head without a body yet stays open a little longer.
            if length or last:
                self.end_head(length if last else -1)
        if self.writing == CHUNKED:
            if length:
                write_chunk_size(out, length)
                if length >= LARGE:
                    self.edge.send(mark, PyBytes_AS_STRING(body), length, body,
                                   b"\r\n0\r\n\r\n" if last else b"\r\n", 7 if last else 2)
                    return 0
                append(out, PyBytes_AS_STRING(body), length)
                append(out, b"\r\n", 2)
            if last:
                append(out, b"0\r\n\r\n", 5)
        elif length:
            if length >= LARGE:
                self.edge.send(mark, PyBytes_AS_STRING(body), length, body, NULL, 0)
                return 0
            append(out, PyBytes_AS_STRING(body), length)
        if self.edge.corked:
            if out.size > GATHERED and self.writing != OPEN:
                self.edge.send(0, NULL, 0, None, NULL, 0)
        elif self.writing == OPEN:
            self.held = PyBytes_FromStringAndSize(out.data + mark, out.size - mark)
            out.size = mark
        elif out.size != mark:
            self.edge.send(mark, NULL, 0, None, NULL, 0)
        return 0
