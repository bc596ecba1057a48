"""send(): the order, the keys and the types of http.response.start and http.response.body.

Every fault raises inside the application, where it happens, with a text that names the message and the rule. The
fault changes nothing: an application that catches it can go on and answer properly, which each test here does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from serving import Server, modes

from pronghorn.errors import MessageError

MODES = modes("lazy", "eager", "task")
START = {"type": "http.response.start", "status": 200}
BODY = {"type": "http.response.body", "body": b"ok"}
MORE = {"type": "http.response.body", "body": b"ok", "more_body": True}


class Script:
    """Sends these messages in turn and keeps what each send() raised."""

    def __init__(self, *messages: Any) -> None:
        self.messages = messages
        self.outcomes: list[BaseException | None] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        for message in self.messages:
            try:
                await send(message)
            except Exception as error:
                self.outcomes.append(error)
            else:
                self.outcomes.append(None)


def fault(server: Server, *messages: Any, at: int, words: tuple[str, ...]) -> MessageError:
    """The message at this index is refused with a MessageError whose text has these words; all others pass."""
    script = Script(*messages)
    server.use(script)
    response = server.get()
    server.idle()
    assert (response.status, response.body) == (200, b"ok")
    raised = [index for index, outcome in enumerate(script.outcomes) if outcome is not None]
    assert raised == [at], f"raised: {script.outcomes}"
    error = script.outcomes[at]
    assert isinstance(error, MessageError) and isinstance(error, RuntimeError), repr(error)
    for word in words:
        assert word in str(error), f"{word!r} is not in {str(error)!r}"
    return error


class TestOrder:
    """The texts are uvicorn's: programs in the wild look for them."""

    @pytest.mark.parametrize("message", [BODY, MORE, {"type": "http.response.trailers"}], ids=["body", "more", "trailers"])
    def test_before_start(self, server: Server, message: dict[str, Any]) -> None:
        error = fault(server, message, START, BODY, at=0, words=())
        assert str(error) == f"Expected ASGI message 'http.response.start', but got '{message['type']}'."

    def test_start_twice(self, server: Server) -> None:
        error = fault(server, START, START, BODY, at=1, words=())
        assert str(error) == "Expected ASGI message 'http.response.body', but got 'http.response.start'."

    def test_start_in_the_body(self, server: Server) -> None:
        end = {"type": "http.response.body", "body": b""}
        error = fault(server, START, MORE, START, end, at=2, words=())
        assert str(error) == "Expected ASGI message 'http.response.body', but got 'http.response.start'."

    @pytest.mark.parametrize("message", [START, BODY, MORE], ids=["start", "body", "more"])
    def test_after_the_end(self, server: Server, message: dict[str, Any]) -> None:
        error = fault(server, START, BODY, message, at=2, words=())
        assert str(error) == f"Unexpected ASGI message '{message['type']}' sent, after response already completed."

    def test_after_the_end_on_a_connection_that_goes_on(self, server: Server) -> None:
        """A late message raises in its own call; it never lands in the next response."""
        script = Script(START, BODY, START, {"type": "http.response.body", "body": b"WRONG"})
        server.use(script)
        with server.raw() as peer:
            peer.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 3)
            for _ in range(3):
                assert peer.response().body == b"ok"
            assert peer.pending() == b""
        assert [isinstance(outcome, MessageError) for outcome in script.outcomes] == [False, False, True, True] * 3


