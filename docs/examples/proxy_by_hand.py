"""An application that is wrapped by hand, and shows the client that a proxy names.

Run: python -m pronghorn.compat proxy_by_hand.py
`import uvicorn` is Pronghorn there: nothing in the script has to be changed, and uvicorn need not be installed.
"""

import os

import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


async def show_client(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": scope["client"][0].encode()})


app = ProxyHeadersMiddleware(show_client, trusted_hosts=["127.0.0.1"])

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")), lifespan="off")
