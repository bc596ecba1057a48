"""A server whose life has steps of one's own, and that stops by itself.

Run: python -m pronghorn.compat overridden.py
`import uvicorn` is Pronghorn there: nothing in the script has to be changed, and uvicorn need not be installed.
"""

import os

import uvicorn


class Limited(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        print("up:", self.started, flush=True)

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self.server_state.total_requests >= 1

    async def shutdown(self, sockets=None):
        await super().shutdown(sockets=sockets)
        print("down", flush=True)


if __name__ == "__main__":
    Limited(uvicorn.Config("app:app", port=int(os.environ.get("PORT", "8000")))).run()
