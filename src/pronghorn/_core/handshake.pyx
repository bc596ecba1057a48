# The opening handshake. See handshake.pxd.

from base64 import b64decode, b64encode
from binascii import Error

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from .deflate cimport DeflateOptions, negotiate
from .octets cimport TOKEN
from .output cimport Output, append
from .response cimport Declared, Defaults, write_headers

cdef bytes GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"      # RFC 6455 section 1.3


cpdef Opening open_handshake(object method, list headers, DeflateOptions options):
    """Read the request; that it is HTTP/1.1 with an Upgrade to websocket has been seen already.

    headers: pairs of lower-case name and value. options: of the compression to agree on; None: none.
    """
    cdef Opening opening = Opening.__new__(Opening)
    cdef list keys = []
    cdef list versions = []
    cdef list offers = []
    opening.subprotocols = []
    for name, value in headers:
        if not name.startswith(b"sec-websocket-"):
            continue
        if name == b"sec-websocket-key":
            keys.append(value)
        elif name == b"sec-websocket-version":
            versions.append(value)
        elif name == b"sec-websocket-extensions":
            offers.append(value)
        elif name == b"sec-websocket-protocol":
            for token in value.split(b","):
                token = token.strip(b" \t")
                if not is_token(token):
                    opening.status = 400
                    return opening
                opening.subprotocols.append(token.decode("ascii"))
    if method != "GET":
        opening.status = 405
    elif versions != [b"13"]:
        opening.status = 426            # section 4.4: the answer tells the version that we speak
    elif len(keys) != 1 or not is_key(keys[0]):
        opening.status = 400
    else:
        if offers and options is not None:
            try:
                opening.deflate = negotiate(offers, options)
            except ValueError:
                opening.status = 400
                return opening
        from hashlib import sha1        # slow to import, and of use here only

        opening.accept = b64encode(sha1(keys[0] + GUID, usedforsecurity=False).digest())
    return opening


cdef int write_switch(Output out, Opening opening, bytes subprotocol, object headers, Defaults defaults) except -1:
    """The answer that makes the connection a WebSocket (section 4.2.2). headers: the application's."""
    cdef size_t mark = out.size
    cdef Declared declared
    cdef bytes lines = b"sec-websocket-accept: %s\r\n" % opening.accept
    if subprotocol is not None:
        lines += b"sec-websocket-protocol: %s\r\n" % subprotocol
    if opening.deflate is not None:
        lines += b"sec-websocket-extensions: %s\r\n" % opening.deflate.response
    try:
        append(out, b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n", 75)
        append(out, PyBytes_AS_STRING(lines), PyBytes_GET_SIZE(lines))
        declared.no_length = True
        declared.mark = mark
        write_headers(out, headers, &declared, "websocket.accept")
        defaults.write(out, &declared)
        append(out, b"\r\n", 2)
    except BaseException:
        out.size = min(out.size, mark)
        raise
    return 0


cdef bint is_token(bytes text):
    cdef const unsigned char* octets = <const unsigned char*> <const char*> text
    cdef Py_ssize_t i
    for i in range(len(text)):
        if not TOKEN[octets[i]]:
            return False
    return len(text) > 0


cdef bint is_key(bytes key):
    """Sixteen bytes in base64 (section 4.1)."""
    if len(key) != 24:
        return False
    try:
        return len(b64decode(key, validate=True)) == 16
    except Error:
        return False
