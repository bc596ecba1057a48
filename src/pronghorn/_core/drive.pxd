"""The drive: runs `app(scope, receive, send)`.

Most requests finish without ever waiting, so making an `asyncio.Task` for each is work thrown away. The drive steps
the coroutine itself, while `asyncio.current_task()` is a `RequestTask`: an `asyncio.Task` that is allocated but not
initialised. If the application waits, `Task.__init__` is called on that very object around a `Steps` coroutine, which
first yields again what the application yielded. From then on it is an ordinary task; whoever looked at it before
(time-outs, task groups, cancel scopes) holds the same object. If it waits for one of our own futures, as in receive(),
not even that is needed: the call is parked, and goes on with another step of the drive. See docs/architecture.md, "The
lazy task".
"""

from .future cimport Sleeper, Wait


cdef class Call(Sleeper):
    """What the drive needs of its caller: one call of the application. The exchange implements it."""
    cdef object task            # while it waits: the task that runs it, or a RequestTask that is not initialised
    cdef object coroutine       # while it waits without a task: the application's
    cdef object context         # and in which context it goes on
    cdef Wait pending           # when this is done

    cdef void enter(self) noexcept                      # a step of a waiting application begins
    cdef void leave(self) noexcept                      # it has ended: the application waits again, or is done
    cdef void returned(self, object result) noexcept    # the application returned
    cdef void raised(self, object error) noexcept       # the application raised


cdef extern from "Python.h":
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT


cdef enum Mode:
    LAZY                        # a RequestTask, initialised if the application waits
    EAGER                       # asyncio.Task(eager_start=True), Python 3.12 and newer
    TASK                        # loop.create_task()


cdef enum Progress:
    STARTING                    # the drive is inside the first step
    HOLDING                     # what the first step yielded has to be yielded again
    DELEGATING                  # the task drives the application's coroutine
    ENDED


cdef class Steps:
    cdef Call call
    cdef object coroutine       # the application's
    cdef object yielded         # what it yielded last; None while it runs
    cdef Progress progress

    cdef bint resume(self, object value, object error) except -1


cdef class Drive:
    cdef readonly object loop
    cdef readonly object context    # contextvars.Context that every call starts from a copy of
    cdef Mode wanted
    cdef Mode mode
    cdef object spare           # a RequestTask nobody else holds, or None
    cdef bint named             # the running RequestTask has been given a name, or asked for it
    cdef bint batch             # steps follow one another, and nothing of anybody else's runs between them
    cdef object lingering       # the loop's current task, whose step is over: in a batch the next one replaces it

    # The call whose first step is under way; None otherwise.
    cdef Call call
    cdef object running         # its RequestTask
    cdef object coroutine       # its coroutine
    cdef object call_context    # its context
    cdef Steps steps            # what its task was initialised around, if that had to be done already

    cpdef refresh(self)
    cdef void begin_batch(self) noexcept
    cdef void end_batch(self) noexcept
    cdef void end_lingering(self) noexcept
    cdef tuple suspend_batch(self)
    cdef void resume_batch(self, tuple state) noexcept
    cdef object enter(self, object task)
    cdef int leave(self, object task, object before) except -1
    cdef void start(self, Call call, object app, object scope, object receive, object send) noexcept
    cdef void resume(self, Call call) noexcept
    cdef int proceed(self, Call call) except -1
    cdef int settle(self, Call call, object task, object context, object coroutine, PySendResult status,
                    object outcome) except -1
    cdef int unpark(self, Call call) except -1
    cdef int step(self, Call call, object app, object scope, object receive, object send) except -1
    cdef int spawn(self, Call call, object app, object scope, object receive, object send) except -1
    cdef int initialise(self, object task, Steps steps, object context, bint now) except -1
