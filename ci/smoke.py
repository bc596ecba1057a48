"""Start the installed `pronghorn` on the demo, ask for its page, stop it; run by the environment to be checked."""

import http.client
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 60.0  # seconds for each step


def main() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("pronghorn")), "pronghorn.demo:app", "--port", str(port)]
    command += ["--log-level", "warning", "--no-access-log"]
    server = subprocess.Popen(command)
    try:
        status, length = ask(port, server)
        server.send_signal(signal.SIGTERM)
        code = server.wait(PATIENCE)
    finally:
        if server.poll() is None:
            server.kill()
    print(f"answered {status} with {length} bytes, ended with code {code}")
    sys.exit(0 if status == 200 and length > 0 and code == 0 else 1)


def ask(port: int, server: subprocess.Popen[bytes]) -> tuple[int, int]:
    deadline = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            return response.status, len(response.read())
        except ConnectionRefusedError:
            time.sleep(0.05)
        finally:
            connection.close()
    sys.exit("pronghorn did not answer")


if __name__ == "__main__":
    main()
