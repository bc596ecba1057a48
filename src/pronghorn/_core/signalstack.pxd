"""The stack that this thread's signal handlers run on.

The interpreter's handlers ask for the alternate stack, and `faulthandler` installs one with room for itself and one
signal. Signals that arrive together nest: each saves the processor's whole state there, 3 KiB with AVX2, 11 KiB with
AVX-512 and AMX. Five of them overflow that stack, and the system ends the process by SIGSEGV.
"""
