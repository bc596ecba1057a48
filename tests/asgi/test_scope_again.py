"""A scope serves another request when its application has neither kept nor changed it: nobody must be able to tell."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import pytest
from peer import Peer
from serving import Server, modes, serve, snapshot

MODES = modes("lazy", "eager", "task")
Scope = dict[str, Any]
PARTS = ("asgi", "state", "extensions", "headers")


def request(target: str, *lines: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/{version}", "Host: h", *lines, "", ""]).encode()


async def ok(scope: Scope, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def expected(server: Server, peer: Peer, target: str, **others: Any) -> Scope:
    """In the order of the keys, which is always the same."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "server": ("127.0.0.1", server.port),
        "client": peer.socket.getsockname(),
        "scheme": "http",
        "root_path": "",
        "headers": [(b"host", b"h")],
        "state": {},
        "method": "GET",
        "path": target,
        "raw_path": target.encode(),
        "query_string": b"",
        "extensions": {},
    } | others


def same(calls: list[Scope], asked: list[Scope]) -> bool:
    """Equal, and in the same order."""
    return [[*call.items()] for call in calls] == [[*one.items()] for one in asked]


def reorder(scope: Scope) -> None:
    scope["path"] = scope.pop("path")


def rename(scope: Scope) -> None:
    path = scope.pop("path")
    scope["way"] = path


def swap(scope: Scope) -> None:
    scope["asgi"], scope["state"] = scope["state"], scope["asgi"]


