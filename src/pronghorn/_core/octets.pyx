# Everything is in octets.pxd, to be compiled into the rooms that use it; here is the way in for tests.


def token_characters() -> bytes:
    """The octets of a token."""
    return bytes([octet for octet in range(256) if TOKEN[octet]])


def content_length(bytes text) -> int:
    """The number in a Content-Length, -1 if it is not one."""
    return read_length(text, len(text))
