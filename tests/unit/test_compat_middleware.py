"""pronghorn.compat.uvicorn: the middleware and the helpers that programs use by hand."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from pronghorn import Config, Server, loggers, logs


@pytest.fixture(autouse=True)
def names() -> Iterator[None]:
    """The tree renames the loggers when it is imported, and lets failed starts exit; the other tests want theirs."""
    import pronghorn.compat.uvicorn

    assert pronghorn.compat.uvicorn.Config is Config
    logs.rename("uvicorn")
    yield
    logs.rename("pronghorn")
    Server.exits_on_failure = False


def seen(kind: str = "http", client: Any = ("127.0.0.1", 5), trusted: Any = "127.0.0.1", **headers: str) -> Any:
    """What the application sees of the scope: client and scheme."""
    from pronghorn.compat.uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append((scope["client"], scope["scheme"]))

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "client": client, "scheme": "ws" if kind == "websocket" else "http", "headers": pairs}
    asyncio.run(ProxyHeadersMiddleware(app, trusted_hosts=trusted)(scope, None, None))  # type: ignore[arg-type]
    return found[0]


FOR = "x_forwarded_for"
CASES: list[tuple[str, dict[str, Any], Any]] = [
    ("nothing said", {}, ("127.0.0.1", 5)),
    ("one", {FOR: "1.2.3.4"}, ("1.2.3.4", 0)),
    ("the last that is not trusted", {FOR: "6.6.6.6, 1.2.3.4, 127.0.0.1"}, ("1.2.3.4", 0)),
    ("all trusted", {FOR: "127.0.0.1, 127.0.0.1"}, ("127.0.0.1", 0)),
    ("everybody trusted", {FOR: "1.2.3.4, 5.6.7.8", "trusted": "*"}, ("1.2.3.4", 0)),
    ("a network", {FOR: "1.2.3.4, 10.1.2.3", "trusted": ["127.0.0.1", "10.0.0.0/8"]}, ("1.2.3.4", 0)),
    ("a list as text", {FOR: "1.2.3.4, 10.1.2.3", "trusted": "127.0.0.1, 10.1.2.3"}, ("1.2.3.4", 0)),
    ("an untrusted peer", {FOR: "1.2.3.4", "client": ("9.9.9.9", 5)}, ("9.9.9.9", 5)),
    ("a unix socket", {FOR: "1.2.3.4", "client": None}, None),
    ("a unix socket, everybody trusted", {FOR: "1.2.3.4", "client": None, "trusted": "*"}, ("1.2.3.4", 0)),
    ("a unix socket that is trusted", {FOR: "1.2.3.4", "client": None, "trusted": "unix"}, ("1.2.3.4", 0)),
    ("a peer by name", {FOR: "1.2.3.4", "client": ("proxy", 1), "trusted": "proxy"}, ("1.2.3.4", 0)),
    ("a port", {FOR: "1.2.3.4:99"}, ("1.2.3.4", 99)),
    ("IPv6", {FOR: "::1, 2001:db8::1"}, ("2001:db8::1", 0)),
    ("IPv6 with a port", {FOR: "[2001:db8::1]:99"}, ("2001:db8::1", 99)),
    ("empty", {FOR: " , "}, ("127.0.0.1", 5)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_the_client(case: tuple[str, dict[str, Any], Any]) -> None:
    assert seen(**case[1])[0] == case[2]


@pytest.mark.parametrize(
    ("kind", "said", "scheme"),
    [
        ("http", "https", "https"),
        ("http", " HTTPS ", "https"),
        ("http", "gopher", "http"),
        ("websocket", "https", "wss"),
        ("websocket", "wss", "wss"),
        ("websocket", "http", "ws"),
    ],
)
def test_the_scheme(kind: str, said: str, scheme: str) -> None:
    assert seen(kind, x_forwarded_proto=said)[1] == scheme


def test_the_helpers_of_the_protocols() -> None:
    from pronghorn.compat.uvicorn.protocols.utils import get_client_addr, get_path_with_query_string

    assert get_client_addr({"client": ("a", 1)}) == "a:1"
    assert get_client_addr({"client": None}) == ""
    assert get_path_with_query_string({"path": "/é a", "query_string": b"b=c"}) == "/%C3%A9%20a?b=c"
    assert get_path_with_query_string({"path": "/", "query_string": b""}) == "/"


@pytest.mark.parametrize(("answer", "exits"), [("complete", False), ("failed", True)])
def test_a_lifespan_of_its_own(answer: str, exits: bool) -> None:
    from pronghorn.compat.uvicorn.lifespan.off import LifespanOff
    from pronghorn.compat.uvicorn.lifespan.on import LifespanOn

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        scope["state"]["a"] = 1
        await send({"type": f"lifespan.startup.{answer}"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def main() -> None:
        for kind in (LifespanOn, LifespanOff):
            lifespan = kind(Config(app, log_config=None))
            await lifespan.startup()
            assert lifespan.should_exit == (exits and kind is LifespanOn)
            assert lifespan.state == ({"a": 1} if kind is LifespanOn else {})
            await lifespan.shutdown()

    asyncio.run(main())


def test_the_names_of_the_loggers_follow() -> None:
    assert (loggers.root(), loggers.server_log().name, loggers.access_log().name) == (
        "uvicorn", "uvicorn.error", "uvicorn.access",
    )  # fmt: skip
    assert set(logs.LOGGING_CONFIG["loggers"]) == {"uvicorn", "uvicorn.error", "uvicorn.access"}
    logs.rename("pronghorn")
    assert set(logs.LOGGING_CONFIG["loggers"]) == {"pronghorn", "pronghorn.error", "pronghorn.access"}
    logs.rename("uvicorn")
