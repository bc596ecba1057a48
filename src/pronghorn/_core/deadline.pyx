# cython: binding=False
# A process whose stop takes too long. See deadline.pxd.

cdef extern from *:
    """
    #include <errno.h>
    #include <signal.h>
    #include <string.h>
    #include <time.h>
    #include <unistd.h>

    #if defined(_POSIX_TIMERS) && _POSIX_TIMERS > 0

    enum { DEADLINE_SIGNALS = 65, DEADLINE_REST = 1000 };

    static struct {
        timer_t abort, kill;
        pid_t owner;                                    /* a forked process has the handlers, and not the timers */
        volatile sig_atomic_t put;                      /* the time runs */
        struct { void (*next)(int); int first, again; } watched[DEADLINE_SIGNALS];
    } deadline;

    static struct timespec deadline_span(long milliseconds)
    {
        struct timespec span = { .tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000 };
        return span;
    }

    static void deadline_put(long milliseconds)         /* 0: none; called from handlers, too */
    {
        struct itimerspec time;
        if (deadline.owner != getpid())
            return;
        memset(&time, 0, sizeof time);
        time.it_value = deadline_span(milliseconds);
        deadline.put = milliseconds != 0;
        timer_settime(deadline.abort, 0, &time, NULL);
        if (milliseconds)
            time.it_value = deadline_span(milliseconds + DEADLINE_REST);
        timer_settime(deadline.kill, 0, &time, NULL);
    }

    static void deadline_heard(int number)
    {
        int before = errno, again = deadline.watched[number].again;
        struct itimerspec left;
        if (deadline.owner == getpid()) {
            if (!deadline.put)
                deadline_put(deadline.watched[number].first);
            else if (again && timer_gettime(deadline.abort, &left) == 0
                     && left.it_value.tv_sec >= again / 1000)
                deadline_put(again);
        }
        errno = before;
        deadline.watched[number].next(number);
    }

    static void deadline_over(int number)
    {
        static const char text[] = "The stop has taken longer than its limits allow: this process is ended.\\n";
        if (deadline.put && deadline.owner == getpid() && write(2, text, sizeof text - 1) < 0)
            errno = 0;                                  /* nobody reads it */
        deadline.watched[number].next(number);
    }

    static int deadline_chain(int number, void (*handler)(int))
    {
        struct sigaction action;
        if (sigaction(number, NULL, &action))
            return errno;
        if (action.sa_flags & SA_SIGINFO || action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)
            return EINVAL;
        if (action.sa_handler == handler)
            return 0;
        deadline.watched[number].next = action.sa_handler;
        action.sa_handler = handler;
        return sigaction(number, &action, NULL) ? errno : 0;
    }

    static int deadline_create(void)
    {
        struct sigevent event;
        memset(&event, 0, sizeof event);
        event.sigev_notify = SIGEV_SIGNAL;
        if (deadline.owner == getpid())
            return 0;
        event.sigev_signo = SIGABRT;
        if (timer_create(CLOCK_MONOTONIC, &event, &deadline.abort))
            return errno;
        event.sigev_signo = SIGKILL;
        if (timer_create(CLOCK_MONOTONIC, &event, &deadline.kill)) {
            int code = errno;
            timer_delete(deadline.abort);
            return code;
        }
        deadline.put = 0;
        deadline.owner = getpid();
        deadline_chain(SIGABRT, deadline_over);
        return 0;
    }

    static int deadline_watch(int number, int first, int again)
    {
        if (deadline.owner != getpid() || number <= 0 || number >= DEADLINE_SIGNALS)
            return EINVAL;
        deadline.watched[number].first = first;
        deadline.watched[number].again = again;
        return deadline_chain(number, deadline_heard);
    }

    #else                                               /* the loop alone keeps its limits */

    static int deadline_create(void) { return ENOSYS; }
    static int deadline_watch(int number, int first, int again) { return ENOSYS; }
    static void deadline_put(long milliseconds) { }

    #endif
    """
    int deadline_create()
    int deadline_watch(int number, int first, int again)
    void deadline_put(long milliseconds)


cdef int check(int code) except -1:
    if code:
        raise OSError(code, "cannot watch over the stop")
    return 0


def create() -> None:
    """Make the timers; once in a process. OSError where there are none."""
    check(deadline_create())


def watch(int number, int first, int again) -> None:
    """Let this signal, which has a handler, put the deadline in `first` milliseconds, and in `again` at most when there
    is one; 0 leaves it as it is. Whoever installs another handler ends that."""
    check(deadline_watch(number, first, again))


def put(long milliseconds) -> None:
    """The process ends in so many milliseconds, whatever was put before."""
    deadline_put(milliseconds)


def clear() -> None:
    """It does not any more."""
    deadline_put(0)
