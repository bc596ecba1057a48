"""Bytes per idle keep-alive connection: growth of resident memory over connections that made one request each."""

import resource
import socket

from .process import Failure, Process

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: idle\r\nAccept: */*\r\n\r\n"
FIRST = 1000  # connections before the count begins, so that pools and tables have grown


def raise_file_limit() -> int:
    """Let this process and its children open as many files as they may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def bytes_per_connection(server: Process, connections: int) -> float:
    held: list[socket.socket] = []
    try:
        _hold(server, held, FIRST)
        before = server.resident()
        _hold(server, held, connections)
        after = server.resident()
        if closed := sum(map(_is_closed, held)):
            raise Failure(f"it closed {closed} of {len(held)} idle connections")
        return (after - before) / connections
    finally:
        for connection in held:
            connection.close()


def _hold(server: Process, held: list[socket.socket], count: int) -> None:
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        held.append(connection)
        connection.sendall(REQUEST)
        answer = b""
        while not answer.endswith(b"Hello, World!"):
            piece = connection.recv(4096)
            if not piece:
                raise Failure(f"it closed connection {len(held)}")
            answer += piece


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
