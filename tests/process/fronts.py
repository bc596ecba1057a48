"""Two nodes on addresses of this machine, and the configurations of docs/deploy for the proxies in front of them."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from encrypted import authority, server_certificate
from ledger.load import APPLICATION, Load
from process.command import PATIENCE, Command
from process.load import children, until

if TYPE_CHECKING:
    from ledger.book import Verdict
    from process.conftest import Workplace

__all__ = ["CHAOS", "CLIENT", "HOSTS", "KINDS", "PROGRAMS", "STRANGER", "Node", "Site", "talk"]

CHAOS = os.environ.get("PRONGHORN_CHAOS") == "full"
DEPLOY = Path(__file__).parents[2] / "docs/deploy"
HOSTS = ("127.0.0.2", "127.0.0.3")
CLIENT = "127.0.0.7"  # of the proxy
STRANGER = "127.0.0.9"  # who is not the proxy, and connects to a node
PROGRAMS = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin"  # of a system's administrator
KINDS = ["nginx", "nginx-unix", "haproxy"]
# What stands around a file in conf.d.
NGINX = """
worker_processes 2;
daemon off;
pid nginx.pid;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include shop.conf;
}
"""
APP = """
import asyncio
import hashlib
import json
import os
from pathlib import Path

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": json.dumps([scope["client"], scope["scheme"]])})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": event["bytes"]})
        return
    start = {"type": "http.response.start", "status": 200, "headers": [(b"x-node", os.environ["NODE"].encode())]}
    if scope["path"] in ("/events", "/live"):
        start["headers"].append((b"content-type", b"text/event-stream"))
        if scope["path"] == "/live":
            start["headers"].append((b"x-accel-buffering", b"no"))
        await send(start)
        await send({"type": "http.response.body", "body": b"data: first\\n\\n", "more_body": True})
        while not Path("heard").exists():  # the client has had the first before there is a second
            await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": b"data: second\\n\\n"})
    elif scope["path"] == "/upload":
        digest, more = hashlib.sha256(), True
        while more:
            event = await receive()
            digest.update(event["body"])
            more = event["more_body"]
        await send(start)
        await send({"type": "http.response.body", "body": digest.hexdigest().encode()})
    elif scope["path"] == "/drops":
        await send(start)
        for number in range(50):
            await send({"type": "http.response.body", "body": b"%d\\n" % number * 5000, "more_body": True})
            await asyncio.sleep(0.01)
        await send({"type": "http.response.body"})
    else:
        await send(start)
        host = dict(scope["headers"]).get(b"host", b"").decode()
        body = json.dumps({"client": scope["client"], "scheme": scope["scheme"], "host": host, "node": os.environ["NODE"]})
        await send({"type": "http.response.body", "body": body.encode()})
