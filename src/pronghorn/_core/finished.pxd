"""What send() returns when there is nothing to wait for: awaitables that have what asyncio and anyio ask of a coroutine, so
that they can be made tasks of."""


cdef class Done:
    pass


cdef class Failed(Done):
    cdef object error


cdef Done DONE

cdef object thrown(object kind, object value)
