"""The WebSocket applications every server runs: plain ASGI, one coroutine for each session."""

from apps import hello


async def echo(scope, receive, send):
    if scope["type"] != "websocket":
        return await hello(scope, receive, send)
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"]})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


LISTENING = {}  # session -> its send()


async def broadcast(scope, receive, send):
    """What arrives on /publish is sent to every other session."""
    if scope["type"] != "websocket":
        return await hello(scope, receive, send)
    await receive()
    session = object()
    publishes = scope["path"] == "/publish"
    if not publishes:
        LISTENING[session] = send
    try:
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            if publishes:
                event = {"type": "websocket.send", "text": message["text"]}
                for send_to in list(LISTENING.values()):
                    await send_to(event)
    finally:
        LISTENING.pop(session, None)
