"""The end of this process when its stop takes too long, whatever its threads are at.

The event loop keeps the limits of a stop, unless it is blocked: in a call that never returns, say, of a driver to a
database that is not there. The interpreter runs a signal's handler only between two steps of the main thread's code, so
that it may not even hear of SIGTERM. Here the system's own handler of the signal sets a timer of the system's, and the
interpreter's follows it. The timer sends SIGABRT, for which faulthandler shows where each thread is, and SIGKILL a second
later to what does not take that. (Timers need no thread: an application that forks before it serves is not warned.)

    idle --a signal that is watched, or set()--> set --clear()--> idle
                                                  │ └── when the time is over: SIGABRT, SIGKILL
                                                  └── the same signal again: sooner, where it has a limit for that
"""
