"""A server in a thread, as tests want one: on any free port, up when the block begins, down when it ends.

Run: python -m pronghorn.compat in_a_thread.py
`import uvicorn` is Pronghorn there: nothing in the script has to be changed, and uvicorn need not be installed.
"""

import contextlib
import threading
import time
import urllib.request
from collections.abc import Iterator

import uvicorn


class TestServer(uvicorn.Server):
    @contextlib.contextmanager
    def run_in_thread(self) -> Iterator[str]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            while not self.started:
                time.sleep(0.001)
            host, port = self.servers[0].sockets[0].getsockname()
            yield f"http://{host}:{port}"
        finally:
            self.should_exit = True
            thread.join()


if __name__ == "__main__":
    server = TestServer(uvicorn.Config("app:app", port=0, log_level="warning"))
    with server.run_in_thread() as url, urllib.request.urlopen(url) as response:
        print(response.status, response.read().decode())
