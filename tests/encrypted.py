"""TLS for the outside-in tests: certificates, and a socket that speaks it and forgives nothing.

A server that was started with TLS is known by its address, and every Peer that connects to it speaks TLS. The protocol
is OpenSSL's on memory, as in the server, but a socket's own methods keep their meaning: `shutdown()` ends the sending side
(close_notify, then FIN), and reading goes on.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import shutil
import socket
import ssl
import tempfile
import threading
from pathlib import Path

import trustme

__all__ = ["SERVERS", "Authority", "Encrypted", "Truncated", "authority", "server_certificate"]

SERVERS: dict[tuple[str, int] | str, ssl.SSLContext] = {}


class Truncated(AssertionError):
    """The server ended the connection in order, but did not say so by close_notify."""


class Authority:
    """A certificate authority, and the files of the certificates that it has issued."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pronghorn-"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.ca = trustme.CA()
        self.count = 0
        self.file = self._write("ca", self.ca.cert_pem.bytes())

    def issue(self, *names: str) -> str:
        """The path of a file with a certificate and its key."""
        issued = self.ca.issue_cert(*names)
        return self._write(names[0].replace("*", "any"), issued.private_key_and_cert_chain_pem.bytes())

    def _write(self, name: str, content: bytes) -> str:
        self.count += 1
        path = self.folder / f"{self.count}-{name}.pem"
        path.write_bytes(content)
        return str(path)

    def client(self) -> ssl.SSLContext:
        """The context of a client that trusts this authority."""
        return ssl.create_default_context(cafile=self.file)


@functools.cache
def authority() -> Authority:
    """The one that most tests share."""
    return Authority()


@functools.cache
def server_certificate() -> str:
    """Its certificate for this machine."""
    return authority().issue("localhost", "127.0.0.1")


class Encrypted:
    """As much of a socket's interface as the tests use."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, name: str | None = "localhost") -> None:
        self.raw = raw
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self.ended = False
        self.lock = threading.Lock()  # a session is not for two threads, as a socket is

    def handshake(self) -> None:
        while True:
            try:
                self.session.do_handshake()
            except ssl.SSLWantReadError:
                self._put()
                self._take()
            else:
                break
        self._put()
        if self.session.version() == "TLSv1.3":
            # The session tickets: whoever selects on the socket wants to know of something else.
            self._take()
            with contextlib.suppress(ssl.SSLWantReadError):
                assert not self.session.read(1), "the server spoke first"

    def _put(self) -> None:
        if records := self.outgoing.read():
            self.raw.sendall(records)

    def _take(self) -> None:
        records = self.raw.recv(262144)
        if not records:
            raise Truncated("FIN without close_notify")
        self.incoming.write(records)

    def connect(self, address: tuple[str, int] | str) -> None:
        self.raw.connect(address)
        self.handshake()

    def send(self, data: bytes | memoryview) -> int:
        """At once, as far as the socket takes it: the records that are cut off go with the next call."""
        if self.outgoing.pending == 0:
            self.session.write(data[:16384])
            taken = len(data[:16384])
        else:
            taken = 0
        self._flush()
        if not taken and self.outgoing.pending:
            raise BlockingIOError
        return taken

    def _flush(self) -> None:
        records = self.outgoing.read()
        sent = 0
        with contextlib.suppress(BlockingIOError):
            sent = self.raw.send(records)
        self.outgoing.write(records[sent:])

    def sendall(self, data: bytes) -> None:
        if data:
            with self.lock:
                self.session.write(data)
        self._put()

    def recv(self, size: int) -> bytes:
        while not self.ended:
            try:
                with self.lock:
                    data: bytes = self.session.read(size)
            except ssl.SSLWantReadError:
                self._take()
                continue
            except ssl.SSLZeroReturnError:
                data = b""
            if data:
                return data
            self.ended = True
        rest = self.raw.recv(size)
        assert not rest, f"bytes behind close_notify: {rest[:100]!r}"
        return b""

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        if self.incoming.pending == 0:  # else OpenSSL would take what is there for a breach of the protocol
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLSyscallError):
                self.session.unwrap()
            self._put()
        self.raw.shutdown(how)

    def close(self) -> None:
        self.raw.close()

    def settimeout(self, seconds: float | None) -> None:
        self.raw.settimeout(seconds)

    def gettimeout(self) -> float | None:
        return self.raw.gettimeout()

    def setblocking(self, flag: bool) -> None:
        self.raw.setblocking(flag)

    def setsockopt(self, *option: int | bytes) -> None:
        self.raw.setsockopt(*option)  # type: ignore[arg-type]

    def getsockname(self) -> tuple[str, int]:
        name: tuple[str, int] = self.raw.getsockname()
        return name

    def fileno(self) -> int:
        return self.raw.fileno()
