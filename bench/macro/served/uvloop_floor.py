"""The floor under any server on uvloop: a canned answer for every blank line in what was read. No HTTP, no application.

It counts on a benchmark client, whose requests arrive whole. uvloop_floor.py PORT
"""

import asyncio
import signal
import sys

import uvloop

ANSWER = (
    b"HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: floor\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 13\r\n\r\nHello, World!"
)
BUFFER = bytearray(65536)


class Responder(asyncio.BufferedProtocol):
    __slots__ = ("write",)

    def connection_made(self, transport):
        self.write = transport.write

    def get_buffer(self, hint):
        return BUFFER

    def buffer_updated(self, count):
        requests = BUFFER.count(b"\r\n\r\n", 0, count)
        self.write(ANSWER if requests == 1 else ANSWER * requests)


async def main():
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await loop.create_server(Responder, "127.0.0.1", int(sys.argv[1]), backlog=2048)
    await stop.wait()


with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
