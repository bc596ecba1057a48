"""The access log of the real command: formats read back by strict parsers, and what happens when nobody takes the lines."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from process.command import PATIENCE, Client, Command
from process.conftest import HELLO

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and signals of unix")

APP = """
import asyncio

async def app(scope, receive, send):
    if scope["path"] == "/slow":
        await asyncio.sleep(0.02)
    if scope["path"] == "/forever":
        await asyncio.Event().wait()
    await send({"type": "http.response.start", "status": 201 if scope["path"] == "/made" else 200, "headers": [
        (b"Content-Type", b"text/plain"), (b"x-note", b'"q" \\\\ \\xe9 \\t')]})
    await send({"type": "http.response.body", "body": b"hel", "more_body": True})
    await send({"type": "http.response.body", "body": b"lo"})
"""
DEFAULT = re.compile(r'INFO:     127\.0\.0\.1:\d+ - "GET (\S+) HTTP/1\.1" 200 OK')
TEXT = r'(?:[^"\\\x00-\x1f\x7f-\uffff]|\\["\\]|\\x[0-9A-F]{2})*'
COMBINED = re.compile(
    rf'127\.0\.0\.1 - (?P<user>\S+) \[(?P<day>\d\d)/(?P<month>[A-Z][a-z]{{2}})/(?P<year>\d{{4}}):\d\d:\d\d:\d\d [+-]\d{{4}}\]'
    rf' "(?P<method>[A-Z]+) (?P<target>{TEXT}) HTTP/(?P<version>1\.[01])" (?P<status>\d{{3}}) (?P<bytes>\d+|-)'
    rf' "(?P<referer>{TEXT})" "(?P<agent>{TEXT})"'
)


@pytest.fixture
def served(place: Any) -> Callable[..., Command]:
    """Start the server with an application of ours."""
    place.write("served", APP)

    def served(*args: str, **options: Any) -> Command:
        return place.pronghorn("served:app", "--lifespan", "off", *args, **options)

    return served


def ask(port: int, target: str = "/", *headers: str) -> bytes:
    with Client(port) as client:
        client.request(target, "Connection: close", *headers)
        return client.rest()


def unescaped(text: str) -> bytes:
    """What stands behind the escapes of a line."""
    return re.sub(rb'\\(?:x([0-9A-F]{2})|(["\\]))', lambda m: bytes.fromhex(m[1].decode()) if m[1] else m[2], text.encode())


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.005)
    return found


def test_the_default_line(served: Callable[..., Command]) -> None:
    command = served()
    assert ask(command.port, "/a%20b?c=d").endswith(b"0\r\n\r\n")
    assert DEFAULT.fullmatch(command.wait_for("/a%20b?c=d"))
    assert command.stop() == 0
    assert len(command.out) == 1
    command.clean()


def test_combined(served: Callable[..., Command]) -> None:
    command = served("--access-log-format", "combined")
    login = base64.b64encode(b'me "x"\n:secret').decode()
    ask(command.port, '/"a\\?b="', 'Referer: "r" \\ \xe9', "User-Agent: agent/1", f"Authorization: Basic {login}")
    ask(command.port, "/made")
    assert command.stop() == 0
    first, second = (COMBINED.fullmatch(line) for line in (command.out[0].replace('me \\"x\\"', "me"), command.out[1]))
    assert first and second, command.out
    assert unescaped(first["target"]) == b'/"a\\?b="'
    assert unescaped(first["referer"]) == '"r" \\ \xe9'.encode()
    assert (first["user"], first["status"], first["bytes"], first["agent"]) == ("me\\x0A", "200", "5", "agent/1")
    assert (second["user"], second["status"], second["referer"], second["agent"]) == ("-", "201", "-", "-")
    assert "secret" not in command.out[0]


def test_json(served: Callable[..., Command]) -> None:
    command = served("--access-log-format", "json")
    ask(command.port, '/slow"\\?q', 'Referer: "r" \\ \xe9', "X-Request-ID: abc.123")
    ask(command.port, "/slow")
    assert command.stop() == 0
    first, second = (json.loads(line) for line in command.out)
    assert list(first) == [
        "time", "client", "method", "path", "query", "protocol", "status", "bytes", "duration", "referer",
        "user_agent", "request_id",
    ]  # fmt: skip
    assert (first["path"], first["query"], first["referer"]) == ('/slow"\\', "q", '"r" \\ \xc3\xa9')
    assert (first["status"], first["bytes"], first["user_agent"], first["request_id"]) == (200, 5, None, "abc.123")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert 0.01 <= second["duration"] < PATIENCE  # uvloop ends a sleep of 20 ms a little early
    assert re.fullmatch(r"[0-9a-f]{12}-\d{6}", second["request_id"])


def test_every_atom(served: Callable[..., Command], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", 'a "b" \xe9')
    atoms = "%(h)s|%(l)s|%(u)s|%(r)s|%(m)s|%(U)s|%(q)s|%(H)s|%(s)s|%(B)s|%(b)s|%(f)s|%(a)s|%(T)s|%(D)s|%(M)s|%(L)s|%(p)s"
    ours = "|%({X-One}i)s|%({X-None}i)s|%({Content-Type}o)s|%({x-note}o)s|%({PLACE}e)s|%({NO}e)s|%(request_id)s|%%|%(t)s"
    command = served("--access-log-format", atoms + ours)
    ask(command.port, "/slow?a=b", "X-One: 1", "x-one: 2", "User-Agent: me", "X-Request-ID: not/a/token")
    assert command.stop() == 0
    found = command.out[0].split("|")
    assert found[:13] == [
        "127.0.0.1", "-", "-", "GET /slow?a=b HTTP/1.1", "GET", "/slow", "a=b", "HTTP/1.1", "200", "5", "5", "-", "me",
    ]  # fmt: skip
    seconds, micro, milli, exact, pid = found[13:18]
    assert int(seconds) == int(micro) // 1_000_000 and int(milli) == int(micro) // 1000 >= 10
    assert abs(float(exact) * 1e6 - int(micro)) < 100_000
    assert pid == f"<{command.process.pid}>"
    assert found[18:22] == ["1, 2", "-", "text/plain", '\\"q\\" \\\\ \\xE9 \\x09']
    assert found[22:24] == ['a \\"b\\" \\xC3\\xA9', "-"]
    assert re.fullmatch(r"[0-9a-f]{12}-000001", found[24])
    assert found[25] == "%"
    assert re.fullmatch(r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]", found[26])


def test_json_of_ones_own(served: Callable[..., Command]) -> None:
    command = served("--access-log-format", '{"s": %(s)s, "agent": "%(a)s", "id": "<%({x}i)s>"}')
    ask(command.port, "/", 'X: "\\\xe9')
    assert command.stop() == 0
    assert [json.loads(line) for line in command.out] == [{"s": 200, "agent": None, "id": '<"\\\xc3\xa9>'}]


def test_bytes_that_may_not_stand_in_a_line(served: Callable[..., Command]) -> None:
    """Each octet that a header value can carry, and each that a target can."""
    command = served("--access-log-format", "%({x}i)s")
    as_json = served("--access-log-format", '{"x": "%({x}i)s"}')
    values = [bytes([octet]) for octet in range(256) if octet == 9 or (32 <= octet != 127)]
    for server in (command, as_json):
        with Client(server.port) as client:
            for value in values:
                client.socket.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: <" + value + b">\r\n\r\n")
                client.until(b"0\r\n\r\n")
        assert server.stop() == 0
        assert len(server.out) == len(values)
        assert all(" " <= character <= "~" for line in server.out for character in line)
    assert [unescaped(line) for line in command.out] == [b"<" + value + b">" for value in values]
    assert [json.loads(line)["x"].encode("latin-1") for line in as_json.out] == [b"<" + value + b">" for value in values]


def test_octets_of_the_target(served: Callable[..., Command]) -> None:
    """What is refused has no line, what is not has one; never two."""
    command = served("--access-log-format", "%(U)s")
    for octet in range(256):
        with Client(command.port) as client:
            client.socket.sendall(b"GET /<" + bytes([octet]) + b"> HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            status = client.rest().partition(b" ")[2][:3]
            assert (status == b"200") == (0x20 < octet < 0x7F and octet != 0x23), octet
    assert command.stop() == 0
    wanted = [octet for octet in range(0x21, 0x7F) if octet not in (0x23, 0x3F)]
    found = [unescaped(line) for line in command.out]
    assert [text for text in found if text != b"/<"] == [b"/<" + bytes([octet]) + b">" for octet in wanted]
    assert found.count(b"/<") == 1  # a question mark: the rest is a query


def test_lines_are_on_their_way_soon_and_in_order(served: Callable[..., Command]) -> None:
    command = served()
    with Client(command.port) as client:
        for number in range(5):
            client.request(f"/{number}")
            client.until(b"0\r\n\r\n")
            command.wait_for(f'"GET /{number} ')
        client.socket.sendall(b"".join(b"GET /p%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(2000)))
        answers = b""
        while answers.count(b"0\r\n\r\n") < 2000:
            answers += client.socket.recv(65536)
    assert command.stop() == 0
    targets = [match[1] for line in command.out if (match := DEFAULT.fullmatch(line))]
    assert targets == [f"/{number}" for number in range(5)] + [f"/p{number}" for number in range(2000)]


def test_what_the_application_prints_goes_along(place: Any) -> None:
    """Behind a pipe Python buffers it, and each line of the access log has always flushed it."""
    place.write("printing", HELLO.replace("    assert", '    print("printed")\n    assert'))
    command = place.run(
        "env", "-u", "PYTHONUNBUFFERED", sys.executable, "-m", "pronghorn", "printing:app", "--port", "0", "--lifespan", "off"
    )
    ask(command.port)
    command.wait_for("printed")
    assert command.stop() == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_writes_what_is_there(served: Callable[..., Command], how: int) -> None:
    command = served()
    ask(command.port, "/last")
    assert command.stop(how) == 0
    assert len(command.out) == 1 and "/last" in command.out[0]


def test_a_second_interrupt_writes_what_is_there(served: Callable[..., Command]) -> None:
    command = served("--access-log-format", "%(U)s %(s)s")
    ask(command.port, "/first")
    with Client(command.port) as client:
        client.request("/forever")
        ask(command.port, "/second")
        command.send(signal.SIGINT)
        command.wait_for("Waiting for connections to close")
        command.send(signal.SIGINT)
        assert command.exit() == 0
    assert command.out[:2] == ["/first 200", "/second 200"]
    assert len(command.out) == 3 and command.out[2].startswith("/forever ")


def test_a_client_that_goes_away_has_its_line(served: Callable[..., Command]) -> None:
    atoms = "%(U)s %(s)s %(B)s %({content-type}o)s"
    command = served("--access-log-format", atoms, "--timeout-graceful-shutdown", "1")
    with Client(command.port) as client:
        client.request("/forever")
        ask(command.port, "/other")
        command.wait_for("/other 200 5 text/plain")
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    assert command.wait_for("/forever") == "/forever 499 0 -"
    assert command.stop() == 0
    assert len(command.out) == 2


def test_a_file_that_is_moved_away(place: Any) -> None:
    """Lines that came before the reopening are in the old file, the others in the new one."""
    place.write("served", APP)
    log = place.path / "access.log"
    log.write_text("before\n")
    command = place.script(
        "import asyncio, signal, pronghorn\n"
        "async def main():\n"
        "    config = pronghorn.Config('served:app', port=0, access_log_file='access.log', lifespan='off')\n"
        "    server = pronghorn.Server(config)\n"
        "    signal.signal(signal.SIGUSR1, lambda *_: server.reopen_logs())\n"
        "    await server.serve()\n"
        "asyncio.run(main())\n"
    )
    ask(command.port, "/one")
    log.rename(place.path / "moved.log")
    ask(command.port, "/two")
    command.send(signal.SIGUSR1)
    until(log.exists, "the new file")
    ask(command.port, "/three")
    command.stop()
    moved = (place.path / "moved.log").read_text().splitlines()
    assert moved[0] == "before" and [DEFAULT.fullmatch(line)[1] for line in moved[1:]] == ["/one", "/two"]  # type: ignore[index]
    assert DEFAULT.fullmatch(log.read_text().rstrip("\n"))[1] == "/three"  # type: ignore[index]
    assert command.out == []


def test_two_processes_append_whole_lines_to_one_file(served: Callable[..., Command], place: Any) -> None:
    log = place.path / "both.log"
    room = ("--access-log-buffer", "100000000")  # a busy machine may keep the writers waiting
    commands = [served("--access-log-file", str(log), *room) for _ in range(2)]
    count = 3000

    def load(port: int, name: str) -> None:
        with Client(port) as client:
            requests = (f"GET /{name}/{'x' * (i % 900)}/{i} HTTP/1.1\r\nHost: a\r\n\r\n" for i in range(count))
            sender = threading.Thread(target=client.socket.sendall, args=("".join(requests).encode(),))
            sender.start()
            answers = 0
            rest = b""
            while answers < count:
                rest += client.socket.recv(65536)
                answers += rest.count(b"0\r\n\r\n")
                rest = rest[-4:] if rest[-5:] != b"0\r\n\r\n" else b""
            sender.join()

    threads = [threading.Thread(target=load, args=(command.port, f"p{at}")) for at, command in enumerate(commands)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [command.stop() for command in commands] == [0, 0]
    found = [DEFAULT.fullmatch(line) for line in log.read_text().splitlines()]
    assert all(found) and len(found) == 2 * count
    for name in ("p0", "p1"):
        targets = [match[1] for match in found if match and match[1].startswith(f"/{name}/")]
        assert targets == [f"/{name}/{'x' * (i % 900)}/{i}" for i in range(count)]


# Nobody takes the lines.


@pytest.fixture
def pipe(place: Any) -> Any:
    """A named pipe with a reading end that reads only when it is told to; as small as the system has them."""
    path = place.path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    with contextlib.closing(os.fdopen(reader, "rb", 0)) as file:
        yield path, file


def shell(place: Any, redirect: str, *args: str) -> Command:
    """The command with its standard output somewhere else."""
    place.write("served", APP)
    command = f'exec "$0" -m pronghorn served:app --port 0 --lifespan off "$@" {redirect}'
    return place.run("sh", "-c", command, sys.executable, *args)


def dropped(command: Command) -> int:
    return sum(int(found[1]) for line in command.err if (found := re.search(r"(\d+) line\(s\) of the access log", line)))


@pytest.mark.parametrize("through", ["stdout", "file"])
def test_a_pipe_that_nobody_reads(place: Any, pipe: Any, through: str) -> None:
    path, reader = pipe
    options = ("--access-log-buffer", "65536", *(("--access-log-file", str(path)) if through == "file" else ()))
    command = shell(place, f">{path}" if through == "stdout" else "", *options)
    count = 4000
    with Client(command.port) as client:
        for start in range(0, count, 200):
            numbers = range(start, start + 200)
            client.socket.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in numbers))
            answers = b""
            while answers.count(b"0\r\n\r\n") < 200:  # it goes on answering
                answers += client.socket.recv(65536)
    assert not dropped(command)
    lines = b""
    while not dropped(command):
        with contextlib.suppress(BlockingIOError):
            lines += reader.read(65536) or b""
    command.send(signal.SIGTERM)
    while command.process.poll() is None:
        with contextlib.suppress(BlockingIOError):
            lines += reader.read(65536) or b""
    lines += reader.read() or b""
    assert command.exit() == 0
    found = [DEFAULT.fullmatch(line) for line in lines.decode().splitlines()]
    assert all(found) and 100 < len(found) < count
    assert len(found) + dropped(command) == count
    command.clean()


def test_a_stop_does_not_wait_for_a_pipe_that_nobody_reads(place: Any, pipe: Any) -> None:
    path, reader = pipe
    command = shell(place, f">{path}", "--access-log-buffer", "65536")
    with Client(command.port) as client:
        client.socket.sendall(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(1000)))
        answers = b""
        while answers.count(b"0\r\n\r\n") < 1000:
            answers += client.socket.recv(65536)
    assert command.stop() == 0
    found = [DEFAULT.fullmatch(line) for line in (reader.read() or b"").decode().splitlines()]
    assert all(found) and found and len(found) + dropped(command) == 1000
    command.clean()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("options", [(), ("--access-log-file", "/dev/full")])
def test_a_full_disk(place: Any, options: tuple[str, ...]) -> None:
    command = shell(place, ">/dev/full" if not options else "", *options)
    for _ in range(3):
        ask(command.port)
    line = command.wait_for("Cannot write the access log")
    assert line.endswith("no space left on device. Lines are dropped until it works.")
    ask(command.port)
    assert command.stop() == 0
    assert dropped(command) == 4
    assert len([line for line in command.err if "Cannot write" in line]) == 1
    command.clean()


def test_a_reader_that_goes_away(place: Any, pipe: Any) -> None:
    path, reader = pipe
    command = shell(place, f">{path}")
    ask(command.port, "/read")
    lines = until(lambda: reader.read(65536), "the first line")
    assert DEFAULT.fullmatch(lines.decode().rstrip("\n"))
    reader.close()
    ask(command.port, "/lost")
    assert "broken pipe" in command.wait_for("Cannot write the access log")
    assert b"200 OK" in ask(command.port)
    assert command.stop() == 0
    assert dropped(command) == 2
    command.clean()


def test_a_pipe_without_a_reader_is_not_waited_for(place: Any, served: Callable[..., Command]) -> None:
    os.mkfifo(place.path / "nobody")
    command = served("--access-log-file", str(place.path / "nobody"))
    assert command.exit() == 3
    assert "cannot write the access log" in command.err[-1] and "Traceback" not in "".join(command.err)


def test_a_file_that_cannot_be_opened(served: Callable[..., Command]) -> None:
    command = served("--access-log-file", "no/such/place")
    assert command.exit() == 3
    assert command.err[-1] == "ERROR:    cannot write the access log to no/such/place: no such file or directory"


def test_an_unknown_atom_is_one_line(served: Callable[..., Command]) -> None:
    command = served("--access-log-format", "%(h)s %(nope)s")
    assert command.exit() == 2
    assert len(command.err) == 1 and "'%(nope)s' is not an atom" in command.err[0]
