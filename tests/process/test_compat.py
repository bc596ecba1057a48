"""python -m pronghorn.compat: programs that know only uvicorn."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from process.command import Client, Command

if TYPE_CHECKING:
    from process.conftest import Workplace


def compat(place: Workplace, *arguments: str) -> Command:
    return place.run(sys.executable, "-m", "pronghorn.compat", *arguments)


def ask(command: Command) -> bytes:
    line = command.wait_for("Uvicorn running on http://127.0.0.1:")
    with Client(int(line.split("127.0.0.1:")[1].split()[0])) as client:
        client.request("/", "Connection: close")
        return client.rest()


def test_a_script(place: Workplace) -> None:
    place.write("sub.script", "import sys, uvicorn, beside\n"
                "from hello import app\n"
                "print(sys.argv, __name__, __file__, uvicorn.__version__)\n"
                "uvicorn.run(app, port=0)\n")  # fmt: skip
    place.write("sub.beside", "")
    place.write("sub.hello", (place.path / "hello.py").read_text())
    command = compat(place, "sub/script.py", "-m", "x", "--port")
    assert ask(command).endswith(b"hello")
    assert command.stop() == 0
    assert command.out[0] == "['sub/script.py', '-m', 'x', '--port'] __main__ sub/script.py 0.54.0"
    command.clean()


def test_a_module(place: Workplace) -> None:
    place.write("package.__init__", "")
    place.write("package.__main__", "import sys, uvicorn\nfrom hello import app\nprint(sys.argv[1:])\nuvicorn.run(app, port=0)\n")
    command = compat(place, "-m", "package", "a")
    assert ask(command).endswith(b"hello")
    assert command.stop() == 0
    assert command.out[0] == "['a']"


def test_the_command(place: Workplace) -> None:
    command = compat(place, "-m", "uvicorn", "hello:app", "--port", "0")
    assert ask(command).endswith(b"hello")
    assert command.stop() == 0
    command.clean()


def test_a_wrong_option_of_the_command_names_uvicorn(place: Workplace) -> None:
    command = compat(place, "-m", "uvicorn", "hello:app", "--port", "x")
    assert command.exit() == 2
    assert len(command.err) == 1 and command.err[0].startswith("uvicorn: error: ")


@pytest.mark.parametrize("arguments", [("nowhere.py",), ("--wrong",), ()], ids=str)
def test_nothing_to_run(place: Workplace, arguments: tuple[str, ...]) -> None:
    command = compat(place, *arguments)
    assert command.exit() == 2
    assert command.err[0].startswith(("pronghorn.compat: error: cannot open nowhere.py", "usage: "))
    command.clean()


def test_the_exit_status_of_a_script_is_its_own(place: Workplace) -> None:
    place.write("leaving", "import sys\nsys.exit(7)\n")
    assert compat(place, "leaving.py").exit() == 7
    place.write("failing", "import uvicorn\nuvicorn.run('nowhere:app', port=0)\n")
    assert compat(place, "failing.py").exit() == 3


@pytest.mark.parametrize("how", ["in place", "copied", "of its own"])
def test_logging_is_uvicorns(place: Workplace, how: str) -> None:
    """The loggers, the configuration and the formatters have uvicorn's names."""
    place.write("logging_script", f"how = {how!r}\n" + """
import copy, logging, uvicorn, uvicorn.config, uvicorn.logging
from hello import app

class Shouting(uvicorn.logging.DefaultFormatter):
    def formatMessage(self, record):
        return f"{record.name}! " + super().formatMessage(record)

config = uvicorn.config.LOGGING_CONFIG
if how == "copied":
    config = copy.deepcopy(config)
if how == "of its own":
    config = {
        "version": 1,
        "disable_existing_loggers": True,
        "formatters": {
            "default": {"()": "__main__.Shouting", "fmt": "%(message)s"},
            "access": {"()": "uvicorn.logging.AccessFormatter", "fmt": "%(message)s"},
        },
        "handlers": {
            "default": {"class": "logging.StreamHandler", "formatter": "default"},
            "access": {"class": "logging.StreamHandler", "formatter": "access", "stream": "ext://sys.stdout"},
        },
        "loggers": {
            "uvicorn": {"handlers": ["default"], "level": "INFO"},
            "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
        },
    }
else:
    config["formatters"]["default"]["()"] = Shouting
    config["formatters"]["default"]["fmt"] = "%(message)s"
config["formatters"]["access"]["fmt"] = "%(client_addr)s asked %(request_line)s: %(status_code)s"

logging.getLogger("uvicorn.access").addFilter(lambda record: record.args[2] != "/hidden")
uvicorn.run(app, port=0, log_config=config)
""")  # fmt: skip
    command = compat(place, "logging_script.py")
    line = command.wait_for("uvicorn.error! Uvicorn running on http://127.0.0.1:")
    with Client(int(line.split("127.0.0.1:")[1].split()[0])) as client:
        client.request("/hidden")
        client.until(b"hello")
        client.request("/shown")
        client.until(b"hello")
    assert command.stop() == 0
    (access,) = command.out
    assert access.startswith("127.0.0.1:") and access.endswith(" asked GET /shown HTTP/1.1: 200 OK")
    command.clean()


