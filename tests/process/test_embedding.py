"""The server inside somebody else's program."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from process.command import Client

if TYPE_CHECKING:
    from process.conftest import Workplace


def test_in_a_block(place: Workplace) -> None:
    command = place.script(
        "import asyncio, pronghorn\n"
        "from hello import app\n"
        "async def main():\n"
        "    async with pronghorn.Server(pronghorn.Config(app, port=0, access_log=False)) as server:\n"
        "        reader, writer = await asyncio.open_connection('127.0.0.1', server.port)\n"
        "        writer.write(b'GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n')\n"
        "        print((await reader.read()).splitlines()[-1])\n"
        "        writer.close()\n"
        "    print('after')\n"
        "asyncio.run(main())\n"
    )
    assert command.exit() == 0
    assert command.out == ["b'hello'", "after"]
    command.clean()


def test_serve_in_a_loop_of_ones_own_leaves_the_signal_to_the_program(place: Workplace) -> None:
    command = place.script(
        "import asyncio, pronghorn\n"
        "server = pronghorn.Server(pronghorn.Config('hello:app', port=0))\n"
        "asyncio.run(server.serve())\n"
    )
    with Client(command.port) as client:
        client.request()
        client.until(b"hello")
    assert command.stop(signal.SIGTERM) == -signal.SIGTERM
    assert command.wait_for("Finished server process")
    command.clean()


def test_an_interrupt_stops_the_server_then_the_program(place: Workplace) -> None:
    command = place.script(
        "import asyncio, pronghorn\n"
        "async def main():\n"
        "    try:\n"
        "        await pronghorn.Server(pronghorn.Config('hello:app', port=0)).serve()\n"
        "        await asyncio.sleep(3600)\n"
        "    finally:\n"
        "        print('main ended')\n"
        "try:\n"
        "    asyncio.run(main())\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    assert command.port
    assert command.stop(signal.SIGINT) == 0
    assert command.out[-2:] == ["main ended", "interrupted"]


def test_in_a_thread(place: Workplace) -> None:
    command = place.script(
        "import threading, pronghorn\n"
        "server = pronghorn.Server(pronghorn.Config('hello:app', port=0))\n"
        "thread = threading.Thread(target=server.run)\n"
        "thread.start()\n"
        "input_read = threading.Event()\n"
        "import signal\n"
        "signal.signal(signal.SIGUSR1, lambda *_: input_read.set())\n"
        "print('ready')\n"
        "input_read.wait()\n"
        "server.should_exit = True\n"
        "thread.join()\n"
        "print('joined')\n"
    )
    command.wait_for("ready")
    with Client(command.port) as client:
        client.request()
        client.until(b"hello")
    assert command.stop(signal.SIGUSR1) == 0
    assert command.out[-1] == "joined"
    command.clean()


def test_run_in_a_script_exits_with_3_when_it_cannot_start(place: Workplace) -> None:
    command = place.script("import pronghorn\npronghorn.run('nowhere:app', port=0)\nprint('not reached')\n")
    assert command.exit() == 3
    assert command.out == []
    command.clean()


def test_run_with_an_app_dir(place: Workplace) -> None:
    place.write("below.deep", (place.path / "hello.py").read_text())
    command = place.script("import pronghorn\npronghorn.run('deep:app', app_dir='below', port=0)\n")
    with Client(command.port) as client:
        client.request()
        client.until(b"hello")
    assert command.stop() == 0
