# cython: binding=False
# glibc's malloc_trim() at the right time. See memory.pxd.

cdef extern from *:
    """
    #include <stddef.h>
    #if defined(__linux__)
    #include <features.h>
    #endif

    #if defined(__linux__) && defined(__GLIBC__)
    #include <fcntl.h>
    #include <malloc.h>
    #include <stdio.h>
    #include <time.h>
    #include <unistd.h>

    enum { LARGE = 64 << 20 };              /* bytes by which a process must have grown */
    static const double LOOK = 2.0;         /* seconds between two looks */
    static const double REST = 10.0;        /* between two times that it is given back */
    static const double LITTLE = 0.1;       /* of a processor's time, since the last look */

    /* Of the process. Only the thread that holds the GIL comes here. */
    static struct { size_t least; double looked, used, given; } memory;

    static size_t memory_resident(void)
    {
        char text[128];
        long size, resident;
        ssize_t length;
        int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return 0;
        length = read(fd, text, sizeof text - 1);
        close(fd);
        if (length <= 0)
            return 0;
        text[length] = 0;
        return sscanf(text, "%ld %ld", &size, &resident) == 2 ? (size_t) resident * sysconf(_SC_PAGESIZE) : 0;
    }

    static double memory_used(void)
    {
        struct timespec used;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
        return used.tv_sec + used.tv_nsec * 1e-9;
    }

    static int memory_give_back(double now)
    {
        double used;
        size_t resident;
        int left;
        if (memory.looked && now - memory.looked < LOOK)
            return 1;
        used = memory_used();
        resident = memory_resident();
        if (memory.least == 0 || resident < memory.least)
            memory.least = resident;
        left = resident >= memory.least + LARGE;
        if (left && now - memory.looked < 2 * LOOK && now - memory.given >= REST
                && used - memory.used < LITTLE * (now - memory.looked)) {
            malloc_trim(0);
            memory.given = now;
            memory.least = memory_resident();
            left = 0;
        }
        memory.looked = now;
        memory.used = used;
        return left;
    }
    #else
    static int memory_give_back(double now) { return 0; }
    #endif
    """
    bint memory_give_back(double now)


cdef bint give_back(double now) noexcept:
    return memory_give_back(now)