"""


def free_port() -> int:
    """A TCP port that is free on every address of this machine."""
    with socket.socket() as sock:
        sock.bind(("", 0))
        port: int = sock.getsockname()[1]
        return port


def documented(name: str, places: Mapping[str, str]) -> str:
    """A file of docs/deploy with other addresses, paths and users; each of them is in it."""
    text = (DEPLOY / name).read_text()
    for line in text.splitlines():
        if line.startswith("#"):
            text = text.replace(line + "\n", "")
    for old, new in places.items():
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, new)
    return text


def program(name: str) -> str:
    """Where it is."""
    path = shutil.which(name, path=PROGRAMS)
    assert path is not None
    return path


class Node:
    """A Pronghorn with two workers, which is started again as it was."""

    def __init__(self, place: Workplace, name: str, app: str, *args: str) -> None:
        self.place, self.name, self.app, self.args = place, name, app, args

    def start(self) -> None:
        self.command: Command = self.place.pronghorn(
            *(self.app, "--workers", "2", "--no-access-log", *self.args),
            env={"LEDGER": str(self.place.path / "journal"), "NODE": self.name},
        )
        self.command.wait_for("running on")

    def stop(self, number: int = signal.SIGTERM) -> None:
        assert self.command.stop(number) == 0
        self.command.clean()

    def reload(self) -> None:
        """Replace both workers."""
        before = children(self.command)
        self.command.send(signal.SIGHUP)

        def replaced() -> bool:
            now = children(self.command)
            return len(now - before) == 2 and len(now) == len(before)

        until(replaced, "both are replaced")

    @property
    def processes(self) -> set[int]:
        return children(self.command)


class Site:
    """A proxy, and two nodes behind it; ``kind`` is one of KINDS."""

    def __init__(self, place: Workplace, kind: str) -> None:
        self.place, self.kind, self.journal = place, kind, place.path / "journal"
        place.write("served", APPLICATION.read_text())
        place.write("shop", APP)
        self.port, self.tls_port, self.node_port, self.admin_port = (free_port() for _ in range(4))
        self.nodes: list[Node] = []
        self.front: Command | None = None

    def start(self, app: str, *args: str, delay: float = 3) -> None:
        """Start the nodes as the configuration says they have to be, and then the proxy."""
        for name, host in zip("ab", HOSTS, strict=True):
            where = ["--bind", f"unix:{name}.sock" if self.kind == "nginx-unix" else f"{host}:{self.node_port}"]
            self.nodes.append(Node(self.place, name, app, *where, *self.trust(host, delay), *args))
            self.nodes[-1].start()
        self.front = self.haproxy() if self.kind == "haproxy" else self.nginx()
        until(self.answers, "the proxy serves")

    def trust(self, host: str, delay: float) -> list[str]:
        if self.kind == "haproxy":
            return [
                *("--admin", f"{host}:{self.admin_port}", "--shutdown-delay", str(delay)),
                *("--proxy-protocol", "v2", "--proxy-protocol-allow-ips", "127.0.0.1"),
            ]
        return ["--forwarded-allow-ips", "unix" if self.kind == "nginx-unix" else "127.0.0.1"]

    def nginx(self) -> Command:
        path, unix = self.place.path, self.kind == "nginx-unix"
        places = {
            "10.0.0.11:8000": f"unix:{path}/a.sock" if unix else f"{HOSTS[0]}:{self.node_port}",
            "10.0.0.12:8000": f"unix:{path}/b.sock" if unix else f"{HOSTS[1]}:{self.node_port}",
            "listen 80;": f"listen 127.0.0.1:{self.port};",
            "listen 443 ssl;": f"listen 127.0.0.1:{self.tls_port} ssl;",
            "shop.example.com": "localhost",
            "/etc/ssl/shop.pem": server_certificate(),
            "/etc/ssl/shop.key": server_certificate(),
        }
        (path / "shop.conf").write_text(documented("nginx.conf", places))
        whole = NGINX if os.geteuid() else "user root;" + NGINX  # as nobody it could not enter the directory
        (path / "nginx.conf").write_text(whole)
        call = [program("nginx"), "-e", "stderr", "-p", str(path), "-c", "nginx.conf"]
        self.check(*call, "-t")
        return self.place.run(*call)

    def haproxy(self) -> Command:
        path = self.place.path
        places = {
            "10.0.0.11:8000": f"{HOSTS[0]}:{self.node_port}",
            "10.0.0.12:8000": f"{HOSTS[1]}:{self.node_port}",
            "check port 9000": f"check port {self.admin_port}",
            "bind :80\n": f"bind 127.0.0.1:{self.port}\n",
            "bind :443": f"bind 127.0.0.1:{self.tls_port}",
            "/etc/haproxy/shop.pem": server_certificate(),
            "/run/haproxy/admin.sock": str(path / "admin.sock"),
            "log /dev/log": "log stderr format raw",
            "    user haproxy\n    group haproxy\n": "",
        }
        (path / "haproxy.cfg").write_text(documented("haproxy.cfg", places))
        call = [program("haproxy"), "-f", "haproxy.cfg"]
        self.check(*call, "-c")
        return self.place.run(*call, "-db")

    def stop(self) -> None:
        """Also after a test that has failed. The proxy leaves processes behind unless it is asked to stop."""
        if self.front is not None and self.front.process.poll() is None:
            self.front.stop()

    def check(self, *call: str) -> None:
        """The proxy finds nothing wrong with its configuration."""
        done = subprocess.run(call, cwd=self.place.path, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        assert not re.search(r"\[(warn|WARNING|emerg|ALERT)", done.stderr), done.stderr

    def answers(self) -> bool:
        try:
            with talk("127.0.0.1", self.port) as connection:
                connection.request("GET", "/small/0")
                return connection.getresponse().status == 200
        except ConnectionRefusedError:
            return False

    def load(self, rate: float = 250) -> Load:
        return Load([("127.0.0.1", self.port)], self.journal, rate=rate)

    def verdict(self, load: Load) -> Verdict:
        self.stop()
        for node in self.nodes:
            node.stop(signal.SIGINT)  # which does not wait for health checks
        assert self.front is not None
        # A unix socket that is not there is [crit] for nginx, a refused connection [error].
        noise = [line for line in self.front.lines if re.search(r"\[(crit|alert|emerg|ALERT|EMERG)", line)]
        assert not [line for line in noise if "connect() to unix:" not in line], noise
        verdict = load.verdict()
        print(verdict)
        return verdict

    def ask(self, path: str = "/", secure: bool = False, **headers: str) -> dict[str, str]:
        """What the application says of a request that comes from CLIENT."""
        with talk("127.0.0.1", self.tls_port if secure else self.port, secure) as connection:
            connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            return said(connection)

    def reach_both(self) -> None:
        """Wait until both nodes are asked again."""
        missing = {node.name for node in self.nodes}

        def asked() -> bool:
            missing.discard(self.ask()["node"])
            return not missing

        until(asked, "both nodes are asked")


@contextmanager
def talk(host: str, port: int, secure: bool = False, source: str = CLIENT) -> Iterator[http.client.HTTPConnection]:
    """A client with an address of its own."""
    place = (source, 0)
    connection: http.client.HTTPConnection
    if secure:
        context: ssl.SSLContext = authority().client()
        connection = http.client.HTTPSConnection(host, port, timeout=PATIENCE, source_address=place, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=PATIENCE, source_address=place)
    with closing(connection):
        connection.connect()
        yield connection


def said(connection: http.client.HTTPConnection) -> dict[str, str]:
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200, (response.status, body)
    found: dict[str, str] = json.loads(body)
    return found
