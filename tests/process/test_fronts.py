"""nginx and HAProxy in front, configured as in docs/deploy: nothing is lost, and everything gets through."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pytest
from frames import BINARY, CLOSE, frame, upgrade
from process.conftest import Workplace
from process.fronts import CHAOS, CLIENT, HOSTS, KINDS, PROGRAMS, STRANGER, Site, talk
from process.load import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")


@contextmanager
def standing(place: Workplace, kind: str) -> Iterator[Site]:
    program = kind.partition("-")[0]
    if shutil.which(program, path=PROGRAMS) is None:
        pytest.skip(f"{program} is not installed")
    site = Site(place, kind)
    yield site
    site.stop()


@pytest.fixture(params=KINDS)
def site(place: Workplace, request: pytest.FixtureRequest) -> Iterator[Site]:
    with standing(place, request.param) as site:
        yield site


def test_rolling_restart(site: Site) -> None:
    """One node after the other is stopped, and started again."""
    site.start("served:app")
    rounds = 10 if CHAOS else 1
    with site.load() as load:
        load.wait_for(100)
        for _ in range(rounds):
            for node in site.nodes:
                node.stop()
                load.wait_for(50)
                node.start()
                before = site.journal.read_text().count("\n")
                pids = node.processes
                until(lambda: begun_by(site, before, pids), "it gets requests")  # noqa: B023
                load.wait_for(100)
    assert (verdict := site.verdict(load)).spotless, str(verdict)


def begun_by(site: Site, after: int, pids: set[int]) -> bool:
    return any(int(line.split()[1]) in pids for line in site.journal.read_text().splitlines()[after:])


def test_rolling_reload(site: Site) -> None:
    site.start("served:app")
    with site.load() as load:
        load.wait_for(100)
        for _ in range(20 if CHAOS else 2):
            for node in site.nodes:
                node.reload()
                load.wait_for(50)
    assert (verdict := site.verdict(load)).spotless, str(verdict)


@pytest.fixture(scope="module", params=KINDS)
def common(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Site]:
    """Serving what shows requests, and answers slowly; nothing is left of a test for the next one."""
    place = Workplace(tmp_path_factory.mktemp("shop"))
    try:
        with standing(place, request.param) as site:
            site.start("shop:app")
            yield site
            for node in site.nodes:
                node.stop(signal.SIGINT)  # which does not wait for health checks
    finally:
        place.end()


@pytest.fixture
def shop(common: Site) -> Iterator[Site]:
    yield common
    (common.place.path / "heard").unlink(missing_ok=True)


def test_who_the_client_is(shop: Site) -> None:
    """Its address, and not what it says of itself; and whether it speaks TLS with the proxy."""
    for secure in (False, True):
        for lie in ({}, {"X_Forwarded_For": "203.0.113.9", "X_Forwarded_Proto": "wss", "Forwarded": "for=203.0.113.9"}):
            found = shop.ask(secure=secure, **lie)
            assert found["client"][0] == CLIENT
            assert (found["client"][1] != 0) is (shop.kind == "haproxy")  # which tells the port as well
            assert found["scheme"] == ("https" if secure else "http")
            assert found["host"].partition(":")[0] == "127.0.0.1"


def test_who_is_not_the_proxy(shop: Site) -> None:
    """Somebody who reaches a node past the proxy speaks for himself alone, or not at all."""
    if shop.kind == "nginx-unix":
        pytest.skip("a unix socket is reached by those who may enter its directory")
    host = HOSTS[0]
    lie = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    with talk(host, shop.node_port, source=STRANGER) as connection:
        if shop.kind == "nginx":
            connection.request("GET", "/", headers=lie)
            found = json.loads(connection.getresponse().read())
            assert (found["client"][0], found["scheme"]) == (STRANGER, "http")
            return
        header = b"PROXY TCP4 203.0.113.9 127.0.0.2 1 2\r\n"
        with pytest.raises(ConnectionResetError):
            connection.sock.sendall(header)
            while connection.sock.recv(1):
                pass
        shop.nodes[0].command.wait_for(f"PROXY protocol: {STRANGER} is not allowed to speak it")
    with talk(host, shop.node_port, source="127.0.0.1") as connection, pytest.raises(ConnectionResetError):
        connection.request("GET", "/", headers=lie)  # by the proxy's host, but without a header
        connection.getresponse()
    shop.nodes[0].command.wait_for("does not speak it")


@pytest.mark.parametrize("path", ["/events", "/live"])
def test_event_stream(shop: Site, path: str) -> None:
    """The first event comes before there is a second."""
    with talk("127.0.0.1", shop.port) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.read1() == b"data: first\n\n"
        (shop.place.path / "heard").touch()
        assert response.read() == b"data: second\n\n"


def test_upload(shop: Site) -> None:
    """With a length, and in chunks that come one by one."""
    body = bytes(range(256)) * 4096
    with talk("127.0.0.1", shop.port) as connection:
        for sent in (body, (body[at : at + 65536] for at in range(0, len(body), 65536))):
            connection.request("POST", "/upload", sent)
            response = connection.getresponse()
            assert (response.status, response.read().decode()) == (200, hashlib.sha256(body).hexdigest())


def test_slow_response(shop: Site) -> None:
    """Made in half a second, and read even later by a client that waits first."""
    with talk("127.0.0.1", shop.port) as connection:
        connection.request("GET", "/drops")
        response = connection.getresponse()
        assert response.read() == b"".join(b"%d\n" % number * 5000 for number in range(50))


@pytest.mark.parametrize("secure", [False, True])
def test_websocket(shop: Site, secure: bool) -> None:
    with talk("127.0.0.1", shop.tls_port if secure else shop.port, secure) as connection:
        sock = connection.sock
        sock.sendall(upgrade())
        stream = sock.makefile("rb")
        assert stream.readline().startswith(b"HTTP/1.1 101 ")
        while stream.readline() != b"\r\n":
            pass
        client, scheme = json.loads(read_message(stream))
        assert (client[0], scheme) == (CLIENT, "wss" if secure else "ws")
        for size in (0, 1, 125, 70_000, 1_000_000):
            sock.sendall(frame(BINARY, b"x" * size))
            assert read_message(stream) == b"x" * size
        sock.sendall(frame(CLOSE, struct.pack("!H", 1000)))
        assert stream.read() == bytes([0x80 | CLOSE, 2]) + struct.pack("!H", 1000)
        stream.close()


def read_message(stream: BinaryIO) -> bytes:
    _, length = stream.read(2)
    if length > 125:
        length = int.from_bytes(stream.read(2 if length == 126 else 8), "big")
    return stream.read(length)


def test_other_upgrades(shop: Site) -> None:
    """The request is served as if there were none."""
    found = shop.ask(Upgrade="h2c", Connection="Upgrade, HTTP2-Settings", HTTP2_Settings="AAMAAABkAAQAAP__")
    assert found["client"][0] == CLIENT


def test_both_nodes_serve(shop: Site) -> None:
    shop.reach_both()
