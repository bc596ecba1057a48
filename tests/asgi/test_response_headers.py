"""Headers of the application: what is refused, what the server takes over, and lengths that do not fit (H01, H06)."""

from __future__ import annotations

from typing import Any

import pytest
from peer import Closed
from serving import Server, modes

from pronghorn.errors import MessageError

MODES = modes("lazy", "eager", "task")
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def app_with(headers: list[tuple[bytes, bytes]], *bodies: bytes, status: int = 200) -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for body in bodies[:-1]:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": bodies[-1] if bodies else b""})

    return app


def refused(server: Server, headers: list[tuple[bytes, bytes]], secret: bytes) -> None:
    """MessageError in send(), 500 for the client, not one byte of the header on the wire."""
    server.use(app_with(headers, b"x"))
    with server.raw() as peer:
        peer.send(GET)
        response = peer.response()
        assert (response.status, response.body, response.closes) == (500, b"Internal Server Error", True)
        assert secret not in response.raw
        peer.ended(1.5)
    error = server.traceback(MessageError)
    assert "http.response.start" in str(error) and "header" in str(error)


class TestRefused:
    @pytest.mark.parametrize("byte", [b"\r", b"\n", b"\0", b"\r\n", b"\x1b"], ids=["cr", "lf", "nul", "crlf", "escape"])
    @pytest.mark.parametrize(
        "place",
        ["%bx-secret", "x-%bsecret", "x-secret%b"],
        ids=["first", "middle", "last"],
    )
    def test_control_byte_in_a_name(self, server: Server, byte: bytes, place: str) -> None:
        refused(server, [(place.encode() % byte, b"v")], b"secret")

    @pytest.mark.parametrize("byte", [b"\r", b"\n", b"\0", b"\r\n", b"\x7f"], ids=["cr", "lf", "nul", "crlf", "delete"])
    @pytest.mark.parametrize("place", ["%bsecret", "sec%bret", "secret%b", "sec%b\tset-cookie: a"], ids=["first", "middle", "last", "split"])
    @pytest.mark.parametrize("name", [b"x-a", b"location", b"content-type", b"set-cookie"], ids=bytes.decode)
    def test_control_byte_in_a_value(self, server: Server, byte: bytes, place: str, name: bytes) -> None:
        refused(server, [(name, place.encode() % byte)], b"sec")

    @pytest.mark.parametrize("name", [b"", b" ", b"a b", b"a:", b":a", b"a\t", b" a", b"a ", b"a,b", b"a(b", b'a"b', b"a/b", b"a@b", b"a\xe9", b"a=b", b"a{b"], ids=repr)
    def test_name_that_is_no_token(self, server: Server, name: bytes) -> None:
        refused(server, [(b"x-secret", b"v"), (name, b"v")], b"secret")

    def test_good_ones_before_a_bad_one(self, server: Server) -> None:
        """Half a head never leaves: the buffer goes back to where it was."""
        refused(server, [(b"x-secret-%d" % number, b"v" * 50) for number in range(50)] + [(b"x", b"a\nb")], b"secret")

    def test_pipelined_answers_before_it_are_whole(self, server: Server) -> None:
        """The output buffer goes back to the start of this head, not of the batch."""
        count = 0

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            nonlocal count
            count += 1
            await app_with([(b"x-secret", b"a\nb")] if count == 5 else [], b"%d" % count)(scope, receive, send)

        server.use(app)
        with server.raw() as peer:
            peer.send(GET * 8)
            for number in range(1, 5):
                assert peer.response().body == b"%d" % number
            response = peer.response()
            assert response.status == 500 and b"secret" not in response.raw
            peer.ended(1.5)
        server.traceback(MessageError)

    @pytest.mark.parametrize("value", [b"", b" ", b"-1", b"+1", b"1.0", b"0x1", b"1 1", b"1,1", b"abc", b"9" * 30, b"1_0", b"\xb9"], ids=repr)
    def test_content_length_that_is_no_number(self, server: Server, value: bytes) -> None:
        server.use(app_with([(b"content-length", value)], b"x"))
        response = server.get()
        assert response.status == 500 and response.closes
        assert "content-length" in str(server.traceback(MessageError)).lower()

    @pytest.mark.parametrize("second", [b"5", b"6"])
    def test_two_content_lengths(self, server: Server, second: bytes) -> None:
        server.use(app_with([(b"content-length", b"5"), (b"Content-Length", second)], b"hello"))
        response = server.get()
        assert response.status == 500 and response.closes
        assert "content-length" in str(server.traceback(MessageError)).lower()