def test_every_module_that_programs_import(place: Workplace) -> None:
    place.write("imports", """
import inspect, logging, uvicorn
from uvicorn import Config, Server, main, run
from uvicorn._types import ASGI3Application, ASGIApplication, ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn._subprocess import get_subprocess, subprocess_started
from uvicorn.config import HTTP_PROTOCOLS, INTERFACES, LIFESPAN, LOG_LEVELS, LOGGING_CONFIG, LOOP_FACTORIES, SSL_PROTOCOL_VERSION, WS_PROTOCOLS
from uvicorn.config import Config as same
from uvicorn.config import STARTUP_FAILURE, HTTPProtocolType, InterfaceType, LifespanType, LoopFactoryType, WSProtocolType
from uvicorn.config import UvicornDeprecationWarning, create_ssl_context
from uvicorn.importer import ImportFromStringError, import_from_string
from uvicorn.lifespan.off import LifespanOff
from uvicorn.lifespan.on import LifespanOn
from uvicorn.logging import TRACE_LOG_LEVEL, AccessFormatter, ColourizedFormatter, DefaultFormatter
from uvicorn.loops.auto import auto_loop_factory
from uvicorn.main import INTERFACE_CHOICES, LEVEL_CHOICES, LIFESPAN_CHOICES
from uvicorn.main import STARTUP_FAILURE as main_failure, ServerState as main_state
from uvicorn.middleware.asgi2 import ASGI2Middleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.middleware.wsgi import WSGIMiddleware
from uvicorn.protocols.utils import ClientDisconnected, get_client_addr, get_local_addr, get_path_with_query_string
from uvicorn.protocols.utils import get_remote_addr, is_ssl
from uvicorn.server import HANDLED_SIGNALS, ServerState
from uvicorn.supervisors import BaseReload, ChangeReload, Multiprocess
import pronghorn

assert Config is same is pronghorn.Config and Server is pronghorn.Server and STARTUP_FAILURE == main_failure == 3
assert main_state is ServerState and issubclass(UvicornDeprecationWarning, UserWarning)
assert list(LEVEL_CHOICES.choices) == ["critical", "error", "warning", "info", "debug", "trace"]
assert list(LIFESPAN_CHOICES.choices) == list(LIFESPAN) and list(INTERFACE_CHOICES.choices) == INTERFACES
assert "zttp" in HTTP_PROTOCOLS and "zuvloop" in LOOP_FACTORIES
for settings, reloads, other in (({}, False, False), ({"reload": True}, True, True), ({"workers": 2}, False, True)):
    config = Config("hello:app", **settings)
    assert (config.should_reload, config.use_subprocess) == (reloads, other)
assert not Config(print, reload=True).should_reload
assert issubclass(ClientDisconnected, OSError) and isinstance(Server(Config("a:b")).server_state, ServerState)
assert sorted(uvicorn.__all__) == ["Config", "Server", "main", "run"]
assert set(LOGGING_CONFIG["loggers"]) == {"uvicorn", "uvicorn.error", "uvicorn.access"}
assert import_from_string("hello:app") is import_from_string(import_from_string("hello:app"))
try:
    import_from_string("hello:nothing")
except ImportFromStringError as error:
    print(error)
loop = auto_loop_factory()()
print(type(loop).__name__)
loop.close()
""")  # fmt: skip
    command = compat(place, "imports.py")
    assert command.exit() == 0, command.lines
    assert command.out[0] == "no attribute 'nothing' in the module 'hello'"
    assert len(command.out) == 2
    command.clean()


