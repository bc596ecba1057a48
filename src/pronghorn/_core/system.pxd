"""What the system has for sockets, where it differs from one to the next.

recv() and send(): in libc they are cancellation points: in a process with several threads each call sets a mark before and takes it back
after, by atomic operations. No thread of ours is ever cancelled.
"""

from libc.stdint cimport uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #ifdef __linux__
    #include <sys/socket.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    #endif
    #if defined(__linux__) && defined(SYS_sendto) && defined(SYS_recvfrom)
    static inline ssize_t system_recv(int fd, void *data, size_t length, int flags)
    {
        return syscall(SYS_recvfrom, fd, data, length, flags, NULL, NULL);
    }
    static inline ssize_t system_send(int fd, const void *data, size_t length, int flags)
    {
        return syscall(SYS_sendto, fd, data, length, flags, NULL, 0);
    }
    #else
    #include <sys/socket.h>
    #define system_recv recv
    #define system_send send
    #endif

    /* Bytes that the system holds for a socket and the peer has not taken: those that TCP has no acknowledgement for, or
       that the other end of a unix socket has not read. 0 where the system does not tell. */
    #if defined(__linux__)
    #include <sys/ioctl.h>
    #include <linux/sockios.h>
    #elif defined(__FreeBSD__)
    #include <sys/ioctl.h>
    #include <sys/filio.h>
    #endif
    static inline uint32_t system_unsent(int fd)
    {
        int unsent = 0;
    #if defined(__linux__)
        if (ioctl(fd, SIOCOUTQ, &unsent) < 0)
            return 0;
    #elif defined(SO_NWRITE)
        socklen_t length = sizeof unsent;
        if (getsockopt(fd, SOL_SOCKET, SO_NWRITE, &unsent, &length) < 0)
            return 0;
    #elif defined(FIONWRITE)
        if (ioctl(fd, FIONWRITE, &unsent) < 0)
            return 0;
    #endif
        return (uint32_t) unsent;
    }

    /* Bytes that a TCP peer has acknowledged since it connected; 0 where the system does not tell. */
    #if defined(__linux__)
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <string.h>
    enum { TCPI_BYTES_ACKED = 120 };    /* in the kernel's struct tcp_info (Linux 4.1), of which libc declares less */
    #endif
    static inline uint64_t system_acknowledged(int fd)
    {
    #if defined(__linux__)
        unsigned char info[TCPI_BYTES_ACKED + sizeof(uint64_t)];
        socklen_t length = sizeof info;
        uint64_t acknowledged;
        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &length) == 0 && length == sizeof info) {
            memcpy(&acknowledged, info + TCPI_BYTES_ACKED, sizeof acknowledged);
            return acknowledged;
        }
    #endif
        return 0;
    }

    #include <time.h>
    static inline double monotonic(void)
    {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec + now.tv_nsec * 1e-9;
    }
    """
    ssize_t recv "system_recv" (int fd, void* data, size_t length, int flags) nogil
    ssize_t send "system_send" (int fd, const void* data, size_t length, int flags) nogil
    uint32_t unsent "system_unsent" (int fd) nogil
    uint64_t acknowledged "system_acknowledged" (int fd) nogil
    double monotonic() nogil
