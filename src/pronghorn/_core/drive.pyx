# The ASGI call loop. See drive.pxd for how it works and why.

import asyncio
import contextvars
import itertools
import sys
import threading

from cpython.dict cimport PyDict_SetDefault, PyDict_SetItem
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF

from ..calling import adopt, call as plain_call

from .future cimport current_tasks

cdef extern from *:
    """
    /* A task may serve the next request only if nobody can tell: no reference but so many of ours, no weak reference,
       and no attribute that an application has set on it. */
    static int task_is_ours(PyObject *task, Py_ssize_t references)
    {
        PyObject **dict = _PyObject_GetDictPtr(task);
        Py_ssize_t weak = Py_TYPE(task)->tp_weaklistoffset;
        return Py_REFCNT(task) == references
            && (dict == NULL || *dict == NULL)
            && (weak == 0 || *(PyObject **)((char *)task + weak) == NULL);
    }

    static PyObject *take_exception(void)
    {
    #if PY_VERSION_HEX >= 0x030C0000
        return PyErr_GetRaisedException();
    #else
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        if (traceback != NULL)
            PyException_SetTraceback(value, traceback);
        Py_XDECREF(type);
        Py_XDECREF(traceback);
        return value;
    #endif
    }
    """
    bint task_is_ours(PyObject* task, Py_ssize_t references)
    PyObject* take_exception()

cdef extern from "Python.h":
    PySendResult PyIter_Send(PyObject* iterator, PyObject* argument, PyObject** result)
    PyObject* PyObject_Vectorcall(PyObject* function, PyObject** arguments, size_t count, PyObject* names)
    size_t PY_VECTORCALL_ARGUMENTS_OFFSET
    bint PyCoro_CheckExact(PyObject* o)
    object PyContext_Copy(object context)
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1
    int PyDict_DelItem(object dictionary, object key)
    void PyErr_Clear()

cdef object Task = asyncio.Task
cdef object NativeTask = None
try:
    from _asyncio import Task as NativeTask
except ImportError:
    NativeTask = ()
cdef object CancelledError = asyncio.CancelledError
cdef object task_numbers = itertools.count(1)
cdef bint HAS_EAGER_START = sys.version_info >= (3, 12)

# Who is running. On 3.11 to 3.13 the C module keeps a dictionary, loop -> task, which it also shows; from 3.12 on there
# is a function that sets the current task and returns the one before, which newer versions leave as the only way.
cdef object swap_current_task = None
try:
    from _asyncio import _swap_current_task as swap_current_task
except ImportError:
    pass


cdef inline object steal(PyObject* reference):
    """An owned C reference as an object."""
    cdef object result = <object> reference
    Py_DECREF(result)
    return result


cdef object enter_task(object loop, object task):
    """Make `task` the current task of the loop; returns the one before it, or None."""
    cdef PyObject* before
    if current_tasks is None:
        return swap_current_task(loop, task)
    before = PyDict_SetDefault(current_tasks, loop, task)
    if before is <PyObject*> task:
        return None
    result = <object> before
    PyDict_SetItem(current_tasks, loop, task)
    return result


cdef int leave_task(object loop, object before) except -1:
    """Make `before` the current task again, or nobody if it is None."""
    if current_tasks is None:
        swap_current_task(loop, before)
    elif before is None:
        if PyDict_DelItem(current_tasks, loop) < 0:
            PyErr_Clear()           # a patch of asyncio that runs the loop inside of itself has taken it away
    else:
        PyDict_SetItem(current_tasks, loop, before)
    return 0


cdef class Call:

    cdef void enter(self) noexcept:
        pass

    cdef void leave(self) noexcept:
        pass

    cdef void returned(self, object result) noexcept:
        pass

    cdef void raised(self, object error) noexcept:
        pass

    def ended(self, result, error):
        """From a plain task: how the application ended."""
        self.task = None
        if error is None:
            self.returned(result)
        else:
            self.raised(error)
        self.leave()

    def done(self, task):
        """From a plain task: it is done. One that was cancelled before its first step has not said so itself."""
        if self.task is not None:
            self.ended(None, CancelledError())