class TestTakenOver:
    @pytest.mark.parametrize("value", [b"chunked", b"gzip, chunked", b"identity", b"gzip"], ids=bytes.decode)
    @pytest.mark.parametrize("name", [b"transfer-encoding", b"Transfer-Encoding"], ids=bytes.decode)
    def test_transfer_encoding_is_ignored(self, server: Server, name: bytes, value: bytes) -> None:
        """The framing is the server's: the field is dropped, the body arrives as it was sent."""
        server.use(app_with([(name, value), (b"x-a", b"b")], b"hello"))
        with server.raw() as peer:
            peer.send(GET * 2)
            for _ in range(2):
                response = peer.response()
                assert (response.status, response.body, response.header("x-a")) == (200, b"hello", "b")
                assert response.header("transfer-encoding") in (None, "chunked")

    def test_transfer_encoding_beside_a_length(self, server: Server) -> None:
        server.use(app_with([(b"transfer-encoding", b"chunked"), (b"content-length", b"5")], b"hello"))
        response = server.get()
        assert (response.body, response.framing) == (b"hello", "length")

    def test_transfer_encoding_in_a_stream(self, server: Server) -> None:
        server.use(app_with([(b"transfer-encoding", b"chunked")], b"he", b"llo"))
        response = server.get()
        assert (response.body, response.framing) == (b"hello", "chunked")

    @pytest.mark.parametrize("status", [204, 304])
    def test_transfer_encoding_without_a_body(self, server: Server, status: int) -> None:
        server.use(app_with([(b"transfer-encoding", b"chunked")], b"", status=status))
        assert server.get().header("transfer-encoding") is None


    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    @pytest.mark.parametrize("asked", ["keep-alive", "close"])
    @pytest.mark.parametrize("value", [b"keep-alive", b"close", b"Keep-Alive"], ids=bytes.decode)
    def test_connection_is_said_once(self, server: Server, version: str, asked: str, value: bytes) -> None:
        """Whatever the application says about the connection, the client reads one answer to that, and a true one."""
        server.use(app_with([(b"connection", value), (b"content-length", b"2")], b"ok"))
        with server.raw() as peer:
            peer.send(f"GET / HTTP/{version}\r\nHost: h\r\nConnection: {asked}\r\n\r\n".encode())
            response = peer.response()
            assert response.body == b"ok"
            if value == b"close" or asked == "close":
                assert response.closes
                assert peer.ended(1.5) == "fin"
            else:
                assert not response.closes
                peer.send(GET)
                assert peer.response().body == b"ok"

    def test_many_and_long(self, server: Server) -> None:
        """The head of a response has no limit but the application's sense."""
        headers = [(b"x-%d" % number, b"v" * (number % 100)) for number in range(3000)] + [(b"x-long", b"w" * 300_000)]
        server.use(app_with(headers, b"ok"))
        with server.raw() as peer:
            peer.send(GET * 2)
            for _ in range(2):
                response = peer.response()
                assert response.header("x-2999") == "v" * 99
                assert response.header("x-long") == "w" * 300_000
                assert response.body == b"ok"


class TestLength:
    """Never more bytes than were announced, and never a response that looks whole and is not."""

    def outcome(self, server: Server, headers: list[tuple[bytes, bytes]], *bodies: bytes) -> tuple[bytes, BaseException]:
        server.use(app_with(headers, *bodies))
        with server.raw() as peer:
            peer.send(GET * 2)
            data, _ = peer.drain()
        return data, server.traceback(MessageError)

    def test_longer_in_one_body(self, server: Server) -> None:
        """A 500 if the head was still held, otherwise a head whose body never comes; not a byte of the body."""
        data, error = self.outcome(server, [(b"content-length", b"4")], b"hello")
        assert str(error) == "Response content longer than Content-Length"
        assert b"hello" not in data and data.count(b"HTTP/1.1 ") <= 1
        assert data.startswith(b"HTTP/1.1 500 ") or data == b"" or data.endswith(b"\r\n\r\n")

    def test_longer_in_the_second_body(self, server: Server) -> None:
        data, error = self.outcome(server, [(b"content-length", b"4")], b"he", b"llo")
        assert str(error) == "Response content longer than Content-Length"
        assert b"llo" not in data
        assert data.count(b"HTTP/1.1 ") <= 1, "nothing may follow a broken response"

    def test_shorter(self, server: Server) -> None:
        data, error = self.outcome(server, [(b"content-length", b"6")], b"hello")
        assert str(error) == "Response content shorter than Content-Length"
        assert data.count(b"HTTP/1.1 ") <= 1, "nothing may follow a broken response"

    def test_shorter_in_a_stream(self, server: Server) -> None:
        data, error = self.outcome(server, [(b"content-length", b"6")], b"he", b"llo")
        assert str(error) == "Response content shorter than Content-Length"
        assert data.count(b"HTTP/1.1 ") <= 1

    def test_shorter_with_nothing(self, server: Server) -> None:
        data, error = self.outcome(server, [(b"content-length", b"6")], b"")
        assert str(error) == "Response content shorter than Content-Length"
        assert data.count(b"HTTP/1.1 ") <= 1

    def test_client_never_takes_a_short_body_for_whole(self, server: Server) -> None:
        flushed = server.gate()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            headers = [(b"content-length", b"6")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"he", "more_body": True})
            await flushed.passed()
            await send({"type": "http.response.body", "body": b"llo"})

        server.use(app)
        with server.raw() as peer:
            peer.send(GET)
            assert peer.head().status == 200
            flushed.open()
            with pytest.raises(Closed):
                peer.exactly(6)
        server.traceback(MessageError)

    def test_overrun_that_is_caught(self, server: Server) -> None:
        """The refused body did not count: the application can still end its response properly."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            headers = [(b"content-length", b"5")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"he", "more_body": True})
            with pytest.raises(MessageError, match="longer than Content-Length"):
                await send({"type": "http.response.body", "body": b"toolong", "more_body": True})
            await send({"type": "http.response.body", "body": b"llo"})

        server.use(app)
        with server.raw() as peer:
            peer.send(GET * 2)
            for _ in range(2):
                assert peer.response().body == b"hello"

    @pytest.mark.parametrize("length", [0, 1, 65536, 1_000_000])
    def test_exact(self, server: Server, length: int) -> None:
        server.use(app_with([(b"content-length", b"%d" % length)], bytes(length)))
        response = server.get()
        assert (len(response.body), response.framing) == (length, "length")

    def test_head_is_not_counted(self, server: Server) -> None:
        """The length in the answer to HEAD is that of GET; whatever is sent for it, or is not, is no mistake."""
        with server.raw() as peer:
            for bodies in ([b""], [b"hello"], [b"he", b"llo"], [b"h"]):
                server.use(app_with([(b"content-length", b"5")], *bodies))
                peer.send(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
                assert peer.response("HEAD").header("content-length") == "5"
