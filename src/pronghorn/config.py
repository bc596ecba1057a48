"""The configuration of one server: its settings, and what they come to."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

from pronghorn import engines, envfile, interfaces, listeners, loading, logs, tls
from pronghorn._core.edge import Connection
from pronghorn._core.websocket import WebSocket
from pronghorn.board import MOST
from pronghorn.errors import ConfigError, StartupError
from pronghorn.headers import encode
from pronghorn.lifespan import Lifespan
from pronghorn.loggers import asgi_log, server_log
from pronghorn.logs import LOG_LEVELS, LOGGING_CONFIG
from pronghorn.proxies import TrustedHosts
from pronghorn.settings import Settings
from pronghorn.subjects import AUTO

__all__ = ["LOGGING_CONFIG", "LOG_LEVELS", "Config"]

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


class Config(Settings):
    """Settings of a server, checked; a wrong one raises `ConfigError` in one line that names it.

    Every name of docs/settings.md is an argument and an attribute. Logging is configured at once, as uvicorn does;
    ``log_config=None`` leaves it alone.
    """

    def __post_init__(self) -> None:
        if self.env_file:
            envfile.load(os.fspath(self.env_file))  # before anything is read from the environment
        super().__post_init__()
        self.loaded = False
        self.loaded_app: Any = None
        self.encoded_headers: list[tuple[bytes, bytes]] = encode(self.headers)
        names = {name for name, _ in self.encoded_headers}
        self.server_header = self.server_header and b"server" not in names
        self.date_header = self.date_header and b"date" not in names
        trusted = TrustedHosts("forwarded_allow_ips", self.forwarded_allow_ips or "")
        self.trusted_hosts = trusted if self.proxy_headers else None
        self.proxy_protocol_hosts = TrustedHosts("proxy_protocol_allow_ips", self.proxy_protocol_allow_ips)
        self.ssl: ssl.SSLContext | None = None
        self.certificates: tls.Certificates | None = None
        notices = engines.translate(self)
        self.configure_logging()
        for warns, text in notices:
            server_log().log(logging.WARNING if warns else logging.INFO, "%s", text)

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to make the same server; what has a name is loaded there."""
        state = self.__dict__ | {"ssl": None, "certificates": None}
        if isinstance(self.app, str):
            state.update(loaded=False, loaded_app=None)
        return state

    @property
    def processes(self) -> int:
        """How many processes are to serve."""
        if self.workers != AUTO:
            return max(int(self.workers or 1), 1)
        from pronghorn import cpus  # slow to import, and of use here only

        return min(cpus.usable(), MOST)

    @property
    def supervised(self) -> bool:
        """Whether the processes that serve have a supervisor: with ``auto`` also a single one, so that signals mean the
        same on every machine."""
        return self.reload or self.processes > 1 or self.workers == AUTO

    @property
    def asgi_version(self) -> str:
        """The version of ASGI that the application is called with; for ``auto`` it is known once it is loaded."""
        return "2.0" if self.interface == "asgi2" else "3.0"

    @property
    def lifespan_class(self) -> type[Lifespan]:
        """What speaks the lifespan protocol."""
        return Lifespan

    @property
    def http_protocol_class(self) -> type:
        """What every connection is: the compiled layer has one kind for HTTP and WebSocket."""
        return Connection

    @property
    def ws_protocol_class(self) -> type | None:
        """What a connection speaks after the handshake of a WebSocket; None without them."""
        return None if self.ws == "none" else WebSocket

    @property
    def is_ssl(self) -> bool:
        """Whether the server speaks TLS itself."""
        return bool(self.ssl_certfile or self.ssl_keyfile or self.ssl_sni or self.ssl_context_factory)

    def configure_logging(self) -> None:
        """Apply ``log_config`` and the settings that refine it."""
        logs.configure(self.log_config, self.log_level, self.access_log, self.use_colors)

    def load_certificates(self) -> None:
        """Read the files of TLS where it is asked for, once; ConfigError when one of them cannot be used."""
        if self.is_ssl and self.certificates is None:
            self.certificates = tls.Certificates(self)
            self.ssl = self.certificates.context

    @property
    def should_reload(self) -> bool:
        """Whether the server is started again when a file has changed: the application is named, so that it can be."""
        return isinstance(self.app, str) and self.reload

    @property
    def use_subprocess(self) -> bool:
        """Whether other processes serve."""
        return self.supervised

    def requests_to_serve(self) -> int | None:
        """After how many a server ends, which is another number for each of them; None: never."""
        if not self.limit_max_requests:
            return None
        import random  # slow to import, and of use here only

        return self.limit_max_requests + random.randint(0, self.limit_max_requests_jitter or 0)

    def load_app(self) -> Any:
        """Import, and with ``factory`` make, the application."""
        return loading.load(self.app, self.factory)

    def load(self) -> None:
        """Set ``loaded_app``, the application as ASGI 3, and ``ssl`` where TLS is asked for, once.

        ``interface`` says then what the application was.
        """
        self.load_certificates()
        if not self.loaded:
            app = self.load_app()
            if self.interface == "auto":
                self.interface = interfaces.detect(app)
            self.loaded_app = interfaces.adapt(app, self.interface)
            if asgi_log().isEnabledFor(logging.DEBUG):
                from pronghorn.messagelog import MessageLog  # slow to import, and of use here only

                self.loaded_app = MessageLog(self.loaded_app)
            self.loaded = True

    def setup_event_loop(self) -> None:
        """Not there any more, as in uvicorn: a loop is made by its factory."""
        raise AttributeError("Config.setup_event_loop() is gone: use get_loop_factory(), as in asyncio.Runner(...)")

    def get_loop_factory(self) -> LoopFactory | None:
        """What makes the event loop, or None for the interpreter's own choice."""
        named: LoopFactory
        if self.loop == "none":
            return None
        if callable(self.loop):
            named = self.loop
            return named
        if self.loop in ("auto", "uvloop"):
            try:
                import uvloop
            except ImportError:
                if self.loop == "uvloop":
                    raise ConfigError("loop: uvloop is not installed") from None
            else:
                factory: LoopFactory = uvloop.new_event_loop
                return factory
        if self.loop in ("auto", "asyncio"):
            return getattr(asyncio, "ProactorEventLoop", asyncio.SelectorEventLoop)
        module_name, _, name = self.loop.partition(":")
        try:
            named = getattr(importlib.import_module(module_name), name)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"loop: cannot import {self.loop!r}: {error}") from None
        return named

    def bind_socket(self) -> socket.socket:
        """One bound socket, to pass to ``Server.serve(sockets=[...])``; StartupError when the address is taken."""
        found = listeners.bind(self)
        for listener in found[1:]:
            listener.socket.close()
        if not found:
            raise StartupError(f"no address to listen on for host {self.host!r}")
        return found[0].socket
