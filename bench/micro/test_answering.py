"""output, response, drive, exchange: from the application back to bytes."""

import pytest
from given import TIMES

from pronghorn._core.drive import Drive

HEADERS = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"13")]


def test_output(benchmark, probe):
    assert benchmark(probe.output_append, b"x" * 128, TIMES) == 128


def test_response(benchmark, probe):
    assert benchmark(probe.response_head, 200, HEADERS, TIMES).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("mode", ["lazy", "task"])
def test_drive(benchmark, probe, in_loop, mode):
    async def app(scope, receive, send):
        pass

    drive = Drive(in_loop.loop, mode)
    benchmark(in_loop, probe.drive_start, drive, app, TIMES)


def test_exchange(benchmark, probe, in_loop):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": b"Hello, World!"})

    drive = Drive(in_loop.loop, "lazy")
    assert benchmark(in_loop, probe.exchange_run, drive, app, [(b"host", b"localhost")], TIMES) == TIMES