class TestUnknown:
    @pytest.mark.parametrize(
        "name",
        [
            "http.response",
            "http.response.starts",
            "http.response.bodies",
            "http.response.body2",
            "http.response.bod",
            "http.response.foo",
            "http.request",
            "http.disconnect",
            "HTTP.RESPONSE.START",
            "websocket.accept",
            "websocket.send",
            "lifespan.startup.complete",
            "",
        ],
    )
    def test_event(self, server: Server, name: str) -> None:
        """Refused where it stands: before the start, in the body, after the end."""
        message = {**START, **MORE, "type": name}  # all it could want
        fault(server, message, START, BODY, at=0, words=(f"'{name}'",))
        end = {"type": "http.response.body", "body": b""}
        fault(server, START, MORE, message, end, at=2, words=(f"'{name}'",))
        fault(server, START, BODY, message, at=2, words=(f"'{name}'",))

    @pytest.mark.parametrize("name", ["http.response.push", "http.response.pathsend", "http.response.zerocopysend"])
    def test_extension_that_is_not_offered(self, server: Server, name: str) -> None:
        """An application may only use what the scope's extensions name."""
        script = Script(START, {"type": name, "path": "/", "headers": [], "file": 0}, BODY)
        server.use(script)
        assert server.get().body == b"ok"
        if name not in server.calls[0]["extensions"]:
            assert isinstance(script.outcomes[1], MessageError)

    @pytest.mark.parametrize("message", [{}, {"status": 200}, {"type": None}, {"type": 1}, {"type": b"http.response.start"}], ids=repr)
    def test_type_missing_or_wrong(self, server: Server, message: dict[str, Any]) -> None:
        fault(server, message, START, BODY, at=0, words=(str(message["type"]) if "type" in message else "type",))

    @pytest.mark.parametrize("message", [None, "http.response.start", 1, [], (), b"x"], ids=repr)
    def test_not_a_dict(self, server: Server, message: Any) -> None:
        fault(server, message, START, BODY, at=0, words=("ASGI message must",))


class Name(str):
    """A str subclass is a str."""


class Bytes(bytes):
    """A bytes subclass is bytes."""


class TestStart:
    @pytest.mark.parametrize(
        "status",
        ["200", b"200", 200.0, None, [200], (200,)],
        ids=repr,
    )
    def test_status_of_a_wrong_type(self, server: Server, status: Any) -> None:
        fault(server, {**START, "status": status}, START, BODY, at=0, words=("http.response.start", "status", "int"))

    @pytest.mark.parametrize("status", [-200, 0, 1, True, 99, 100, 101, 103, 199, 600, 999, 1000, 2**31, 2**70])
    def test_status_out_of_range(self, server: Server, status: int) -> None:
        fault(server, {**START, "status": status}, START, BODY, at=0, words=("http.response.start", "status"))

    def test_status_missing(self, server: Server) -> None:
        fault(server, {"type": "http.response.start"}, START, BODY, at=0, words=("http.response.start", "status"))
        message = {"type": "http.response.start", "headers": []}
        fault(server, message, START, BODY, at=0, words=("http.response.start", "status"))

    @pytest.mark.parametrize("status", [200, 201, 299, 404, 599])
    def test_status_in_range(self, server: Server, status: int) -> None:
        server.use(Script({**START, "status": status}, BODY))
        assert server.get().status == status

    def test_status_of_an_enum(self, server: Server) -> None:
        """http.HTTPStatus is an int."""
        from http import HTTPStatus

        server.use(Script({**START, "status": HTTPStatus.NOT_FOUND}, BODY))
        assert server.get().status == 404

    @pytest.mark.parametrize(
        "headers",
        [
            1,
            "a: b",
            b"a: b",
            [1],
            [None],
            ["ab"],
            [b"ab"],
            [()],
            [(b"a",)],
            [(b"a", b"b", b"c")],
            [("a", b"b")],
            [(b"a", "b")],
            [("a", "b")],
            [(b"a", 1)],
            [(1, b"b")],
            [(b"a", None)],
            [(None, b"b")],
            [(b"a", b"b"), (b"c", "d")],
            {"a": "b"},
        ],
        ids=repr,
    )
    def test_headers_of_a_wrong_type(self, server: Server, headers: Any) -> None:
        fault(server, {**START, "headers": headers}, START, BODY, at=0, words=("http.response.start", "header"))

    @pytest.mark.parametrize(
        "make",
        [
            lambda: [(b"x-a", b"b")],
            lambda: ((b"x-a", b"b"),),
            lambda: [[b"x-a", b"b"]],
            lambda: ([b"x-a", b"b"],),
            lambda: iter([(b"x-a", b"b")]),
            lambda: (pair for pair in [(b"x-a", b"b")]),
            lambda: {b"x-a": b"b"}.items(),
            lambda: [(Bytes(b"x-a"), Bytes(b"b"))],
        ],
        ids=["list", "tuple", "lists", "tuple-of-lists", "iterator", "generator", "items", "subclasses"],
    )
    def test_headers_of_a_good_type(self, server: Server, make: Callable[[], Any]) -> None:
        """The specification asks for an iterable of two-item iterables of bytes."""
        server.use(Script({**START, "headers": make()}, BODY))
        assert server.get().header("x-a") == "b"

    def test_iterable_that_raises(self, server: Server) -> None:
        """The application's own exception comes back to it; nothing of the head has gone out."""

        def headers() -> Iterator[tuple[bytes, bytes]]:
            yield (b"x-a", b"b")
            raise LookupError("mine")

        script = Script({**START, "headers": headers()}, START, BODY)
        server.use(script)
        response = server.get()
        assert (response.status, response.header("x-a")) == (200, None)
        assert isinstance(script.outcomes[0], LookupError)
        assert script.outcomes[1:] == [None, None]

    def test_headers_missing(self, server: Server) -> None:
        server.use(Script(START, BODY))
        assert server.get().status == 200

    @pytest.mark.parametrize("headers", [[], (), iter([])], ids=["list", "tuple", "iterator"])
    def test_no_headers(self, server: Server, headers: Any) -> None:
        server.use(Script({**START, "headers": headers}, BODY))
        assert server.get().status == 200

    def test_kept_headers_can_change(self, server: Server) -> None:
        """What the application does with its list afterwards has no effect on the response, nor the reverse."""
        headers = [(b"X-A", b"b")]

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await send({**START, "headers": headers})
            assert headers == [(b"X-A", b"b")]
            headers.append((b"x-c", b"d"))
            await send(BODY)

        server.use(app)
        response = server.get()
        assert (response.header("x-a"), response.header("x-c")) == ("b", None)

    @pytest.mark.parametrize("trailers", [False, None], ids=repr)
    def test_trailers_not_asked_for(self, server: Server, trailers: Any) -> None:
        server.use(Script({**START, "trailers": trailers} if trailers is not None else START, BODY))
        assert server.get().body == b"ok"


