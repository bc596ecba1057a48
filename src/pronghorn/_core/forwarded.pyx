# cython: binding=False
# The client behind trusted proxies. See forwarded.pxd.

import re

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from libc.string cimport strlen

from .target cimport valid_authority

cdef extern from *:
    """
    #ifdef _WIN32
    #include <ws2tcpip.h>
    #else
    #include <sys/socket.h>
    #include <arpa/inet.h>
    #endif
    enum { V4 = AF_INET };
    """
    int V4
    int inet_pton(int family, const char* text, void* address) nogil

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(str text, Py_ssize_t* length) except NULL

cdef enum:
    KNOWN = 1024                # hosts whose trust is remembered
    LONGEST = 100               # bytes of an address with its port, and with room for a zone
    WHOLE = 4096                # bytes of Forwarded, which is read as a whole: more than HOPS proxies need

cdef dict FLAGS = {
    "for": FOR, "proto": PROTO, "host": THE_HOST, "port": PORT, "prefix": PREFIX, "forwarded": RFC7239,
}
cdef dict NAMES = {
    b"x-forwarded-for": FOR, b"x-forwarded-proto": PROTO, b"x-forwarded-host": THE_HOST, b"x-forwarded-port": PORT,
    b"x-forwarded-prefix": PREFIX, b"forwarded": RFC7239,
}
cdef dict SCHEMES = {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}
cdef dict DEFAULT_PORTS = {"http": 80, "https": 443}

# A list of elements, each of pairs with a token or a quoted string (RFC 7239 section 4).
cdef bytes PAIR = (
    rb"(?s)[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|\"((?:[^\"\\]|\\.)*)\")[ \t]*(;|,|$)"
)
cdef bytes PATH = rb"(?:/[!$&'()*+,\-.0-9:;=@A-Z_a-z~]+)+/?"     # RFC 3986: a path without escapes


cdef class Origin:

    def __cinit__(self):
        self.port = -1

    cdef int amend(self, dict scope) except -1:
        """Put it into the scope of a request or a WebSocket; the client is there already."""
        cdef list headers = scope["headers"]
        cdef Py_ssize_t i
        if self.scheme is not None:
            if scope["type"] == "websocket":
                scope["scheme"] = "wss" if self.scheme == "https" else "ws"
            else:
                scope["scheme"] = self.scheme
        if self.host is not None or self.port >= 0:
            scheme = "https" if scope["scheme"] in ("https", "wss") else "http"
            host = self.host
            if host is None:
                host = b""
                for name, value in headers:
                    if name == b"host":
                        host = value
            name, port = split_port(host)
            if self.port >= 0:
                port = self.port
                host = name if port == DEFAULT_PORTS[scheme] else b"%b:%d" % (name, port)
            for i in range(len(headers)):
                if headers[i][0] == b"host":
                    headers[i] = (headers[i][0], host)
            scope["server"] = (name.strip(b"[]").decode("latin-1"), port if port >= 0 else DEFAULT_PORTS[scheme])
        if self.prefix is not None:
            scope["root_path"] = self.prefix + scope["root_path"]
            scope["path"] = self.prefix + scope["path"]
            scope["raw_path"] = self.prefix.encode("ascii") + scope["raw_path"]
        return 0


