"""The application that the Autobahn suite talks to: every message goes back as it came."""


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        raise RuntimeError(f"no {scope['type']} here")
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"]})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})