class TestBody:
    @pytest.mark.parametrize("body", ["ok", 1, None, [b"ok"], {}, 1.5], ids=repr)
    def test_body_of_a_wrong_type(self, server: Server, body: Any) -> None:
        bad = {"type": "http.response.body", "body": body}
        fault(server, START, bad, BODY, at=1, words=("http.response.body", "body", "bytes"))

    @pytest.mark.parametrize("body", ["", "ok"], ids=repr)
    def test_wrong_type_in_a_stream(self, server: Server, body: Any) -> None:
        bad = {"type": "http.response.body", "body": body, "more_body": True}
        end = {"type": "http.response.body", "body": b""}
        fault(server, START, MORE, bad, end, at=2, words=("http.response.body", "body"))

    @pytest.mark.parametrize("make", [bytearray, memoryview, Bytes], ids=["bytearray", "memoryview", "subclass"])
    def test_other_byte_strings(self, server: Server, make: Callable[[bytes], Any]) -> None:
        server.use(Script(START, {**MORE, "body": make(b"o")}, {**BODY, "body": make(b"k")}))
        assert server.get().body == b"ok"

    def test_part_of_a_memoryview(self, server: Server) -> None:
        view = memoryview(b"xxokxx")
        server.use(Script(START, {**MORE, "body": view[2:4]}, {**BODY, "body": view[6:]}))
        assert server.get().body == b"ok"

    @pytest.mark.parametrize("size", [10, 100_000, 1_000_000])
    def test_changed_after_send(self, server: Server, size: int) -> None:
        """The application uses its buffer again at once; the client gets what it held when it was sent."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await send(START)
            buffer = bytearray(size)
            for number in range(5):
                buffer[:] = bytes([number]) * size
                await send({"type": "http.response.body", "body": buffer, "more_body": number < 4})
                buffer[:] = b"\xff" * size

        server.use(app)
        assert server.get().body == b"".join(bytes([number]) * size for number in range(5))

    def test_body_missing(self, server: Server) -> None:
        server.use(Script(START, MORE, {"type": "http.response.body"}))
        assert server.get().body == b"ok"

    def test_more_body_missing(self, server: Server) -> None:
        """Its default is False: the response is complete."""
        server.use(Script(START, {"type": "http.response.body", "body": b"ok"}))
        assert server.get().body == b"ok"

    @pytest.mark.parametrize("more", ["yes", b"", 2, []], ids=repr)
    def test_more_body_of_a_wrong_type(self, server: Server, more: Any) -> None:
        bad = {"type": "http.response.body", "body": b"x", "more_body": more}
        fault(server, START, bad, BODY, at=1, words=("http.response.body", "more_body"))

    def test_empty_bodies_do_not_end_the_response(self, server: Server) -> None:
        empty = {"type": "http.response.body", "body": b"", "more_body": True}
        server.use(Script(START, empty, empty, MORE, empty, {"type": "http.response.body"}))
        assert server.get().body == b"ok"

    def test_many_small_bodies(self, server: Server) -> None:
        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await send(START)
            for number in range(5000):
                await send({"type": "http.response.body", "body": b"%d," % number, "more_body": True})
            await send({"type": "http.response.body"})

        server.use(app)
        assert server.get().body == b"".join(b"%d," % number for number in range(5000))


def test_extra_keys_are_ignored(server: Server) -> None:
    """The specification: servers must ignore keys they do not know."""
    server.use(Script({**START, "x": 1, "reason": "no"}, {**MORE, "x": 1}, {"type": "http.response.body", "x": None}))
    assert server.get().body == b"ok"


def test_messages_are_not_changed(server: Server) -> None:
    start = {"type": "http.response.start", "status": 200, "headers": [(b"X-A", b"b")]}
    body = {"type": "http.response.body", "body": b"ok"}
    server.use(Script(start, body))
    server.get()
    assert start == {"type": "http.response.start", "status": 200, "headers": [(b"X-A", b"b")]}
    assert body == {"type": "http.response.body", "body": b"ok"}


def test_dict_subclass(server: Server) -> None:
    class Message(dict[str, Any]):
        pass

    server.use(Script(Message(START), Message(BODY)))
    assert server.get().body == b"ok"


def test_type_of_a_str_subclass(server: Server) -> None:
    server.use(Script({**START, "type": Name("http.response.start")}, {**BODY, "type": Name("http.response.body")}))
    assert server.get().body == b"ok"


def test_type_that_is_not_interned(server: Server) -> None:
    """A message that came over a queue or out of JSON has an equal text, not the same object."""
    server.use(Script({**START, "type": "".join(["http.", "response.start"])}, {**BODY, "type": "".join(["http.response", ".body"])}))
    assert server.get().body == b"ok"


@pytest.mark.parametrize("extra", [{}, {"x": 1}], ids=["", "extra"])
def test_keys_that_are_not_interned(server: Server, extra: dict[str, Any]) -> None:
    """Nor are the keys of such a message; what it lacks is not missed because of that."""

    def other(message: dict[str, Any]) -> dict[str, Any]:
        return {Name(key) if key == "type" else key[:1] + key[1:]: value for key, value in message.items()}

    start = other({**START, "headers": [(b"x-a", b"b")], **extra})
    server.use(Script(start, other({**MORE, **extra}), other({**BODY, "more_body": True}), other({**BODY, **extra})))
    reply = server.get()
    assert reply.body == MORE["body"] + 2 * BODY["body"]
    assert reply.header("x-a") == "b"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (BODY, ("http.response.start", "http.response.body")),
        ({"type": "http.response.foo"}, ("http.response.foo",)),
        ({**START, "status": "200"}, ("http.response.start", "status")),
        ({**START, "headers": [("a", "b")]}, ("http.response.start", "header")),
        ({"type": "http.response.start"}, ("http.response.start", "status")),
    ],
    ids=["order", "event", "status", "headers", "missing"],
)
def test_fault_that_is_not_caught(server: Server, message: dict[str, Any], words: tuple[str, ...]) -> None:
    """A 500 for the client, and one traceback in the log that tells the author what to mend."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(message)

    server.use(app)
    response = server.get()
    assert (response.status, response.body, response.closes) == (500, b"Internal Server Error", True)
    error = server.traceback(MessageError)
    for word in words:
        assert word in str(error)
