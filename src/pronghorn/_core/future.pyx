# cython: binding=False
# A future that can let its task go on at once. See future.pxd.

import asyncio
import contextvars
import sys

cdef extern from "Python.h":
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1

cdef object CancelledError = asyncio.CancelledError
cdef object InvalidStateError = asyncio.InvalidStateError
cdef object current_task = asyncio.current_task
cdef object running_loop = asyncio.get_running_loop
current_tasks = None
if sys.version_info < (3, 14):
    try:
        from _asyncio import _current_tasks as current_tasks
    except ImportError:
        pass


cdef inline bint busy(object loop):
    """Whether a task of the loop is in the middle of a step."""
    return loop in current_tasks if current_tasks is not None else current_task(loop) is not None


def raise_again(error):
    """What is meant to end the program has to come out of a callback of the loop."""
    raise error


cdef class Sleeper:

    cdef void awake(self) noexcept:
        pass


cdef class Wait:

    cdef void complete(self, bint now) noexcept:
        """It is done. now: let who waits go on before this returns, unless a task is running; the caller must be at a
        point where the application may do anything."""
        cdef Sleeper sleeper = self.sleeper
        callbacks = self.callbacks
        if self.finished:
            return
        self.finished = True
        self.callbacks = None
        if sleeper is not None:
            loop = running_loop()
            if now and not busy(loop):
                self.sleeper = None
                sleeper.awake()
            else:
                loop.call_soon(self.awake)
        if callbacks is not None:
            for callback, context in <list> callbacks:
                self.call(callback, context, now)

    def awake(self):
        """From the loop: the sleeper's turn, if it still is one."""
        cdef Sleeper sleeper = self.sleeper
        self.sleeper = None
        if sleeper is not None:
            sleeper.awake()

    cdef void call(self, object callback, object context, bint now) noexcept:
        cdef bint entered = False
        loop = running_loop()
        try:
            if not now or busy(loop):
                loop.call_soon(callback, self, context=context)
                return
            PyContext_Enter(context)
            entered = True
            callback(self)
        except (SystemExit, KeyboardInterrupt) as error:
            loop.call_soon(raise_again, error)
        except BaseException as error:
            loop.call_exception_handler({"message": f"Exception in callback {callback!r}", "exception": error})
        finally:
            if entered:
                PyContext_Exit(context)

    def get_loop(self):
        return running_loop()

    def done(self):
        return self.finished

    def cancelled(self):
        return self.dropped

    def result(self):
        if self.dropped:
            raise CancelledError() if self.callbacks is None else CancelledError(self.callbacks)
        if not self.finished:
            raise InvalidStateError("Result is not set.")

    def exception(self):
        self.result()

    def cancel(self, msg=None):
        if self.finished:
            return False
        self.dropped = True
        self.complete(False)
        self.callbacks = msg
        return True

    def add_done_callback(self, fn, /, *, context=None):
        if context is None:
            context = contextvars.copy_context()
        if self.finished:
            self.call(fn, context, False)
        elif self.callbacks is None:
            self.callbacks = [(fn, context)]
        else:
            (<list> self.callbacks).append((fn, context))

    def remove_done_callback(self, fn, /):
        cdef list before = [] if self.finished or self.callbacks is None else self.callbacks
        cdef list kept = [entry for entry in before if entry[0] != fn]
        if not self.finished:
            self.callbacks = kept or None
        return len(before) - len(kept)

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if self.finished:
            self.result()
            raise StopIteration
        self._asyncio_future_blocking = True
        return self
