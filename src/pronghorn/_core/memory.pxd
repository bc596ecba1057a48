"""Memory that a peak has taken, back to the system.

glibc keeps what has been freed in the middle of its heaps: after a peak of 500 MB a process stays at 200 for good. Asking
it to give that back costs milliseconds, so it is asked once the process has little to do, and only if it has grown much
since. Other allocators look after that themselves, and are left alone.
"""


# Look whether there is something to give back, and do so when it is time. now: seconds on the monotonic clock. Returns
# whether to look again later, also if nothing happens until then.
cdef bint give_back(double now) noexcept