def test_a_process_that_is_spawned_finds_it_too(place: Workplace) -> None:
    place.write("spawning", """
import multiprocessing
import uvicorn
from hello import app

def child():
    print("child", uvicorn.Server.__module__)

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=child)
    process.start()
    process.join(20)
    print("parent", process.exitcode)
""")  # fmt: skip
    command = compat(place, "spawning.py")
    assert command.exit() == 0
    assert command.out == ["child pronghorn.server", "parent 0"]
    command.clean()


def test_a_configuration_crosses_to_a_spawned_process(place: Workplace) -> None:
    place.write("crossing", """
import multiprocessing, signal
import uvicorn

async def notify():
    pass

def child(config, sockets):
    config.configure_logging()
    uvicorn.Server(config).run(sockets=sockets)

if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    config = uvicorn.Config("hello:app", port=0, callback_notify=notify, log_level="info")
    with config.bind_socket() as sock:
        process = multiprocessing.get_context("spawn").Process(target=child, args=(config, [sock]))
        process.start()
    signal.sigwait([signal.SIGUSR1])
    process.terminate()
    process.join(20)
    print("parent", process.exitcode)
""")  # fmt: skip
    command = compat(place, "crossing.py")
    assert ask(command).endswith(b"hello")
    assert command.stop(signal.SIGUSR1) == 0
    assert command.out[-1] == "parent 0"
    command.clean()


def test_in_place_of_the_module(place: Workplace) -> None:
    """Without the command: the tree put in the place of uvicorn by the program itself."""
    command = place.script("""
import sys
import pronghorn.compat.uvicorn
sys.modules["uvicorn"] = pronghorn.compat.uvicorn
import uvicorn.config
from uvicorn.supervisors import ChangeReload
import uvicorn
uvicorn.run("hello:app", port=0)
""")
    assert ask(command).endswith(b"hello")
    assert command.stop() == 0
    command.clean()


def test_installed_over_another_one(place: Workplace) -> None:
    """A program may install it late, and another uvicorn may be there."""
    (place.path / "uvicorn").mkdir()
    (place.path / "uvicorn" / "__init__.py").write_text("other = True\n")
    (place.path / "uvicorn" / "config.py").write_text("other = True\n")
    command = place.script("""
import uvicorn.config
assert uvicorn.config.other
import pronghorn.compat
pronghorn.compat.install()
pronghorn.compat.install()
import uvicorn.config
assert uvicorn.config.LOGGING_CONFIG
uvicorn.run("hello:app", port=0)
""")
    assert ask(command).endswith(b"hello")
    assert command.stop() == 0
    command.clean()


def test_plain_pronghorn_knows_nothing_of_it(place: Workplace) -> None:
    command = place.script("""
import sys, pronghorn, pronghorn.server, pronghorn.cli
assert not [name for name in sys.modules if "compat" in name and "pronghorn" in name or name.startswith("uvicorn")]
assert "pronghorn.error" in pronghorn.logs.LOGGING_CONFIG["loggers"]
""")
    assert command.exit() == 0, command.lines


def test_the_tree_holds_nothing_else_that_could_be_imported() -> None:
    """Its directory is searched for every import of the program."""
    import pronghorn.compat

    here = Path(pronghorn.compat.__file__).parent
    names = {path.name for path in here.iterdir()} - {"__pycache__"}
    assert names == {"__init__.py", "__main__.py", "uvicorn", "uvicorn_worker.py"}


