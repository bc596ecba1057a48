"""The scripts of docs/examples, as they stand: with Pronghorn, and with uvicorn where that is installed."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from process.command import Client, Command

if TYPE_CHECKING:
    from process.conftest import Workplace

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
GREETING = b"Hello from the start-up"

pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="not in a source tree")


@dataclass
class Example:
    """What an example does: the answer to a request with its header, or what it prints before it ends by itself."""

    answer: bytes = GREETING
    header: str = "X: y"
    prints: str = ""
    ends: bool = False
    needs: str = ""
    ours: bool = False  # a command of ours


SERVING = {
    "app": Example(ours=True),
    "run": Example(),
    "native": Example(),
    "factory": Example(b"x-made: yes"),
    "own_loop": Example(prints="requests so far: "),
    "logging_config": Example(prints="GET /there HTTP/1.1 -> 200 OK"),
    "overridden": Example(prints="up: True", ends=True),
    "proxy_by_hand": Example(b"203.0.113.7", header="X-Forwarded-For: 203.0.113.7"),
    "wsgi": Example(b"Hello from /there", needs="a2wsgi"),
}


@pytest.fixture(params=["pronghorn", "uvicorn"])
def server(request: pytest.FixtureRequest) -> str:
    if request.param == "uvicorn" and importlib.util.find_spec("uvicorn") is None:
        pytest.skip("uvicorn is not installed")
    return str(request.param)


def start(place: Workplace, name: str, server: str) -> Command:
    for path in EXAMPLES.glob("*.py"):
        shutil.copy(path, place.path)
    script = place.path / f"{name}.py"
    source = script.read_text()
    if server == "uvicorn":
        script.write_text(re.sub(r"^import pronghorn$", "import uvicorn as pronghorn", source, flags=re.MULTILINE))
        return place.run(sys.executable, script.name)
    return place.run(*said(source))


def said(source: str) -> list[str]:
    """The command that the head of an example says it is run with."""
    found = re.search(r"^Run: (.+)$", source, re.MULTILINE)
    assert found, "it does not say how to run it"
    program, *arguments = shlex.split(found[1])
    return {"python": [sys.executable], "pronghorn": [sys.executable, "-m", "pronghorn"]}[program] + arguments


@pytest.mark.parametrize("name", SERVING)
def test_it_serves(place: Workplace, name: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    example = SERVING[name]
    if example.needs:
        pytest.importorskip(example.needs, reason=f"{example.needs} is not installed")
    if example.ours and server == "uvicorn":
        pytest.skip("its head names the command pronghorn")
    monkeypatch.setenv("PORT", "0")
    monkeypatch.setenv("PRONGHORN_PORT", "0")
    command = start(place, name, server)
    line = command.wait_for("running on http://127.0.0.1:")
    with Client(int(line.split("127.0.0.1:")[1].split()[0])) as client:
        client.request("/there", example.header, "Connection: close")
        answer = client.rest()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and example.answer in answer
    if example.prints:
        command.wait_for(example.prints)
    if example.ends:
        assert command.exit() == 0
    elif server == "pronghorn":
        assert command.stop() in (0, -signal.SIGTERM)
    else:
        command.stop()
    if server == "pronghorn":
        command.clean()


def test_a_server_in_a_thread(place: Workplace, server: str) -> None:
    command = start(place, "in_a_thread", server)
    assert command.exit() == 0
    assert command.out[-1] == f"200 {GREETING.decode()}"


def test_the_first_screen_of_the_readme(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its application, served by its command."""
    text = (EXAMPLES.parents[1] / "README.md").read_text()
    (source,) = re.findall(r"```python\n# main\.py\n(.*?)```", text, re.DOTALL)
    program, *arguments = re.findall(r"^    (pronghorn main:app) ", text, re.MULTILINE)[0].split()
    place.write("main", source)
    monkeypatch.setenv("PRONGHORN_PORT", "0")
    command = place.run(sys.executable, "-m", program, *arguments)
    with Client(command.port) as client:
        client.request("/", "Connection: close")
        assert client.rest().endswith(b"\r\n\r\nHello, world!")
    assert command.stop() == 0


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*SERVING, "in_a_thread"}
