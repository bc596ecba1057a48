"""Headers that are constants of the application, the very same pairs with each response: they are as checked, and as
rendered, as those that are new each time."""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest
from peer import Response
from serving import Server, modes, serve

MODES = modes("lazy", "eager", "task")
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
Pairs = list[Any]


class App:
    """Answers with what it has been told to, in turn."""

    def __init__(self, *turns: tuple[int, Pairs, bytes]) -> None:
        self.turns = iter(turns)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        status, headers, body = next(self.turns)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def ask(server: Server, *turns: tuple[int, Pairs, bytes]) -> list[Response]:
    """What comes of each, on one connection, or on another where that is closed."""
    server.use(App(*turns))
    responses: list[Response] = []
    while len(responses) < len(turns):
        with server.raw() as peer:
            while len(responses) < len(turns):
                responses.append(peer.send(GET).response())
                if responses[-1].closes:
                    break
    return responses


def lines(response: Response) -> list[tuple[str, str]]:
    """Without those of the server."""
    return [pair for pair in response.headers if pair[0] not in ("date", "server")]


TYPE, LENGTH = (b"content-type", b"text/plain"), (b"content-length", b"2")
LOUD = (b"X-Loud", b"Yes")
OWN_DATE, OWN_SERVER = (b"date", b"Thu, 01 Jan 1970 00:00:00 GMT"), (b"server", b"mine")
CLOSE, CHUNKED = (b"connection", b"close"), (b"transfer-encoding", b"chunked")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([TYPE, LENGTH], [("content-type", "text/plain"), ("content-length", "2")]),
        ([LENGTH, TYPE], [("content-length", "2"), ("content-type", "text/plain")]),
        ([TYPE], [("content-type", "text/plain"), ("content-length", "2")]),
        ([LOUD, TYPE, LOUD], [("x-loud", "Yes"), ("content-type", "text/plain"), ("x-loud", "Yes"), ("content-length", "2")]),
        ([CHUNKED, TYPE], [("content-type", "text/plain"), ("content-length", "2")]),
        ([LOUD] * 8 + [LENGTH], [("x-loud", "Yes")] * 8 + [("content-length", "2")]),
        ([(b"x", b"a" * 2000), LENGTH], [("x", "a" * 2000), ("content-length", "2")]),
        ([(b"set-cookie", b"a=b"), LENGTH], [("set-cookie", "a=b"), ("content-length", "2")]),
    ],
)
def test_the_same_lines(server: Server, headers: Pairs, expected: list[tuple[str, str]]) -> None:
    for response in ask(server, *[(200, [*headers], b"ok")] * 4):
        assert (response.status, response.body, lines(response)) == (200, b"ok", expected)
        assert response.header("server") == "pronghorn" and response.header("date")


def test_own_date_and_server(server: Server) -> None:
    for response in ask(server, *[(200, [OWN_DATE, OWN_SERVER], b"ok")] * 3):
        assert [pair for pair in response.headers if pair[0] in ("date", "server")] == [
            ("date", OWN_DATE[1].decode()),
            ("server", "mine"),
        ]


def test_connection_is_closed(server: Server) -> None:
    responses = ask(server, *[(200, [TYPE, CLOSE], b"ok"), (200, [TYPE, LENGTH], b"ok")] * 3)
    assert [response.closes for response in responses] == [True, False] * 3


@pytest.mark.parametrize("first", [200, 204])
def test_status_without_content(server: Server, first: int) -> None:
    """A 204 has no content-length, whatever a 200 with the same headers had."""
    statuses = [first, 204, 200, 304, 204, 200]
    responses = ask(server, *[(status, [TYPE, LENGTH], b"ok") for status in statuses])
    assert [response.status for response in responses] == statuses
    for response in responses:
        assert response.header("content-length") == (None if response.status == 204 else "2")


def test_lengths_are_kept_to(server: Server) -> None:
    """The declared length holds for each response."""
    turns = [(200, [TYPE, LENGTH], body) for body in (b"ok", b"ok", b"too long", b"ok", b"-", b"ok")]
    server.use(App(*turns))
    for _, _, body in turns:
        with server.raw() as peer:
            peer.send(GET)
            if body == b"ok":
                assert peer.response().body == body
            else:
                assert b"too" not in peer.drain()[0]
    assert len(server.take_log()) == 2


@pytest.mark.parametrize("bad", [(b"x", b"a\r\nb: c"), (b"a b", b"c"), (b"content-length", b"x"), (b"a", "b"), (b"a",), (b"a", b"b", b"c")])
def test_refused_each_time(server: Server, bad: Any) -> None:
    for response in ask(server, *[(200, [TYPE, bad], b"ok")] * 3):
        assert response.status == 500
    assert len(server.take_log()) == 3


def test_pairs_that_change(server: Server) -> None:
    """A list is no constant."""
    pair = [b"x-number", b""]
    seen = []
    turns = [(200, [TYPE, pair], b"ok")] * 4
    server.use(App(*turns))
    with server.raw() as peer:
        for number in range(4):
            pair[1] = b"%d" % number
            seen.append(peer.send(GET).response().header("x-number"))
    assert seen == ["0", "1", "2", "3"]


def test_pairs_that_come_and_go(server: Server) -> None:
    """Held by a variable they look like constants, and others may come to stand where they stood."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        pair = (b"x-path", scope["raw_path"])
        await send({"type": "http.response.start", "status": 200, "headers": [pair]})
        await send({"type": "http.response.body", "body": b"ok"})

    server.use(app)
    with server.raw() as peer:
        for number in range(300):
            path = f"/{number % 7}" if number < 150 else f"/{number}"
            assert peer.send(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()).response().header("x-path") == path


@pytest.mark.parametrize("seed", range(3))
def test_many_sets(server: Server, seed: int) -> None:
    """More than are kept, of the same pairs in every order."""
    chance = random.Random(seed)
    constants = [(b"x-%d" % number, b"v%d" % number) for number in range(12)]
    sets = [chance.sample(constants, chance.randint(0, 9)) for _ in range(40)]
    turns = [(200, [*chance.choice(sets)], b"ok") for _ in range(300)]
    for response, (_, headers, _) in zip(ask(server, *turns), turns, strict=True):
        assert lines(response) == [(name.decode(), value.decode()) for name, value in headers] + [("content-length", "2")]


def test_no_cookie_is_kept(server: Server) -> None:
    pairs = [(name, b"a=%d" % number) for number, name in enumerate([b"Set-Cookie", b"set-cookie"])]
    before = [sys.getrefcount(pair) for pair in pairs]
    for number in range(2):
        ask(server, *[(200, [TYPE, pairs[number]], b"ok")] * 2)
    server.idle()
    server.app = None
    server.until(lambda: [sys.getrefcount(pair) for pair in pairs] == before, "nobody has the cookies")


def test_nothing_is_left_of_them() -> None:
    pairs = [(b"x-%d" % number, b"v") for number in range(30)]
    before = [sys.getrefcount(pair) for pair in pairs]
    with serve(None) as server:
        for number in range(30):
            ask(server, *[(200, pairs[number : number + 1 + number % 8], b"ok")] * 2)
        server.app = None
    del server
    assert [sys.getrefcount(pair) for pair in pairs] == before
