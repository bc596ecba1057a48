# The two abstract classes. See wire.pxd.

from .system cimport monotonic

cdef double TURN = 0.001        # seconds


cdef bint turn_over(double* began) noexcept:
    cdef double now = monotonic()
    if began[0] == 0:
        began[0] = now
    return now - began[0] > TURN


cdef class Edge:

    cdef int send(self, size_t mark, const char* body, size_t length, object owner, const char* tail,
                  size_t tail_length) noexcept:
        return 0

    cdef void send_soon(self) noexcept:
        pass

    cdef void resume_soon(self) noexcept:
        pass

    cdef void pause(self, bint reading) noexcept:
        pass

    cdef void deadline(self, uint32_t ticks) noexcept:
        pass

    cdef void idle(self) noexcept:
        pass

    cdef void close(self) noexcept:
        pass

    cdef void shut(self) noexcept:
        pass

    cdef void abort(self) noexcept:
        pass

    cdef void switch(self, Wire wire) noexcept:
        pass

    cdef object client(self):
        return None

    cdef void introduce(self, object client) noexcept:
        pass


cdef class Wire:

    cdef void throw_away(self, size_t length) noexcept:
        """Input behind our end: it is read so that a reset does not destroy what we have said, within limits."""
        self.thrown = <uint32_t> min(self.thrown + length, <size_t> THROWN)
        if self.thrown == THROWN and not self.paused:
            self.paused = True
            self.edge.pause(True)

    cdef void feed(self, const char* data, size_t length, bytes source) noexcept:
        """Bytes in the loop's read buffer, or all of `source`."""
        pass

    cdef char* tail(self, size_t* room) noexcept:
        """Where the next bytes have to go, or NULL for the loop's read buffer. room: set to the bytes that fit there;
        0 means that there is no memory for them."""
        return NULL

    cdef void filled(self, size_t length) noexcept:
        """`length` bytes have been read to where tail() said."""
        pass

    cdef void resume(self) noexcept:
        pass

    cdef bint eof(self) noexcept:
        """The client has shut down its side. True: there is still something to send it."""
        return False

    cdef void expired(self) noexcept:
        pass

    cdef void flush(self) noexcept:
        """Everything that has been written goes out."""
        pass

    cdef void drain(self) noexcept:
        pass

    cdef bint give_way(self) noexcept:
        return False

    cdef void lost(self) noexcept:
        pass

    cdef void set_writable(self, bint writable) noexcept:
        pass

    cdef void cork(self) noexcept:
        begin_gathering(self)

    cdef void uncork(self) noexcept:
        pass

    cdef void interrupted(self) noexcept:
        end_gathering(self)
        if self.edge.out.size:
            self.edge.send(0, NULL, 0, None, NULL, 0)
