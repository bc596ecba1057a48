# The PROXY protocol. See preface.pxd.

from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp, memset, strlen

cdef extern from *:
    """
    #include <string.h>
    #ifdef _WIN32
    #include <ws2tcpip.h>
    #else
    #include <sys/socket.h>
    #include <arpa/inet.h>
    #endif
    enum { V4 = AF_INET, V6 = AF_INET6 };

    /* A mapped address (::ffff:1.2.3.4, RFC 4291 section 2.5.5.2) as the one of IPv4 that it is. */
    static const char *write_v6(const void *address, char *text, unsigned int room)
    {
        static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
        if (memcmp(address, mapped, sizeof mapped) == 0)
            return inet_ntop(AF_INET, (const char *)address + 12, text, room);
        return inet_ntop(AF_INET6, address, text, room);
    }
    """
    int V4
    int V6
    const char* write_v6(const void* address, char* text, unsigned int room) nogil
    int inet_pton(int family, const char* text, void* address) nogil
    const char* inet_ntop(int family, const void* address, char* text, unsigned int room) nogil

cdef enum:
    SIGNATURE_LENGTH = 12
    BLOCK_HEAD = 16
    LOCAL = 0x20                # version and command
    PROXY = 0x21
    UNSPECIFIED = 0x00          # families, and STREAM: a connection of ours carries no datagrams
    OVER_IPV4 = 0x11
    OVER_IPV6 = 0x21
    OVER_UNIX = 0x31
    TLV_TLS = 0x20
    CLIENT_TLS = 0x01

cdef const char* SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


cdef Verdict read_preface(const char* data, size_t length, Versions accepted, Preface* preface) noexcept:
    """accepted: LINE, BLOCK or both. preface: filled when the verdict is COMPLETE."""
    memset(preface, 0, sizeof(Preface))
    if length == 0:
        return INCOMPLETE
    if accepted & BLOCK and memcmp(data, SIGNATURE, min(length, <size_t> SIGNATURE_LENGTH)) == 0:
        return INCOMPLETE if length < BLOCK_HEAD else read_block(<const uint8_t*> data, length, preface)
    if accepted & LINE and memcmp(data, b"PROXY ", min(length, <size_t> 6)) == 0:
        return read_line(data, length, preface)
    return WRONG


cdef Verdict read_line(const char* data, size_t length, Preface* preface) noexcept:
    """Section 2.1: PROXY TCP4|TCP6 source destination port port, or PROXY UNKNOWN and whatever."""
    cdef const char* end = <const char*> memchr(data, c'\n', min(length, <size_t> LONGEST_LINE))
    cdef uint8_t[16] scratch
    if end is NULL:
        return INCOMPLETE if length < LONGEST_LINE else WRONG
    if end[-1] != c'\r':
        return WRONG
    preface.length = end + 1 - data
    parts = data[:preface.length - 2].split(b" ")
    if parts[1] == b"UNKNOWN":
        preface.local = True
        return COMPLETE
    if len(parts) != 6 or parts[1] not in (b"TCP4", b"TCP6"):
        return WRONG
    for port in parts[4:]:
        if not port.isdigit() or len(port) > 5 or int(port) > 65535 or (port.startswith(b"0") and port != b"0"):
            return WRONG
    family = V4 if parts[1] == b"TCP4" else V6
    for address in parts[2:4]:
        if b"\0" in address or inet_pton(family, address, scratch) != 1:
            return WRONG
    inet_pton(family, parts[2], scratch)
    # As the scope has addresses: in one way only.
    if family == V4:
        inet_ntop(V4, scratch, preface.host, sizeof(preface.host))
    else:
        write_v6(scratch, preface.host, sizeof(preface.host))
    preface.port = int(parts[4])
    return COMPLETE


cdef Verdict read_block(const uint8_t* data, size_t length, Preface* preface) noexcept:
    """Section 2.2."""
    cdef size_t size = data[14] << 8 | data[15]
    cdef size_t addresses = 0
    cdef size_t at
    cdef uint8_t family = data[13]
    if size > LONGEST_BLOCK or (data[12] != LOCAL and data[12] != PROXY):
        return WRONG
    if family == OVER_IPV4:
        addresses = 12
    elif family == OVER_IPV6:
        addresses = 36
    elif family == OVER_UNIX:
        addresses = 216
    if data[12] == PROXY and (size < addresses or (addresses == 0 and family != UNSPECIFIED)):
        return WRONG
    if length < BLOCK_HEAD + size:
        return INCOMPLETE
    preface.length = BLOCK_HEAD + size
    if data[12] == LOCAL or family == UNSPECIFIED:
        preface.local = True
        return COMPLETE
    data += BLOCK_HEAD
    if family == OVER_IPV4:
        inet_ntop(V4, data, preface.host, sizeof(preface.host))
        preface.port = data[8] << 8 | data[9]
    elif family == OVER_IPV6:
        write_v6(data, preface.host, sizeof(preface.host))
        preface.port = data[32] << 8 | data[33]
    else:
        preface.nameless = True
    at = addresses
    while at + 3 <= size:               # type, length, value
        if data[at] == TLV_TLS and at + 3 < size and data[at + 1] << 8 | data[at + 2]:
            preface.tls = data[at + 3] & CLIENT_TLS
        at += 3 + (data[at + 1] << 8 | data[at + 2])
    return COMPLETE if at == size else WRONG


def parse(bytes data, int accepted=3) -> tuple | None:
    """(length, local, host or None, port, tls) of a preface, None while it is incomplete; ValueError when it is none. For
    tests."""
    cdef Preface preface
    cdef Verdict verdict = read_preface(data, len(data), <Versions> accepted, &preface)
    if verdict == WRONG:
        raise ValueError("not a preface of the PROXY protocol")
    if verdict == INCOMPLETE:
        return None
    host = None if preface.local or preface.nameless else preface.host[:strlen(preface.host)].decode("ascii")
    return preface.length, bool(preface.local), host, preface.port, bool(preface.tls)
