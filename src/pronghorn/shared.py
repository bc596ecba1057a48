"""The settings that uvicorn has, in the order of the arguments of its ``Config``. See settings.py."""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from pronghorn.addresses import DEFAULT_PORT
from pronghorn.board import MOST
from pronghorn.forms import Choice, Flag, Folder, Function, Number, Text, Texts, Truth
from pronghorn.headers import Headers
from pronghorn.logs import LOGGING_CONFIG
from pronghorn.logsettings import Level, LogConfig
from pronghorn.proxies import Hosts
from pronghorn.record import Record
from pronghorn.subjects import (
    HUGE,
    Processes,
    address,
    answers,
    application,
    configuration,
    count,
    encryption,
    limits,
    logs,
    process,
    proxy,
    reloading,
    seconds,
    size,
    timeouts,
    websocket,
)

__all__ = ["Shared"]


class Shared(Record):
    """Those that programs pass to either server, by name or in this order."""

    app: Any
    host: str | None = address("127.0.0.1", Text("HOST", optional=True), "Address or name to listen on; empty: all.")
    port: int = address(DEFAULT_PORT, Number("PORT", "a port", 0, 65535), "Port to listen on; 0: any free one.")
    uds: str | None = address(None, Text("PATH", optional=True), "Unix socket to listen on, instead of host and port.")
    fd: int | None = address(
        None, Number("FD", "a file descriptor", 0, None, "none"), "Open socket to listen on, of any family."
    )
    loop: Any = process(
        "auto", Choice(("auto", "asyncio", "uvloop", "none", "zuvloop"), importable=True), "Event loop."
    )
    http: Any = process(
        "auto",
        Choice(("auto", "httptools", "h11", "zttp"), importable=True),
        "Accepted for uvicorn's sake: the HTTP parser is built in.",
    )
    http2: bool = process(False, Flag(), "Accepted for uvicorn's sake: HTTP/2 is not there yet.")
    ws: Any = websocket(
        "auto",
        Choice(("auto", "none", "websockets", "websockets-sansio", "wsproto"), importable=True),
        "none: not followed; all else: built in.",
    )
    ws_max_size: int | None = websocket(16_777_216, size(ceiling=HUGE), "Message, as sent and inflated: 1009.")
    ws_max_queue: int = websocket(
        32, Number("INTEGER", "a whole number", 1), "Messages waiting for the application, then reading stops."
    )
    ws_ping_interval: float | None = websocket(20.0, seconds(), "Seconds between two pings to the client.")
    ws_ping_timeout: float | None = websocket(20.0, seconds(), "Seconds for a sign of life after a ping: 1011.")
    ws_per_message_deflate: bool = websocket(True, Truth(), "Compress messages when the client offers it.")
    lifespan: str = application("auto", Choice(("auto", "on", "off")), "Whether the application speaks lifespan.")
    env_file: str | None = configuration(
        None, Text("FILE", optional=True), "KEY=VALUE lines to set in the environment before the application loads."
    )
    log_config: dict[str, Any] | str | None = logs(
        lambda: LOGGING_CONFIG, LogConfig(), "Logging configuration: .json, .yaml, .toml, or .ini.", "built in"
    )
    log_level: str | int | None = logs(None, Level(), "Level of the server's own loggers.", "info")
    access_log: bool = logs(True, Flag(), "One line for each request.")
    use_colors: bool | None = logs(None, Flag(optional=True), "Colours in the log.", "on a terminal")
    interface: str = application(
        "auto", Choice(("auto", "asgi3", "asgi2", "wsgi")), "What the application speaks; wsgi needs a2wsgi."
    )
    reload: bool = reloading(False, Flag(), "Start again when a file changes; for development.")
    reload_dirs: list[str] = reloading(
        list, Texts(Folder(), os.pathsep), "Directory to watch; may be repeated.", "the current one"
    )
    reload_delay: float = reloading(0.25, seconds(""), "Seconds between two looks at the files.")
    reload_includes: list[str] = reloading(
        list, Texts(Text("GLOB")), "Files to watch; may be repeated.", "*.py"
    )
    reload_excludes: list[str] = reloading(
        list, Texts(Text("GLOB")), "Files not to watch; may be repeated.", ".*, .py[cod], .sw.*, ~*"
    )
    workers: int | str | None = process(
        None, Processes(minimum=1, off="$WEB_CONCURRENCY, or 1", maximum=MOST),
        "Processes that serve; auto: one for each CPU.", "$WEB_CONCURRENCY, or 1", "WEB_CONCURRENCY", 1,
    )  # fmt: skip
    proxy_headers: bool = proxy(True, Flag(), "Believe what trusted proxies say of their clients.")
    server_header: bool = answers(True, Flag(), "Send Server: pronghorn, without a version.")
    date_header: bool = answers(True, Flag(), "Send Date.")
    forwarded_allow_ips: list[str] | str | None = proxy(
        None, Hosts(), "Proxies to believe: addresses, networks, unix, * for all.",
        "$FORWARDED_ALLOW_IPS, or 127.0.0.1,::1", "FORWARDED_ALLOW_IPS", "127.0.0.1,::1",
    )  # fmt: skip
    root_path: str = application("", Text("PATH"), "Path under which a proxy mounts the application.")
    limit_concurrency: int | None = limits(
        None, count(), "Connections, or requests in progress, above which the answer is 503."
    )
    limit_max_requests: int | None = limits(None, count(), "Responses after which the process stops gracefully.")
    limit_max_requests_jitter: int = limits(0, count("none"), "At most so many more of them, at random.")
    backlog: int = address(2048, Number("INTEGER", "a whole number", 1), "Connections the kernel keeps waiting.")
    timeout_keep_alive: float | None = timeouts(65.0, seconds(), "Idle connection: close it.")
    timeout_notify: float | None = timeouts(
        30.0, Number("SECONDS", "seconds", 0, None, "never", False, option="-"), "Between two calls of callback_notify."
    )
    timeout_graceful_shutdown: float | None = process(
        30.0, seconds("wait for ever"), "Longest graceful stop, in seconds; 0: do not wait for open requests."
    )
    timeout_worker_healthcheck: float | None = process(
        30.0, seconds(), "Seconds for a worker to show that it is alive; then it is aborted and replaced."
    )
    callback_notify: Callable[[], Awaitable[Any]] | None = process(
        None, Function(), "Coroutine function to call regularly while the server runs."
    )
    ssl_keyfile: str | None = encryption(
        None, Text("PATH", optional=True), "Key of the certificate, if it is not in the same file."
    )
    ssl_certfile: str | None = encryption(
        None, Text("PATH", optional=True), "Certificate, and those between it and its root: makes it https."
    )
    ssl_keyfile_password: str | None = encryption(None, Text("TEXT", optional=True), "Password of the key.")
    ssl_version: int = encryption(
        int(ssl.PROTOCOL_TLS_SERVER),
        Number("INTEGER", "a protocol constant of Python's ssl", 0, 99),
        "As uvicorn has it; ssl_minimum_version is what decides.",
    )
    ssl_cert_reqs: int = encryption(
        int(ssl.CERT_NONE), Number("INTEGER", "0 no, 1 optional, 2 required:", 0, 2), "Client certificates."
    )
    ssl_ca_certs: str | None = encryption(
        None, Text("PATH", optional=True), "Authorities that client certificates are checked against."
    )
    ssl_ciphers: str | None = encryption(
        None, Text("LIST", optional=True), "Ciphers up to TLS 1.2, as OpenSSL names them.", "OpenSSL's default"
    )
    ssl_context_factory: Callable[[Any, Callable[[], ssl.SSLContext]], ssl.SSLContext] | None = encryption(
        None, Function(), "Makes the ssl.SSLContext, from the Config and a function for the default one."
    )
    headers: list[tuple[str | bytes, str | bytes]] = answers(
        list, Headers(), "Header to add to every response; may be repeated.", "none"
    )
    factory: bool = application(False, Flag(), "APP is a function without arguments that makes the application.")
    h11_max_incomplete_event_size: int | None = limits(
        None, size("limit_request_head", 1), "uvicorn's name for limit_request_head."
    )
    reset_contextvars: bool = application(
        False, Flag(), "Start each request from an empty context, not from that of the lifespan."
    )
