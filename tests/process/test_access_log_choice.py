"""The compiled access log is there by default, and gives way to whatever asks for records."""

from __future__ import annotations

import re
from typing import Any

import pytest
from process.command import Client, Command

SCRIPT = """
import copy, io, logging, socket, sys, threading
import pronghorn
from pronghorn.logs import AccessFormatter, LOGGING_CONFIG, ACCESS_FORMAT

async def app(scope, receive, send):
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    names = [thread.name for thread in threading.enumerate()]
    await send({{"type": "http.response.body", "body": repr(names).encode()}})

class Handler(logging.StreamHandler): pass
class Formatter(AccessFormatter): pass
class Logger(logging.Logger): pass
class Tee:
    def __getattr__(self, name): return getattr(sys.__stdout__, name)

config = copy.deepcopy(LOGGING_CONFIG)
access = logging.getLogger("pronghorn.access")
formatter, handler = config["formatters"]["access"], config["handlers"]["access"]
settings = {{}}
def lifespan():
    pass
{change}

async def wrapped(scope, receive, send):
    if scope["type"] == "http":
        return await app(scope, receive, send)
    await receive()
    lifespan()
    await send({{"type": "lifespan.startup.complete"}})
    await receive()
    await send({{"type": "lifespan.shutdown.complete"}})

server = pronghorn.Server(pronghorn.Config(wrapped, **({{"log_config": config}} | settings)))
listening = socket.create_server(("127.0.0.1", 0))
print("Pronghorn running on http://127.0.0.1:%d" % listening.getsockname()[1], file=sys.stderr, flush=True)
server.run([listening])
"""

COMPILED = {
    "default": "",
    "level debug": "settings = {'log_level': 'debug'}",
    "no colours": "settings = {'use_colors': False}",
    "the default format by name": "settings = {'access_log_format': 'default', 'log_config': None}",
    "a change of the other formatter": "config['formatters']['default']['fmt'] = '%(asctime)s %(message)s'",
    "colours, but a format was chosen": "settings = {'use_colors': True, 'access_log_format': 'common'}",
    "standard output replaced, but a file was chosen": "sys.stdout = io.StringIO(); settings = {'access_log_file': '-'}",
}
RECORDS = {
    "colours": "settings = {'use_colors': True}",
    "format": "formatter['fmt'] = ACCESS_FORMAT + '!'",
    "class of the formatter": "formatter['()'] = Formatter",
    "style": "formatter['fmt'] = '{client_addr}'; formatter['style'] = '{'",
    "another formatter": "config['formatters']['access'] = {'format': '%(message)s'}",
    "class of the handler": "handler['class'] = '__main__.Handler'",
    "standard error": "handler['stream'] = 'ext://sys.stderr'",
    "file": "handler.clear(); handler.update({'class': 'logging.FileHandler', 'filename': 'log', 'formatter': 'access'})",
    "level of the handler": "handler['level'] = 'WARNING'",
    "filter of the handler": "lifespan = lambda: access.handlers[0].addFilter(lambda record: True)",
    "filter of the logger": "lifespan = lambda: access.addFilter(lambda record: True)",
    "another handler": "lifespan = lambda: access.addHandler(logging.NullHandler())",
    "no handler": "lifespan = access.handlers.clear",
    "propagation": "config['loggers']['pronghorn.access']['propagate'] = True",
    "class of the logger": "access.__class__ = Logger",
    "factory": "logging.setLogRecordFactory(lambda *args, **more: logging.LogRecord(*args, **more))",
    "disabled": "lifespan = lambda: logging.disable(logging.INFO)",
    "disabled logger": "lifespan = lambda: setattr(access, 'disabled', True)",
    "level": "settings = {'log_level': 'warning'}",
    "no configuration": "settings = {'log_config': None}",
    "replaced method of the class": "original = logging.Logger.callHandlers\n"
    "logging.Logger.callHandlers = lambda *args: original(*args)",
    "replaced method of the handler": "def lifespan():\n    access.handlers[0].emit = lambda record: None",
    "replaced standard output": "sys.stdout = Tee()",
    "standard output without a descriptor": "sys.stdout = io.StringIO()",
    "off": "settings = {'access_log': False}",
}


def has_writer(place: Any, change: str) -> bool:
    command: Command = place.script(SCRIPT.format(change=change))
    for _ in range(2):  # the thread starts with the first line, and that may be written behind the response
        with Client(command.port) as client:
            client.request("/", "Connection: close")
            answer = client.rest()
    assert re.search(rb"\r\n\['MainThread'", answer), answer
    assert command.stop() == 0
    command.clean()
    return b"pronghorn access log" in answer


@pytest.mark.parametrize("name", COMPILED)
def test_compiled(place: Any, name: str) -> None:
    assert has_writer(place, COMPILED[name])


@pytest.mark.parametrize("name", RECORDS)
def test_records(place: Any, name: str) -> None:
    assert not has_writer(place, RECORDS[name])
