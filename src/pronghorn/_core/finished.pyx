# cython: binding=False
# Awaitables that do not wait. See finished.pxd.


cdef class Done:
    """What send() returns when there is nothing to wait for. It has no state: one serves everybody."""

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration

    def send(self, value):
        raise StopIteration

    def throw(self, kind, value=None, traceback=None):
        raise thrown(kind, value)

    def close(self):
        pass


DONE = Done()


cdef object thrown(object kind, object value):
    """The exception that a call of throw() means."""
    if isinstance(kind, type):
        return kind() if value is None else value if isinstance(value, BaseException) else kind(value)
    return kind


cdef class Failed(Done):
    """What send() returns when the message was refused: raises where it is awaited."""
    def __cinit__(self, error):
        self.error = error

    def __next__(self):
        raise self.error

    def send(self, value):
        raise self.error