class RequestTask(Task):
    """The current task of a request: an asyncio.Task that is initialised only when somebody needs a real one.

    `cancelling`, `uncancel` and `cancelled` are right as they are: asyncio answers them from zeroed memory. What would
    touch missing parts is answered here, or makes the task real first.
    """

    __slots__ = ("_call", "_drive", "_real", "_title")

    def _realise(self):
        cdef Drive drive
        if self._real:
            return
        drive = self._drive
        if drive.running is self:
            drive.steps = Steps.__new__(Steps, drive.call, drive.coroutine)
            drive.initialise(self, drive.steps, drive.call_context, False)
        elif self._call is not None:
            drive.unpark(self._call)
        else:
            # Somebody kept the task of a request that has ended: real, and done one turn of the loop later.
            drive.initialise(self, Steps.__new__(Steps, None, None), None, False)

    def get_name(self):
        if self._real:
            return Task.get_name(self)
        if self._title is None:
            self.set_name(f"Task-request-{next(task_numbers)}")
        return self._title

    def set_name(self, value, /):
        if self._real:
            Task.set_name(self, value)
        else:
            self._title = str(value)
            (<Drive> self._drive).named = True
            if (<Drive> self._drive).spare is self:
                (<Drive> self._drive).spare = None

    def get_loop(self):
        return self._drive.loop

    def get_coro(self):
        if self._real:
            return Task.get_coro(self)
        if self._call is not None:
            return (<Call> self._call).coroutine
        return (<Drive> self._drive).coroutine if (<Drive> self._drive).running is self else None

    def get_context(self):
        if self._real:
            return Task.get_context(self)
        if self._call is not None:
            return (<Call> self._call).context
        return (<Drive> self._drive).call_context if (<Drive> self._drive).running is self else None

    def done(self):
        if self._real:
            return Task.done(self)
        return (<Drive> self._drive).running is not self and self._call is None

    def cancel(self, msg=None):
        if not self._real and self.done():
            return False
        self._realise()
        return Task.cancel(self, msg)

    def result(self):
        if not self._real and self.done():
            return None
        self._realise()
        return Task.result(self)

    def exception(self):
        if not self._real and self.done():
            return None
        self._realise()
        return Task.exception(self)

    def add_done_callback(self, fn, /, *, context=None):
        self._realise()
        Task.add_done_callback(self, fn, context=context)

    def remove_done_callback(self, fn, /):
        return Task.remove_done_callback(self, fn) if self._real else 0

    def get_stack(self, *, limit=None):
        self._realise()
        return Task.get_stack(self, limit=limit)

    def print_stack(self, *, limit=None, file=None):
        self._realise()
        Task.print_stack(self, limit=limit, file=file)

    def __await__(self):
        self._realise()
        return Task.__await__(self)

    def __iter__(self):
        return self.__await__()

    def __repr__(self):
        if self._real:
            return Task.__repr__(self)
        return f"<RequestTask {'finished' if self.done() else 'running'} name={self.get_name()!r}>"


