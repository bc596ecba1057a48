"""Config and Server in an event loop of one's own, beside other work.

Run: python own_loop.py
"""

import asyncio
import os

import pronghorn


async def work(server: pronghorn.Server) -> None:
    while not server.started:
        await asyncio.sleep(0.1)
    print("requests so far:", server.server_state.total_requests, flush=True)


async def main() -> None:
    config = pronghorn.Config("app:app", port=int(os.environ.get("PORT", "8000")))
    server = pronghorn.Server(config)
    await asyncio.gather(server.serve(), work(server))


if __name__ == "__main__":
    asyncio.run(main())
