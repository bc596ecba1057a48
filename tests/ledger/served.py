"""The application that a ledger is kept of. It is served by the server under test, from the file alone.

Each request has an id in its path, which is appended to the file that LEDGER names before anything else is done, with
the process that does it: whatever was begun is known afterwards, also what a kill has taken away.
"""

import asyncio
import hashlib
import os
import time

time.sleep(float(os.environ.get("LEDGER_BOOT", "0")))
journal = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

PART = bytes(range(256)) * 64
PARTS = 16
PLAIN = [(b"content-type", b"text/plain")]


def begin(number):
    os.write(journal, b"%b %d\n" % (number.encode(), os.getpid()))  # one write: no two processes mix


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    _, kind, number = scope["path"].split("/")
    if scope["type"] == "websocket":
        return await echo(receive, send)
    if kind == "block":
        time.sleep(float(number))
    else:
        begin(number)
    await KINDS[kind](number, receive, send)


async def lifespan(receive, send):
    while (event := await receive())["type"] != "lifespan.shutdown":
        await send({"type": event["type"] + ".complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def answer(send, body):
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*PLAIN, length]})
    await send({"type": "http.response.body", "body": body})


async def small(number, receive, send):
    await answer(send, number.encode())


async def slow(number, receive, send):
    await asyncio.sleep(0.2)
    await answer(send, number.encode())


async def upload(number, receive, send):
    """The digest of what came."""
    digest, more = hashlib.sha256(), True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        digest.update(event["body"])
        more = event["more_body"]
    await answer(send, f"{number} {digest.hexdigest()}".encode())


async def stream(number, receive, send):
    """Chunks, the last of which is the digest of the others."""
    digest = hashlib.sha256(number.encode())
    await send({"type": "http.response.start", "status": 200, "headers": PLAIN})
    await send({"type": "http.response.body", "body": number.encode(), "more_body": True})
    for _ in range(PARTS):
        digest.update(PART)
        await send({"type": "http.response.body", "body": PART, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": digest.digest()})


async def drip(number, receive, send):
    """Two seconds of small chunks."""
    await send({"type": "http.response.start", "status": 200, "headers": PLAIN})
    for _ in range(20):
        await send({"type": "http.response.body", "body": b"drop ", "more_body": True})
        await asyncio.sleep(0.1)
    await send({"type": "http.response.body", "body": number.encode()})


async def echo(receive, send):
    """Each message is an id."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        begin(event["text"])
        await send({"type": "websocket.send", "text": event["text"]})


KINDS = {"small": small, "slow": slow, "upload": upload, "stream": stream, "drip": drip, "block": small}