cdef class Steps:
    """The coroutine of a real task: the application's, from the point where it first waited.

    It always returns, whatever the application does: the server reports the application's errors, and asyncio would
    report them again. Only a cancellation goes through, so that the task counts as cancelled.
    """

    def __cinit__(self, Call call, object coroutine):
        self.call = call
        self.coroutine = coroutine
        self.progress = STARTING if call is not None else ENDED

    cdef bint resume(self, object value, object error) except -1:
        """One step. True: `yielded` is what the application yielded. False: it has ended."""
        cdef PyObject* result = NULL
        cdef PySendResult status
        cdef Call call = self.call
        if self.progress == ENDED:
            return False
        if self.progress == HOLDING:
            self.progress = DELEGATING
            if error is None:
                return True
            # Cancelled before it could be waited for: as Task.cancel() would, cancel what the application waits for.
            if self.yielded is not None:
                self.yielded._asyncio_future_blocking = False
                self.yielded.cancel()
        self.yielded = None
        call.enter()
        if error is None:
            status = PyIter_Send(<PyObject*> self.coroutine, <PyObject*> value, &result)
            if status == PYGEN_NEXT:
                self.yielded = steal(result)
                call.leave()
                return True
            outcome = steal(result) if status == PYGEN_RETURN else steal(take_exception())
        else:
            try:
                self.yielded = self.coroutine.throw(error)
                call.leave()
                return True
            except StopIteration as stop:
                status = PYGEN_RETURN
                outcome = stop.value
            except BaseException as thrown:
                status = PYGEN_ERROR
                outcome = thrown
        self.progress = ENDED
        self.call = None
        self.coroutine = None
        call.task = None
        if status == PYGEN_RETURN:
            call.returned(outcome)
            call.leave()
            return False
        call.raised(outcome)
        call.leave()
        if isinstance(outcome, CancelledError):
            raise outcome
        return False

    def __next__(self):
        if self.resume(None, None):
            return self.yielded
        raise StopIteration

    def send(self, value):
        if self.resume(value, None):
            return self.yielded
        raise StopIteration

    def throw(self, kind, value=None, traceback=None):
        if isinstance(kind, type):
            value = kind() if value is None else kind(value)
        else:
            value = kind
        if self.resume(None, value):
            return self.yielded
        raise StopIteration

    def close(self):
        if self.coroutine is not None:
            self.coroutine.close()

    def __iter__(self):
        return self

    def __await__(self):
        return self

    @property
    def __qualname__(self):
        return getattr(self.coroutine, "__qualname__", "request")

    @property
    def cr_frame(self):
        return getattr(self.coroutine, "cr_frame", None)

    @property
    def cr_code(self):
        return getattr(self.coroutine, "cr_code", None)

    @property
    def cr_running(self):
        return getattr(self.coroutine, "cr_running", False)

    @property
    def cr_await(self):
        return getattr(self.coroutine, "cr_await", None)

    @property
    def cr_suspended(self):
        return getattr(self.coroutine, "cr_suspended", self.progress == DELEGATING)

    @property
    def cr_origin(self):
        return getattr(self.coroutine, "cr_origin", None)