cdef class Forwarding:
    """trusted: a container of hosts. believed: the fields that are looked at, out of for, proto, host, port, prefix and
    forwarded."""

    def __init__(self, trusted, believed):
        self.trusted = trusted
        self.known = {}
        for name in believed:
            self.believed |= <uint8_t> FLAGS[name]
        # Most believe neither, and patterns are slow to compile.
        self.pair = re.compile(PAIR) if self.believed & RFC7239 else None
        self.path = re.compile(PATH) if self.believed & PREFIX else None

    cdef bint trusts(self, str host) except -1:
        known = self.known.get(host)
        if known is None:
            known = host in self.trusted
            if len(self.known) >= KNOWN:
                self.known.clear()
            self.known[host] = known
        return known

    cdef Origin origin(self, object peer, list headers):
        """What the proxy at `peer`, (host, port) or None on a unix socket, says; None when it is not to be believed."""
        cdef Origin origin
        cdef list elements
        if not self.trusts("unix" if peer is None else peer[0]):
            return None
        origin = Origin.__new__(Origin)
        origin.client = peer
        if self.believed & RFC7239:
            elements = [value for name, value in headers if name == b"forwarded"]
            if elements:
                whole = b",".join(elements)
                if len(whole) <= WHOLE and self.from_elements(origin, whole):
                    return origin
        self.from_fields(origin, headers)
        return origin

    def look(self, peer, headers) -> tuple:
        """What origin() finds, as a tuple; for tests and measurements."""
        cdef Origin origin = self.origin(peer, headers)
        if origin is None:
            return None
        return origin.client, origin.scheme, origin.host, origin.port, origin.prefix

    cdef int from_fields(self, Origin origin, list headers) except -1:
        cdef dict said = {}
        cdef list hops, fields
        cdef int flag
        for name, value in headers:
            flag = NAMES.get(name, 0)
            if flag & self.believed:
                said[flag] = said[flag] + b"," + value if flag in said else value
        hops = [{FOR: one} for one in last_elements(said[FOR])] if FOR in said else []
        for flag in (PROTO, THE_HOST, PORT, PREFIX):
            if flag not in said:
                continue
            fields = last_elements(said[flag])
            if not hops:
                hops = [{}]
            # A proxy that adds to the one list may replace the other: then what it says is for everything before it.
            if fields:
                for i in range(len(hops)):
                    hops[i][flag] = fields[max(i + len(fields) - len(hops), 0)]
        return self.walk(origin, hops)

    cdef bint from_elements(self, Origin origin, bytes value) except -1:
        """From a whole Forwarded; False when it is not what RFC 7239 allows: then it says nothing."""
        cdef list hops = []
        cdef dict hop = {}
        cdef dict flags = {b"for": FOR, b"proto": PROTO, b"host": THE_HOST}
        cdef Py_ssize_t at = 0
        while at < len(value):
            found = self.pair.match(value, at)
            if found is None:
                return False
            name, token, quoted, end = found.groups()
            flag = flags.get(name.lower())
            if flag is not None:
                if flag in hop:
                    return False        # section 4: each parameter once
                hop[flag] = token if quoted is None else re.sub(rb"\\(.)", rb"\1", quoted)
            at = found.end()
            if end == b",":
                hops.append(hop)
                hop = {}
        hops.append(hop)
        self.walk(origin, hops)
        return True

    cdef int walk(self, Origin origin, list hops) except -1:
        """From the right to the first client that is not one of our proxies. hops: flag -> value, for each of them."""
        cdef dict hop
        cdef int passed = 0
        for hop in reversed(hops):
            if passed == HOPS:
                break
            passed += 1
            value = hop.get(PROTO)
            if value is not None:
                origin.scheme = SCHEMES.get(value.lower(), origin.scheme)
            value = hop.get(THE_HOST)
            if value is not None and value and valid_authority(value, len(value)):
                origin.host = value
            value = hop.get(PORT)
            if value is not None and value.isdigit() and len(value) <= 5 and int(value) <= 65535:
                origin.port = int(value)
            value = hop.get(PREFIX)
            if value is not None and self.path.fullmatch(value):
                origin.prefix = value.decode("ascii").rstrip("/")
            value = hop.get(FOR)
            if value is None:
                break
            client = address(value)
            if client is None:
                break                   # hidden, unknown or nonsense: the last one that is an address stays
            origin.client = client
            if not self.trusts(client[0]):
                break
        return 0


cdef list last_elements(bytes value):
    """The last HOPS elements of a comma-separated list, without the empty ones (RFC 9110 section 5.6.1): no more are looked
    at, however many a client has sent."""
    cdef const char* start = PyBytes_AS_STRING(value)
    cdef const char* end = start + PyBytes_GET_SIZE(value)
    cdef const char* at
    cdef list found = []
    while end > start and len(found) < HOPS:
        while end > start and (end[-1] == c"," or end[-1] == c" " or end[-1] == c"\t"):
            end -= 1
        at = end
        while at > start and at[-1] != c",":
            at -= 1
        if at < end:
            found.append(at[:end - at].strip(b" \t"))
        end = at
    found.reverse()
    return found


cdef tuple split_port(bytes text):
    """Host and port of an authority; -1 without one, or one that is none."""
    host, colon, port = text.rpartition(b":")
    if not colon or not (host.endswith(b"]") or b":" not in host) or not (port == b"" or port.isdigit()):
        return text, -1
    port = port.lstrip(b"0")[:6] or port[:1]        # as long as the client likes
    return host, int(port) if port and int(port) <= 65535 else -1


cdef tuple address(bytes text):
    """An address, with or without a port, as (host, port); the port of one without is 0. None: it is no address."""
    if len(text) > LONGEST:
        return None
    host = text.decode("latin-1")
    port = "0"
    if host.startswith("["):
        host, bracket, port = host[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            return None
        port = port[1:] or "0"
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        port = "0"                      # RFC 7239 section 6.2 has hidden ports, such as _a1
    if is_ipv4(host):
        return host, int(port)
    import ipaddress                    # slow to import, and of use here only

    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    return str(getattr(found, "ipv4_mapped", None) or found), int(port)


cdef bint is_ipv4(str host) except -1:
    """Whether it is an address of IPv4 in the only way that there is to write one: most are."""
    cdef uint8_t[4] octets
    cdef Py_ssize_t length = 0
    cdef const char* text = PyUnicode_AsUTF8AndSize(host, &length)
    return strlen(text) == <size_t> length and inet_pton(V4, text, octets) == 1
