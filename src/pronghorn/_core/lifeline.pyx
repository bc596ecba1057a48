# cython: binding=False
# A process that ends with its parent. See lifeline.pxd.

cdef extern from *:
    """
    #include <errno.h>
    #include <poll.h>
    #include <pthread.h>
    #include <signal.h>
    #include <unistd.h>

    static struct { int line, grace, rest; } lifeline;

    static void lifeline_wait(int milliseconds)
    {
        poll(NULL, 0, milliseconds);                    /* every signal is blocked here: nothing cuts it short */
    }

    static void *lifeline_watch(void *nothing)
    {
        struct pollfd end = { .fd = lifeline.line };    /* asked for nothing, it only tells of the end */
        int told;
        do
            told = poll(&end, 1, -1);
        while (told < 0 && errno == EINTR);
        if (told < 0 || end.revents & POLLNVAL)
            return nothing;                             /* the line is not there, which says nothing of the parent */
        lifeline_wait(lifeline.grace);
        kill(getpid(), SIGABRT);
        lifeline_wait(lifeline.rest);
        kill(getpid(), SIGKILL);
        return nothing;
    }

    static int lifeline_start(void)
    {
        pthread_t thread;
        sigset_t all, before;
        int code;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);    /* whoever handles them shall not find this thread interrupted */
        code = pthread_create(&thread, NULL, lifeline_watch, NULL);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return code ? code : pthread_detach(thread);
    }
    """
    struct Lifeline:
        int line
        int grace
        int rest
    Lifeline lifeline
    int lifeline_start()


def end_with(int line, int grace, int rest) -> None:
    """Abort this process `grace` milliseconds after the other end of `line` has gone, and kill it after `rest` more if it
    does not take that; once in a process, and not in what it forks."""
    lifeline.line, lifeline.grace, lifeline.rest = line, grace, rest
    cdef int code = lifeline_start()
    if code:
        raise OSError(code, "cannot start a thread")
