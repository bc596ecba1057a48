"""recv() and send() as the system has them.

In libc they are cancellation points: in a process with several threads each call sets a mark before and takes it back
after, by atomic operations. No thread of ours is ever cancelled.
"""

cdef extern from *:
    """
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
    """
    ssize_t recv "system_recv" (int fd, void* data, size_t length, int flags) nogil
    ssize_t send "system_send" (int fd, const void* data, size_t length, int flags) nogil
