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
    unit: str = "request"  # what is counted
    logged: bool = False  # with each server's default access log
    secure: bool = False  # over TLS


WORKS = [
    Work("hello", "hello, 64 connections", "apps:hello", floors=True),
    Work("pipelined", "hello, 16 pipelined, 64 connections", "apps:hello", depth=16, floors=True),
    Work("headers", "hello, 12 browser headers, 64 connections", "apps:hello", floors=True),
    Work("closing", "hello, a connection for each request, 64 at once", "apps:hello"),
    Work("post1k", "POST 1 KiB echo, 64 connections", "apps:echo", body=b"a" * 1024, answer=b"a" * 1024),
    Work("post100k", "POST 100 KiB echo, 16 connections", "apps:echo", 16, body=b"b" * 102400, answer=b"b" * 102400),
    Work(
        "json",
        "Starlette JSON, 64 connections",
        "starlette_app:app",
        answer=b'{"message":"Hello, World!","path":"/","numbers":[1,2,3,4,5]}',
    ),
    Work("stream", "streamed 1 MiB, 16 connections", "apps:stream", 16, answer=PIECE * 16),
    Work("hello-log", "hello with the default access log, 64 connections", "apps:hello", logged=True),
    Work("hello-tls", "hello over TLS, 64 connections", "apps:hello", secure=True),
]

HELLO = WORKS[0]


@dataclass(frozen=True)
class SessionWork:
    """What ws_load is told to do."""

    name: str
    title: str
    app: str = "sessions:echo"
    kind: str = "echo"
    sessions: int = 32
    depth: int = 1  # messages in flight: of each session, or of the one that publishes
    size: int = 64
    opcode: str = "text"
    unit: str = "message"


SESSION_WORKS = [
    SessionWork("ws-echo", "WebSocket echo 64 B, 32 sessions"),
    SessionWork("ws-pipelined", "WebSocket echo 64 B, 32 in flight, 32 sessions", depth=32),
    SessionWork("ws-large", "WebSocket echo 60,000 B, 32 sessions", size=60_000, opcode="binary"),
    SessionWork(
        "ws-broadcast",
        "WebSocket broadcast of 200 B to 1,000 sessions, 8 in flight",
        app="sessions:broadcast",
        kind="broadcast",
        sessions=1000,
        depth=8,
        size=200,
        unit="delivery",
    ),
]

# Measured without a load generator, see idle.py, ws_idle.py and __main__.py.
START = "start"
IDLE = "idle"
WS_IDLE = "ws-idle"
WS_IDLE_DEFLATE = "ws-idle-deflate"
EVERY = [
    *(work.name for work in WORKS),
    START,
    IDLE,
    *(work.name for work in SESSION_WORKS),
    WS_IDLE,
    WS_IDLE_DEFLATE,
]
COUNTED: list[Work | SessionWork] = [*WORKS, *SESSION_WORKS]
