"""The applications every server runs: plain ASGI, each answering all paths."""


async def hello(scope, receive, send):
    if scope["type"] != "http":
        return await lifespan(receive, send)
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"13")],
        }
    )
    await send({"type": "http.response.body", "body": b"Hello, World!"})


async def echo(scope, receive, send):
    if scope["type"] != "http":
        return await lifespan(receive, send)
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"".join(parts)  # one server hands out memory views, and cannot send them
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


PIECE = b"0123456789abcdef" * 4096  # 64 KiB


async def stream(scope, receive, send):
    """1 MiB in 16 pieces, its length not announced."""
    if scope["type"] != "http":
        return await lifespan(receive, send)
    headers = [(b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(16):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
