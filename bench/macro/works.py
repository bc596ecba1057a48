"""What the servers are asked to do."""

from dataclasses import dataclass

PIECE = b"0123456789abcdef" * 4096


@dataclass(frozen=True)
class Work:
    name: str  # also the work's name in client.lua
    title: str
    app: str
    connections: int = 64
    depth: int = 1  # requests in flight on each connection
    floors: bool = False  # whether the canned responders can stand in
    body: bytes | None = None  # what the check posts
    answer: bytes = b"Hello, World!"  # what the check wants back


WORKS = [
    Work("hello", "hello, 64 connections", "apps:hello", floors=True),
    Work("pipelined", "hello, 16 pipelined, 64 connections", "apps:hello", depth=16, floors=True),
    Work("headers", "hello, 12 browser headers, 64 connections", "apps:hello", floors=True),
    Work("post1k", "POST 1 KiB echo, 64 connections", "apps:echo", body=b"a" * 1024, answer=b"a" * 1024),
    Work("post100k", "POST 100 KiB echo, 16 connections", "apps:echo", 16, body=b"b" * 102400, answer=b"b" * 102400),
    Work(
        "json",
        "Starlette JSON, 64 connections",
        "starlette_app:app",
        answer=b'{"message":"Hello, World!","path":"/","numbers":[1,2,3,4,5]}',
    ),
    Work("stream", "streamed 1 MiB, 16 connections", "apps:stream", 16, answer=PIECE * 16),
]

# Measured without wrk, see idle.py and __main__.py.
START = "start"
IDLE = "idle"
EVERY = [*(work.name for work in WORKS), START, IDLE]
HELLO = WORKS[0]
