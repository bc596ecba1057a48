"""The PROXY protocol (haproxy's proxy-protocol.txt, versions 1 and 2): a line or a block before everything else that says
whom the proxy connects for. Found where it ends, however it is cut; nothing is kept."""

from libc.stdint cimport uint16_t


cdef enum:
    LONGEST_LINE = 107          # bytes of version 1, the line end included (section 2.1)
    LONGEST_BLOCK = 4096        # bytes behind the 16 of version 2 that are taken
    LONGEST_PREFACE = 4112

cdef enum Versions:
    LINE = 1
    BLOCK = 2

cdef enum Verdict:
    INCOMPLETE
    COMPLETE
    WRONG


cdef struct Preface:
    size_t length               # bytes it takes
    bint local                  # it is about the proxy itself, or somebody unknown: the peer is who it is
    bint nameless               # the client has no address
    bint tls                    # the client speaks TLS to the proxy
    char host[46]               # as text
    uint16_t port


cdef Verdict read_preface(const char* data, size_t length, Versions accepted, Preface* preface) noexcept