cdef class Drive:
    """Runs applications on one event loop.

    mode: "auto", "lazy", "eager" or "task". Lazy falls back to eager and eager to task where the interpreter does not
    have what it takes; a loop in debug mode or with a task factory gets plain tasks.
    """

    def __init__(self, loop, str mode="auto", context=None):
        self.loop = loop
        self.context = contextvars.copy_context() if context is None else context
        self.wanted = TASK if mode == "task" else EAGER if mode == "eager" else LAZY
        if self.wanted == LAZY and not LAZY_WORKS:
            self.wanted = EAGER
        if self.wanted == EAGER and not HAS_EAGER_START:
            self.wanted = TASK
        self.refresh()

    @property
    def mode_name(self) -> str:
        return ("lazy", "eager", "task")[<int> self.mode]

    cpdef refresh(self):
        """Look again whether the loop wants to see every task; called twice a second."""
        self.mode = self.wanted
        if self.loop.get_debug() or self.loop.get_task_factory() is not None:
            self.mode = TASK

    cdef void begin_batch(self) noexcept:
        """Until end_batch() steps follow one another: the task of one stays the current task until the next one's takes
        its place. Whatever else may look at the current task meanwhile is to call end_lingering() before."""
        self.batch = True

    cdef void end_batch(self) noexcept:
        self.batch = False
        self.end_lingering()

    cdef tuple suspend_batch(self):
        """The event loop runs in the middle of the batch. Who makes it do so has put the current task away."""
        state = (self.batch, self.lingering)
        self.batch = False
        self.lingering = None
        return state

    cdef void resume_batch(self, tuple state) noexcept:
        self.batch, self.lingering = state

    cdef void end_lingering(self) noexcept:
        if self.lingering is not None:
            self.lingering = None
            leave_task(self.loop, None)

    cdef object enter(self, object task):
        """A step begins. Returns the task whose step this one interrupts, or None."""
        cdef object lingering = self.lingering
        if lingering is None:
            return enter_task(self.loop, task)
        self.lingering = None
        if lingering is not task:
            enter_task(self.loop, task)
        return None

    cdef int leave(self, object task, object before) except -1:
        """It is over."""
        if self.batch and before is None:
            self.lingering = task
            return 0
        return leave_task(self.loop, before)

    cdef void start(self, Call call, object app, object scope, object receive, object send) noexcept:
        try:
            # A call inside another's first step is not to be seen in practice; a plain task is right for it too.
            if self.mode == LAZY and self.running is None:
                self.step(call, app, scope, receive, send)
            else:
                self.spawn(call, app, scope, receive, send)
        except BaseException as error:
            call.task = None
            call.raised(error)

    cdef int step(self, Call call, object app, object scope, object receive, object send) except -1:
        cdef PyObject* arguments[4]
        cdef PyObject* result = NULL
        cdef PyObject* coroutine
        cdef PySendResult status = PYGEN_ERROR
        cdef Steps steps
        cdef object task = self.spare
        cdef object context = PyContext_Copy(self.context)
        self.spare = None
        # Since it became the spare one, something that an application left behind may have looked at the current task.
        if task is None or not task_is_ours(<PyObject*> task, 3 if self.lingering is task else 1):
            task = RequestTask.__new__(RequestTask)
            task._drive = self
            task._call = None
            task._real = False
            task._title = None
        arguments[1] = <PyObject*> scope
        arguments[2] = <PyObject*> receive
        arguments[3] = <PyObject*> send

        self.call = call
        self.named = False
        self.running = task
        self.call_context = context
        before = self.enter(task)
        PyContext_Enter(context)
        coroutine = PyObject_Vectorcall(<PyObject*> app, arguments + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
        if coroutine is not NULL:
            if PyCoro_CheckExact(coroutine):
                self.coroutine = steal(coroutine)
            else:
                self.coroutine = adopt(steal(coroutine))
            status = PyIter_Send(<PyObject*> self.coroutine, <PyObject*> None, &result)
        outcome = steal(take_exception()) if status == PYGEN_ERROR else steal(result)
        PyContext_Exit(context)
        self.leave(task, before)
        owned = self.coroutine
        self.coroutine = None
        return self.settle(call, task, context, owned, status, outcome)

    cdef void resume(self, Call call) noexcept:
        """What a parked call waits for is done: its next step."""
        try:
            if self.running is None:
                self.proceed(call)
            else:
                self.unpark(call)
        except BaseException as error:
            call.task = None
            call.raised(error)
            call.leave()

    cdef int proceed(self, Call call) except -1:
        cdef PyObject* result = NULL
        cdef PySendResult status
        cdef object task = call.task
        cdef object context = call.context
        cdef object coroutine = call.coroutine
        PyContext_Enter(context)
        task._call = None
        call.task = call.context = call.coroutine = call.pending = None
        call.enter()
        self.call = call
        self.named = task._title is not None
        self.running = task
        self.call_context = context
        self.coroutine = coroutine
        before = self.enter(task)
        status = PyIter_Send(<PyObject*> coroutine, <PyObject*> None, &result)
        outcome = steal(take_exception()) if status == PYGEN_ERROR else steal(result)
        PyContext_Exit(context)
        self.leave(task, before)
        self.coroutine = None
        self.settle(call, task, context, coroutine, status, outcome)
        call.leave()
        return 0

    cdef int settle(self, Call call, object task, object context, object coroutine, PySendResult status,
                    object outcome) except -1:
        """A step is over: the call has ended, is parked, or goes on in a task. The caller holds the task, too."""
        cdef Steps steps = self.steps
        self.call = None
        self.running = None
        self.call_context = None
        self.steps = None
        if status == PYGEN_NEXT:
            call.task = task
            if steps is not None:
                steps.coroutine = coroutine
                steps.yielded = outcome
                steps.progress = HOLDING
            elif type(outcome) is Wait and (<Wait> outcome).sleeper is None:
                call.coroutine = coroutine
                call.context = context
                call.pending = <Wait> outcome
                call.pending.sleeper = call
                task._call = call
                if call.pending.finished:
                    self.loop.call_soon(call.pending.awake)
            else:
                steps = Steps.__new__(Steps, call, coroutine)
                steps.yielded = outcome
                steps.progress = HOLDING
                self.initialise(task, steps, context, True)
            return 0
        if steps is not None:
            steps.progress = ENDED
            steps.call = None
        elif not self.named and task_is_ours(<PyObject*> task, 1 if self.lingering is None else 3):
            self.spare = task
        if status == PYGEN_RETURN:
            call.returned(outcome)
        else:
            call.raised(outcome)
        return 0

    cdef int unpark(self, Call call) except -1:
        """Somebody wants to see a parked call's task: make it a real one, which waits for the same thing."""
        cdef Steps steps = Steps.__new__(Steps, call, call.coroutine)
        cdef object context = call.context
        steps.yielded = call.pending
        steps.progress = HOLDING
        call.pending.sleeper = None
        call.task._call = None
        call.context = call.coroutine = call.pending = None
        return self.initialise(call.task, steps, context, False)

    cdef int initialise(self, object task, Steps steps, object context, bint now) except -1:
        """Make `task` a real one around `steps`; with `now` its first step runs at once where that can be had."""
        task._real = True
        if HAS_EAGER_START and now:
            Task.__init__(task, steps, loop=self.loop, name=task._title, context=context, eager_start=True)
        else:
            Task.__init__(task, steps, loop=self.loop, name=task._title, context=context)
        return 0

    cdef int spawn(self, Call call, object app, object scope, object receive, object send) except -1:
        context = self.context.copy()
        coroutine = plain_call(app, scope, receive, send, call.ended)
        if self.mode == EAGER:
            task = Task(coroutine, loop=self.loop, context=context, eager_start=True)
        else:
            # Not create_task(context=...): factories made before 3.11 do not know that argument.
            task = context.run(self.loop.create_task, coroutine)
        if not task.done():
            call.task = task
            task.add_done_callback(call.done)
        return 0


cdef class Probe(Call):
    """A call that remembers how it ended."""
    cdef list outcomes

    def __cinit__(self):
        self.outcomes = []

    cdef void returned(self, object result) noexcept:
        self.outcomes.append(result)

    cdef void raised(self, object error) noexcept:
        self.outcomes.append(error)


def probe() -> bool:
    """Whether the lazy task works on this interpreter: one call that returns at once, one that waits."""
    global LAZY_WORKS
    if (current_tasks is None and swap_current_task is None) or not issubclass(Task, NativeTask):
        return False            # nest_asyncio puts the task that is written in Python in its place: that one has no zeroed memory
    cdef Probe at_once = Probe.__new__(Probe)
    cdef Probe waiting = Probe.__new__(Probe)
    cdef Drive drive

    async def app(scope, receive, send):
        before = asyncio.current_task()
        if scope:
            async with asyncio.timeout(60):
                await asyncio.sleep(0)
            async with asyncio.timeout(60):
                await scope["future"]
        return isinstance(before, RequestTask) and asyncio.current_task() is before

    loop = asyncio.SelectorEventLoop()
    loop.set_debug(False)       # python -X dev would ask for plain tasks
    LAZY_WORKS = True
    try:
        drive = Drive(loop, "lazy")
        future = loop.create_future()
        loop.call_soon(start_probe, drive, at_once, app, None)
        loop.call_soon(start_probe, drive, waiting, app, {"future": future})
        loop.call_soon(loop.call_soon, loop.call_soon, future.set_result, None)
        for _ in range(20):
            loop.call_soon(loop.stop)
            loop.run_forever()
        return at_once.outcomes == [True] and waiting.outcomes == [True]
    except Exception:
        return False
    finally:
        loop.close()


def start_probe(Drive drive, Call call, app, scope):
    drive.start(call, app, scope, None, None)


LAZY_WORKS = False


def _probe_once():
    global LAZY_WORKS
    LAZY_WORKS = probe()


# A loop cannot run inside another one: a program that imports us from a running loop is probed in a thread.
if asyncio._get_running_loop() is None:
    _probe_once()
else:
    _thread = threading.Thread(target=_probe_once)
    _thread.start()
    _thread.join()