CHANGES: dict[str, Callable[[Scope], Any]] = {
    "nothing": lambda scope: None,
    "a key more": lambda scope: scope.update(x=1),
    "many keys more": lambda scope: scope.update({f"x{number}": 1 for number in range(40)}),
    "a key less": lambda scope: scope.pop("server"),
    "another key": rename,
    "no keys": lambda scope: scope.clear(),
    "another order": reorder,
    "another value": lambda scope: scope.update(path="/x"),
    "an equal value": lambda scope: scope.update(path="".join([*scope["path"]])),
    "another type": lambda scope: scope.update(type="x"),
    "no client": lambda scope: scope.update(client=None),
    "the root path": lambda scope: scope.update(root_path="/x"),
    "the method": lambda scope: scope.update(method="X"),
    "the query": lambda scope: scope.update(query_string=b"x"),
    "itself": lambda scope: scope.update(me=scope),
    "itself, for a while": lambda scope: (scope.update(me=scope), scope.pop("me")),
    "other headers": lambda scope: scope.update(headers=[]),
    "more headers": lambda scope: scope["headers"].append((b"x", b"y")),
    "no headers": lambda scope: scope["headers"].clear(),
    "parts swapped": swap,
    "asgi: another value": lambda scope: scope["asgi"].update(version="x"),
    "asgi: a key more": lambda scope: scope["asgi"].update(x="x"),
    "asgi: a key less": lambda scope: scope["asgi"].pop("version"),
    "asgi: another one": lambda scope: scope.update(asgi={}),
    "state: a key more": lambda scope: scope["state"].update(x="x"),
    "state: a key, for a while": lambda scope: (scope["state"].update(x="x"), scope["state"].pop("x")),
    "state: another one": lambda scope: scope.update(state={"x": 1}),
    "extensions: a key more": lambda scope: scope["extensions"].update(x={}),
    "extensions: none": lambda scope: scope.update(extensions=None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed(server: Server, change: str) -> None:
    """On one connection and on another, the requests behind it find everything as it has to be."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["path"] == "/change":
            CHANGES[change](scope)
        await ok(scope, receive, send)

    server.use(app)
    with server.raw() as one, server.raw() as other:
        asked = []
        for peer, target in [(one, "/"), (one, "/change"), (one, "/"), (other, "/a"), (one, "/change"), (other, "/")]:
            assert peer.send(request(target)).response().body == b"ok"
            asked.append(expected(server, peer, target))
    assert same(server.calls, asked)


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("part", ["scope", *PARTS])
def test_kept(server: Server, part: str, changed: bool) -> None:
    """What an application keeps stays as it was, and is its own; whether it has changed the rest or not."""
    kept: list[tuple[Scope, Scope]] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        given = scope if part == "scope" else scope[part]
        assert all(given is not other for other, _ in kept)
        if scope["path"].startswith("/keep"):
            if changed:
                scope["x"] = 1
            kept.append((given, given.copy()))
        await ok(scope, receive, send)

    server.use(app)
    with server.raw() as one, server.raw() as other:
        asked = []
        for peer, target in [(one, "/"), (one, "/keep/1"), (one, "/a"), (other, "/keep/2"), (other, "/"), (one, "/b")]:
            line = f"X-Path: {target}"
            assert peer.send(request(target, line)).response().body == b"ok"
            asked.append(expected(server, peer, target, headers=[(b"host", b"h"), (b"x-path", target.encode())]))
    assert same(server.calls, asked)
    assert len(kept) == 2
    for given, before in kept:
        assert given == before


@pytest.mark.parametrize("parts", [*combinations(PARTS, 2), PARTS], ids="-".join)
def test_several_kept(server: Server, parts: tuple[str, ...]) -> None:
    """As a shallow copy of a scope keeps them, which is what many a middleware makes."""
    kept: list[Scope] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        for other in kept:
            assert not [part for part in other if scope[part] is other[part]]
        if scope["path"] == "/keep":
            kept.append({part: scope[part] for part in parts})
        scope["state"]["user"] = scope["path"]
        await ok(scope, receive, send)

    server.use(app)
    with server.raw() as peer:
        for target in ["/", "/keep", "/a", "/keep", "/b", "/c"]:
            assert peer.send(request(target)).response().body == b"ok"
        assert len(kept) == 2
        assert all(one["state"] == {"user": "/keep"} for one in kept if "state" in one)


@pytest.mark.parametrize(("keep", "change"), [*permutations(("asgi", "state", "extensions"), 2)])
def test_one_kept_and_another_changed(server: Server, keep: str, change: str) -> None:
    kept: list[Scope] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert all(scope[keep] is not other for other in kept)
        if scope["path"] == "/keep":
            kept.append(scope[keep])
            scope[change]["x"] = "x"
        await ok(scope, receive, send)

    server.use(app)
    with server.raw() as peer:
        targets = ["/", "/keep", "/a", "/keep", "/b"]
        for target in targets:
            assert peer.send(request(target)).response().body == b"ok"
        assert same(server.calls, [expected(server, peer, target) for target in targets])


def test_kept_for_a_while(server: Server) -> None:
    """By something that outlives the request, and not for ever."""
    kept: list[Scope] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["path"] == "/keep":
            kept.append(scope)
        elif scope["path"] == "/drop":
            assert kept.pop()["path"] == "/keep"
        await ok(scope, receive, send)

    server.use(app)
    with server.raw() as peer:
        targets = ["/", "/keep", "/a", "/drop", "/b", "/keep", "/drop", "/"]
        for target in targets:
            assert peer.send(request(target)).response().body == b"ok"
        asked = [expected(server, peer, target) for target in targets]
    assert same(server.calls, asked)


def test_side_by_side(server: Server) -> None:
    """Several that have not ended, and then their successors: no scope is in use twice."""
    gate = server.gate()
    running: list[Scope] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        assert all(scope is not other for other in running)
        if scope["path"].startswith("/wait"):
            running.append(scope)
            await gate.passed()
            assert scope["path"] == f"/wait/{scope['client'][1]}"
        await ok(scope, receive, send)

    server.use(app)
    with server.raw() as last:
        peers = [server.raw() for _ in range(5)]
        for peer in peers:
            peer.send(request(f"/wait/{peer.socket.getsockname()[1]}"))
            assert last.send(request("/")).response().body == b"ok"
        server.until(lambda: len(running) == 5, "all have begun")
        running_then = [snapshot(scope) for scope in running]
        gate.open()
        for peer in peers:
            assert peer.response().body == b"ok"
        assert running == running_then
        running.clear()
        asked = []
        for peer in [*peers, last]:
            assert peer.send(request("/")).response().body == b"ok"
            asked.append(expected(server, peer, "/"))
        assert same(server.calls[-6:], asked)
        for peer in peers:
            peer.close()


FORWARDED = ("X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https")
KINDS: dict[str, tuple[tuple[str, ...], dict[str, str], Scope]] = {
    "plain": ((), {}, {}),
    "post": ((), {"method": "POST"}, {"method": "POST"}),
    "head": ((), {"method": "HEAD"}, {"method": "HEAD"}),
    "old": (("Connection: keep-alive",), {"version": "1.0"}, {"http_version": "1.0"}),
    "query": ((), {}, {"query_string": b"a=b"}),
    "forwarded": (FORWARDED, {}, {"client": ("192.0.2.7", 0), "scheme": "https"}),
}


def ask(server: Server, peer: Peer, kind: str, target: str) -> Scope:
    lines, line, others = KINDS[kind]
    peer.send(request(target + ("?a=b" if kind == "query" else ""), *lines, **line))
    assert peer.response(line.get("method", "GET")).status == 200
    headers = [(b"host", b"h"), *((name.lower().encode(), value.encode()) for name, value in (one.split(": ") for one in lines))]
    return expected(server, peer, target, headers=headers, **others)


@pytest.mark.parametrize("seed", range(4))
def test_mixture(server: Server, seed: int) -> None:
    """Requests that differ in what is written over the template, in any order, on several connections."""
    chance = random.Random(seed)
    server.use(ok)
    peers = [server.raw() for _ in range(3)]
    asked = [
        ask(server, chance.choice(peers), chance.choice([*KINDS, "plain", "plain"]), chance.choice(["/", "/a", "/a/b"]))
        for _ in range(120)
    ]
    assert same(server.calls, asked)
    for peer in peers:
        peer.close()


def test_pipelined(server: Server) -> None:
    server.use(ok)
    targets = ["/", "/", "/a", "/", "/b", "/b"]
    with server.raw() as peer:
        peer.send(b"".join(map(request, targets)))
        for _ in targets:
            assert peer.response().body == b"ok"
        asked = [expected(server, peer, target) for target in targets]
    assert same(server.calls, asked)


def test_two_listeners() -> None:
    """What the one has in its scopes does not show in the other's."""
    with tempfile.TemporaryDirectory() as folder, serve(ok, bind=["127.0.0.1:0", f"unix:{folder}/s"]) as server:
        place = str(Path(folder) / "s")
        only_there = {"server": (place, None), "client": None}
        with server.raw() as tcp, Peer(place, 5.0) as local:
            asked = []
            for _ in range(3):
                for peer in (tcp, local):
                    assert peer.send(request("/")).response().body == b"ok"
                    asked.append(expected(server, peer, "/") | ({} if peer is tcp else only_there))
    assert same(server.calls, asked)


def test_state() -> None:
    """The lifespan's state is in every scope, whatever became of it in the scopes before."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.startup"
            scope["state"].update(a=1, b=[])
            await send({"type": "lifespan.startup.complete"})
            assert (await receive())["type"] == "lifespan.shutdown"
            await send({"type": "lifespan.shutdown.complete"})
            return
        assert scope["state"] == {"a": 1, "b": []}
        match scope["path"]:
            case "/value":
                scope["state"]["a"] = 2
            case "/less":
                del scope["state"]["a"]
            case "/more":
                scope["state"]["c"] = 3
            case "/same":
                scope["state"]["a"] = 1
        await ok(scope, receive, send)

    with serve(app, lifespan="on") as server, server.raw() as peer:
        for target in ["/", "/value", "/", "/less", "/", "/more", "/", "/same", "/"]:
            assert peer.send(request(target)).response().body == b"ok", target
