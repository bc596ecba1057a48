# cython: binding=False
# The alternate signal stack. See signalstack.pxd.

cdef extern from *:
    """
    #include <errno.h>
    #include <signal.h>
    #include <stddef.h>
    #include <sys/mman.h>
    #ifdef __linux__
    #include <sys/auxv.h>
    #endif

    #ifndef MAP_ANONYMOUS
    #define MAP_ANONYMOUS MAP_ANON
    #endif
    #ifndef MAP_NORESERVE
    #define MAP_NORESERVE 0
    #endif

    enum {
        SIGNAL_KINDS = 65,              /* the system nests each signal once at most */
        SIGNAL_HANDLER = 2048,          /* what the interpreter's handler takes beside the saved state */
        SIGNAL_FAULT = 65536            /* what faulthandler takes, which is the last */
    };

    static size_t signal_stack_size(void)
    {
        size_t state = 16384;           /* where the system does not say: more than any processor has today */
    #ifdef AT_MINSIGSTKSZ
        unsigned long said = getauxval(AT_MINSIGSTKSZ);
        if (said)
            state = said;
    #endif
        return SIGNAL_KINDS * (state + SIGNAL_HANDLER) + SIGNAL_FAULT;
    }

    static int signal_stack_widen(void)
    {
        stack_t now, wide;
        if (sigaltstack(NULL, &now))
            return errno;
        if (now.ss_flags)               /* there is none, so that handlers run on the thread's own; or one is running */
            return 0;
        wide.ss_flags = 0;
        wide.ss_size = signal_stack_size();
        if (now.ss_size >= wide.ss_size)
            return 0;
        /* Never given back: whoever installed the one before may install it again. Only pages that are used count. */
        wide.ss_sp = mmap(NULL, wide.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (wide.ss_sp == MAP_FAILED)
            return errno;
        if (sigaltstack(&wide, NULL) == 0)
            return 0;
        munmap(wide.ss_sp, wide.ss_size);
        return errno;
    }
    """
    int signal_stack_widen()


def widen() -> None:
    """Let all signals nest on this thread's alternate stack, if it has one. OSError when there is no memory for that."""
    cdef int code = signal_stack_widen()
    if code:
        raise OSError(code, "cannot widen the signal stack")
