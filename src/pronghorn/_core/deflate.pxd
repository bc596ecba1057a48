"""permessage-deflate, the server's side: what is agreed in the handshake, and both streams of a session (RFC 7692).

Memory decides here, since a session lives long and is mostly idle. A stream that a session keeps (context takeover) is
the standard library's zlib: 26 kB to compress with 12 bits and level 4 (5 takes 33 kB, for 1% less output), 8 kB and
its window to inflate. zlib-ng is two to three times as fast, and takes 160 kB and 16 kB; isal ignores the settings and
takes 35 kB and 27 to 90 kB, is slower to inflate small messages, and its smallest window is too large for a client that
has 256 bytes. So zlib-ng, where it is installed, does what no session keeps: streams without context. One compressor
of this kind serves all sessions, and a decompressor is made for each message.

Nothing is allocated before the first message that needs it.

    message to send    compress()
    message received   begin(piece, last), then step() until it is None, for each piece as it comes; step() gives b""
                       where a piece is all used and nothing came out of it
"""

cdef enum:
    STEP = 65536                # bytes, into a decompressor and out of it, at a time


cdef class DeflateOptions:
    cdef readonly int window_bits       # 9 to 15: of our window, and of the client's where it lets us choose
    cdef readonly int memory_level      # 1 to 9, as zlib's memLevel
    cdef readonly int level             # 0 to 9
    cdef readonly size_t min_size       # bytes: shorter messages go out as they are
    cdef dict spare                     # window bits -> compressor without context, for the next message of anyone


cdef class Deflate:
    cdef readonly bytes response        # what Sec-WebSocket-Extensions of the answer says
    cdef readonly bint server_takeover  # our messages may refer to earlier ones
    cdef readonly bint client_takeover
    cdef readonly int server_bits       # 8 to 15
    cdef readonly int client_bits
    cdef readonly size_t min_size
    cdef DeflateOptions options
    cdef object compressor              # None until the first message, and without takeover
    cdef object decompressor            # None until the first message, and without takeover between messages
    cdef bytes piece                    # being inflated; None: begin() comes next
    cdef bytes rest                     # the part of it that the decompressor was given and has not used
    cdef Py_ssize_t at                  # how much of `piece` the decompressor was given
    cdef Py_ssize_t endings             # how many streams may still end within `piece`
    cdef bint last                      # `piece` ends the message
    cdef bint closing                   # the bytes that stand for the end are still to be given
    cdef bint fed                       # the decompressor was given something of this message

    # The payload of a data message that is `data` (of bytes), for a frame with RSV1. It must be sent: the next one may
    # refer to it.
    cdef bytes compress(self, object data)

    # Start with a piece of the payload of a compressed message; what begin() and step() did before must be finished.
    cdef int begin(self, bytes data, bint last) except -1

    # The next output, not more than `most` bytes (at least 1) or STEP; b"" if this step had none; None if the piece is
    # all used. To see a message that is too long, allow one byte more. ValueError: the stream is broken (1007).
    cdef bytes step(self, size_t most)

    cdef int end_stream(self) except -1
    cdef int finish(self) except -1
    cdef int drop(self) except -1


# The first acceptable offer in the values of all Sec-WebSocket-Extensions lines; None if there is none. ValueError if
# a line breaks the grammar: RFC 6455 section 9.1 has the connection fail (400).
cpdef Deflate negotiate(list offers, DeflateOptions options)