# As NiceGUI, Shiny and solara start it: what uvicorn.run() does, with classes of their own.
STARTS = """
import os, socket, sys
import uvicorn, uvicorn.config, uvicorn.server, uvicorn.supervisors
from uvicorn.main import STARTUP_FAILURE
from uvicorn.supervisors import ChangeReload, Multiprocess

class CustomConfig(uvicorn.Config):
    secret: "str | None" = None

class Server(uvicorn.Server):
    instance: uvicorn.Server

    def __init__(self, config, on_started=None):
        super().__init__(config=config)
        self._on_started = on_started

    @classmethod
    def create_singleton(cls, config):
        cls.instance = cls(config=config, on_started=started)

    def run(self, sockets=None):
        self.instance = self
        print("runs with", self.config.secret, type(self.config).__name__)
        super().run(sockets=sockets)

    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        if self.started and self._on_started is not None:
            self._on_started()

def started():
    print("started", end="\\n")

class Target:  # which is pickled as well
    def __init__(self, server):
        self.server = server

    def __call__(self, *args, **kwargs):
        return self.server.run(*args, **kwargs)

def main(how):
    config = CustomConfig(
        "hello:app", host="127.0.0.1", port=0, reload=how in ("method", "object"), reload_includes=["*.py"],
        reload_excludes=[".*", sys.prefix], reload_dirs=["."], log_level="info", ws="wsproto",
        workers=2 if how == "workers" else None,
    )
    config.secret = "password"
    Server.create_singleton(config)
    if config.should_reload:
        sock = config.bind_socket()
        target = Server.instance.run if how == "method" else Target(Server.instance)
        ChangeReload(config, target=target, sockets=[sock]).run()
    elif config.workers > 1:
        sock = config.bind_socket()
        Multiprocess(config, sockets=[sock]).run()
    else:
        Server.instance.run()
    if not Server.instance.started and not config.should_reload and config.workers == 1:
        sys.exit(STARTUP_FAILURE)
    print("returned")

if __name__ in {"__main__", "__mp_main__"}:
    import multiprocessing
    if multiprocessing.current_process().name == "MainProcess":
        main(sys.argv[1])
"""


@pytest.mark.parametrize("how", ["alone", "workers"])
def test_a_program_that_starts_it_by_itself(place: Workplace, how: str) -> None:
    place.write("starts", STARTS)
    command = compat(place, "starts.py", how)
    assert ask(command).endswith(b"hello")
    if how == "alone":
        command.wait_for("runs with password CustomConfig")
        command.wait_for("started")
    else:
        command.wait_for("Started server process", 2)
    assert command.stop() == 0
    assert command.out[-1] == "returned"
    command.clean()


@pytest.mark.parametrize("how", ["method", "object"])
def test_a_program_that_reloads_by_itself(place: Workplace, how: str) -> None:
    place.write("starts", STARTS)
    command = compat(place, "starts.py", how)
    assert ask(command).endswith(b"hello")
    command.wait_for("runs with password CustomConfig")
    (place.path / "hello.py").write_text((place.path / "hello.py").read_text().replace('b"hello"', 'b"again"'))
    command.wait_for("Reloader detected changes in 'hello.py'. Reloading...")
    command.wait_for("runs with password CustomConfig", 2)
    command.wait_for("Application startup complete", 2)
    command.wait_for("Uvicorn running on", 2)
    assert ask(command).endswith(b"again")
    assert command.stop() == 0
    assert command.out[-1] == "returned"
    command.clean()


def test_a_start_that_fails_exits(place: Workplace) -> None:
    place.write("exits", """
import asyncio, socket
import uvicorn

async def refusing(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no"})

for how in ("run", "serve"):
    server = uvicorn.Server(uvicorn.Config(refusing, port=0))
    try:
        server.run() if how == "run" else asyncio.run(server.serve())
    except SystemExit as error:
        print(how, error.code, server.started)
    else:
        print(how, "returned")
""")  # fmt: skip
    command = compat(place, "exits.py")
    assert command.exit() == 0, command.lines
    assert command.out == ["run 3 False", "serve 3 False"]
    command.clean()


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["alone", "workers"])
def test_a_command_that_fails_to_start_says_so_once(place: Workplace, options: list[str]) -> None:
    place.write("refusing", """
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no"})
""")
    command = compat(place, "-m", "uvicorn", "refusing:app", "--port", "0", *options)
    assert command.exit() == 3
    assert not any("SystemExit" in line for line in command.lines)
    command.clean()
