"""What pronghorn must reach: its CPU per request, unless said otherwise, against another server's in the same run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    work: str
    against: str  # a server, "best peer", or "" for an absolute bar
    limit: float
    metric: str = "cpu"
    at_least: bool = False


BARS = [
    Bar("hello", "fastpysgi", 0.60),
    Bar("hello", "granian", 0.43),
    Bar("hello", "uvicorn", 0.33),
    Bar("hello", "C epoll", 1.5),
    Bar("pipelined", "granian", 0.16),
    Bar("pipelined", "granian", 6, "rps", at_least=True),
    Bar("pipelined", "uvicorn", 9, "rps", at_least=True),
    Bar("headers", "fastpysgi", 0.60),
    Bar("headers", "granian", 0.47),
    Bar("headers", "uvicorn", 0.33),
    Bar("post1k", "fastpysgi", 0.55),
    Bar("post1k", "uvicorn", 0.40),
    Bar("post1k", "granian", 0.30),
    Bar("post100k", "best peer", 0.90),
    Bar("json", "fastpysgi", 0.65),
    Bar("json", "granian", 0.72),
    Bar("json", "uvicorn", 0.56),
    Bar("hello-log", "uvicorn", 0.20),
    Bar("hello-log", "granian", 0.30),
    Bar("hello-tls", "uvicorn", 0.60),
    Bar("hello-tls", "granian", 0.75),
    Bar("idle", "", 2200, "bytes"),
    Bar("start", "uvicorn", 1.0, "seconds"),
    Bar("ws-echo", "socketify", 0.75),
    Bar("ws-echo", "uvicorn", 0.55),
    Bar("ws-pipelined", "socketify", 0.50),
    Bar("ws-pipelined", "uvicorn", 0.35),
    Bar("ws-large", "socketify", 0.90),
    Bar("ws-large", "uvicorn", 0.70),
    Bar("ws-broadcast", "best peer", 2, "rps", at_least=True),
    Bar("ws-idle", "", 3072, "bytes"),
    Bar("ws-idle-deflate", "", 49152, "bytes"),
]
