"""The end of a process whose parent has gone, whatever its threads are at.

A thread of its own waits for the end of a line whose other end is the parent's, then for a while, and ends the process.
It is the system's and not the interpreter's: it needs no lock, so that neither an extension module that keeps the lock
nor an import stops it, and nobody in Python sees it. A signal that the kernel sends at the parent's death (Linux's
PR_SET_PDEATHSIG) would leave no time for a graceful end, and is lost when the process changes its user; and what it
did could only be decided by a handler, which the interpreter runs in the very thread that is blocked.
"""
