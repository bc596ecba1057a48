"""Every setting, once: its name, default, accepted form, subject and meaning.

`Config`, the command line, the validation and docs/settings.md are all made from this table. The order of the fields
is the order of ``Config``'s positional arguments: uvicorn's, then ours.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import Field, dataclass, fields
from typing import Any

from pronghorn.addresses import DEFAULT_PORT, Bind, Mode, Owner
from pronghorn.errors import ConfigError
from pronghorn.forms import Choice, Flag, Folder, Function, Number, Text, Texts, Truth, Words
from pronghorn.headers import Headers
from pronghorn.logs import LOGGING_CONFIG
from pronghorn.logsettings import Level, LineFormat, LogConfig
from pronghorn.proxies import Hosts
from pronghorn.servernames import Names
from pronghorn.subjects import (
    HUGE,
    SUBJECTS,
    address,
    answers,
    application,
    buffers,
    configuration,
    connections_the_process_can_hold,
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

__all__ = ["PLACE", "SUBJECTS", "Settings", "table"]

PLACE = ("host", "port", "uds", "fd")  # what says where to listen, unless bind does


@dataclass(eq=False)
class Settings:
    """The values of every setting; a value of a wrong form raises ConfigError, in one line that names the setting."""

    app: Any
    host: str | None = address("127.0.0.1", Text("HOST", optional=True), "Address or name to listen on; empty: all.")
    port: int = address(DEFAULT_PORT, Number("PORT", "a port", 0, 65535), "Port to listen on; 0: any free one.")
    uds: str | None = address(None, Text("PATH", optional=True), "Unix socket to listen on, instead of host and port.")
    fd: int | None = address(
        None, Number("FD", "a file descriptor", 0, None, "none"), "Open socket to listen on, of any family."
    )
    loop: Any = process(  # noqa: RUF009
        "auto", Choice(("auto", "asyncio", "uvloop", "none", "zuvloop"), importable=True), "Event loop."
    )
    http: Any = process(  # noqa: RUF009
        "auto",
        Choice(("auto", "httptools", "h11", "zttp"), importable=True),
        "Accepted for uvicorn's sake: the HTTP parser is built in.",
    )
    http2: bool = process(False, Flag(), "Accepted for uvicorn's sake: HTTP/2 is not there yet.")
    ws: Any = websocket(  # noqa: RUF009
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
    log_config: dict[str, Any] | str | None = logs(  # noqa: RUF009
        lambda: LOGGING_CONFIG, LogConfig(), "Logging configuration: .json, .yaml, .toml, or .ini.", "built in"
    )
    log_level: str | int | None = logs(None, Level(), "Level of the server's own loggers.", "info")
    access_log: bool = logs(True, Flag(), "One line for each request.")
    use_colors: bool | None = logs(None, Flag(optional=True), "Colours in the log.", "on a terminal")
    interface: str = application(
        "auto", Choice(("auto", "asgi3", "asgi2", "wsgi")), "What the application speaks; wsgi needs a2wsgi."
    )
    reload: bool = reloading(False, Flag(), "Start again when a file changes; for development.")
    reload_dirs: list[str] = reloading(  # noqa: RUF009
        list, Texts(Folder(), os.pathsep), "Directory to watch; may be repeated.", "the current one"
    )
    reload_delay: float = reloading(0.25, seconds(""), "Seconds between two looks at the files.")
    reload_includes: list[str] = reloading(  # noqa: RUF009
        list, Texts(Text("GLOB")), "Files to watch; may be repeated.", "*.py"
    )
    reload_excludes: list[str] = reloading(  # noqa: RUF009
        list, Texts(Text("GLOB")), "Files not to watch; may be repeated.", ".*, .py[cod], .sw.*, ~*"
    )
    workers: int | None = process(
        None, Number("INTEGER", "a whole number", 0, None, "$WEB_CONCURRENCY, or 1"), "Processes that serve.",
        "$WEB_CONCURRENCY, or 1", "WEB_CONCURRENCY", 1,
    )  # fmt: skip
    proxy_headers: bool = proxy(True, Flag(), "Believe what trusted proxies say of their clients.")
    server_header: bool = answers(True, Flag(), "Send Server: pronghorn, without a version.")
    date_header: bool = answers(True, Flag(), "Send Date.")
    forwarded_allow_ips: list[str] | str | None = proxy(  # noqa: RUF009
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
    callback_notify: Callable[[], Awaitable[Any]] | None = process(  # noqa: RUF009
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
    ssl_context_factory: Callable[[Any, Callable[[], ssl.SSLContext]], ssl.SSLContext] | None = encryption(  # noqa: RUF009
        None, Function(), "Makes the ssl.SSLContext, from the Config and a function for the default one."
    )
    headers: list[tuple[str | bytes, str | bytes]] = answers(  # noqa: RUF009
        list, Headers(), "Header to add to every response; may be repeated.", "none"
    )
    factory: bool = application(False, Flag(), "APP is a function without arguments that makes the application.")
    h11_max_incomplete_event_size: int | None = limits(
        None, size("limit_request_head", 1), "uvicorn's name for limit_request_head."
    )
    reset_contextvars: bool = application(
        False, Flag(), "Start each request from an empty context, not from that of the lifespan."
    )

    bind: list[str] = address(  # noqa: RUF009
        list, Texts(Bind()), "Where to listen, instead of the above: HOST:PORT, unix:PATH, fd://N; may be repeated.",
        "none",
    )  # fmt: skip
    uds_mode: int | None = address(
        None, Mode(), "Permissions of unix sockets.", "666, or those of the socket that was there"
    )
    uds_owner: str | None = address(None, Owner(), "Owner of unix sockets.")
    task: str = process(
        "auto", Choice(("auto", "lazy", "eager", "task")), "When a request gets a task: once it waits, or at once."
    )
    timeout_lifespan_startup: float | None = timeouts(60.0, seconds(), "Start-up of the application: give up, exit 3.")
    timeout_lifespan_shutdown: float | None = timeouts(30.0, seconds(), "Shutdown of the application: go on without.")
    timeout_first_byte: float | None = timeouts(10.0, seconds(), "New connection that sends nothing: close it.")
    timeout_request_head: float | None = timeouts(10.0, seconds(), "Request head, first byte to last: 408.")
    timeout_request_body: float | None = timeouts(30.0, seconds(), "Gap between two reads of a request body: 408.")
    timeout_write_stall: float | None = timeouts(30.0, seconds(), "Client that reads nothing: reset the connection.")
    timeout_linger: float | None = timeouts(2.0, seconds(), "Reading on after a refusal, so that the client sees it.")
    body_rate_minimum: int | None = limits(240, size("any rate"), "Slowest request body, in bytes per second: 408.")
    body_rate_grace: float | None = timeouts(5.0, seconds("none"), "Request body: from when its rate counts.")
    limit_request_line: int | None = limits(8192, size(), "Request line: 414.")
    limit_request_field_size: int | None = limits(16_384, size(), "One header: 431.")
    limit_request_head: int | None = limits(65_536, size(), "Whole request head: 431.")
    limit_request_fields: int | None = limits(100, count(), "Headers of a request: 431.")
    limit_request_body: int | None = limits(None, size(ceiling=HUGE), "Request body: 413.")
    limit_trailer_fields: int | None = limits(
        64, Number("INTEGER", "a whole number", 0, 65_534, "no limit"), "Trailers of a request."
    )
    limit_trailer_size: int | None = limits(8192, size(), "All trailers of a request.")
    limit_chunk_extension: int | None = limits(256, size(), "Extensions of one chunk.")
    limit_chunk_extensions: int | None = limits(16_384, size(), "Chunk extensions of a whole body.")
    limit_connections: int | None = limits(
        connections_the_process_can_hold, count(), "Open connections; the oldest idle one makes room.",
        "10000, or open files - 64",
    )  # fmt: skip
    limit_requests_per_connection: int | None = limits(10_000, count(), "Requests on one connection.")
    body_high_water: int = buffers(65_536, size("", 1), "Unread request body above which reading pauses.")
    write_high_water: int = buffers(65_536, size("", 1), "Unsent response above which send() waits.")
    ws_handshake_timeout: float | None = websocket(30.0, seconds(), "Seconds for the application to accept: 503.")
    ws_close_timeout: float | None = websocket(10.0, seconds(), "Seconds for the client to answer a close.")
    ws_message_timeout: float | None = websocket(60.0, seconds(), "Seconds from a message's first fragment: 1008.")
    ws_max_fragments: int | None = websocket(
        4096, count(), "Fragments of a message, beyond one for every 64 bytes: 1008."
    )
    ws_control_limit: int | None = websocket(
        1000,
        Number("INTEGER", "a whole number", 0, 65_534, "no limit"),
        "Control or empty frames in ten seconds: 1008.",
    )
    ws_deflate_window_bits: int = websocket(
        12, Number("BITS", "a number of bits", 9, 15), "Window for compression; each bit doubles a session's memory."
    )
    ws_deflate_memory_level: int = websocket(4, Number("LEVEL", "a level", 1, 9), "zlib's memory level.")
    ws_deflate_level: int = websocket(1, Number("LEVEL", "a level", 1, 9), "Compression level, 1 being the fastest.")
    ws_deflate_min_size: int = websocket(64, size("", 0), "Messages below this size are not compressed.")
    preload: bool = process(False, Flag(), "Import the application once, before the workers are made from it.")
    timeout_worker_startup: float | None = process(300.0, seconds(), "Seconds for a worker to become ready.")
    workers_lifetime: float | None = process(None, seconds(), "Seconds after which a worker is replaced.")
    workers_max_rss: int | None = process(None, size(), "Memory of a worker above which it is replaced.")
    loop_stall_log: float | None = process(
        5.0, seconds(), "Seconds of a blocked event loop after which a warning says where."
    )
    ssl_minimum_version: str = encryption("1.2", Choice(("1.2", "1.3")), "Oldest version of TLS that is spoken.")
    ssl_sni: list[tuple[str, str, str | None]] = encryption(  # noqa: RUF009
        list, Names(), "Certificate for a server name, or for *.domain; may be repeated.", "none"
    )
    ssl_handshake_timeout: float | None = encryption(10.0, seconds(), "Seconds for a handshake: close it.")
    ssl_reload_interval: float | None = encryption(
        10.0, seconds(), "Seconds between two looks whether the files have changed."
    )
    forwarded_headers: list[str] = proxy(  # noqa: RUF009
        lambda: ["for", "proto"], Words(("for", "proto", "host", "port", "prefix", "forwarded")),
        "X-Forwarded- fields to believe, and forwarded for RFC 7239's.",
        "for,proto",
    )  # fmt: skip
    proxy_protocol: str = proxy(
        "off", Choice(("off", "on", "v1", "v2")), "Every connection begins with a header of the PROXY protocol."
    )
    proxy_protocol_allow_ips: list[str] | str = proxy(  # noqa: RUF009
        "127.0.0.1,::1", Hosts(optional=False), "Proxies that may connect then; others are closed."
    )
    access_log_format: str | None = logs(
        None, LineFormat(), "Access line: default, common, combined, json, or atoms.", "default"
    )
    access_log_file: str | None = logs(
        None, Text("PATH", optional=True), "File of the access log; - is standard output.", "standard output"
    )
    access_log_buffer: int = logs(1_048_576, size("", 1), "Access log that waits to be written; more is dropped.")
    header_map: str = application(
        "drop", Choice(("drop", "refuse", "keep")), "Request headers with an underscore in their name."
    )

    def __post_init__(self) -> None:
        for setting in table():
            value, source = getattr(self, setting.name), setting.name
            variable, form = setting.metadata["variable"], setting.metadata["form"]
            if variable and value is None:
                source, value = variable, os.environ.get(variable, setting.metadata["otherwise"])
                if value == "" and isinstance(form, Number):  # no number; of hosts, it is none of them
                    value = setting.metadata["otherwise"]
            try:
                setattr(self, setting.name, form.check(value))
            except ValueError as error:
                raise ConfigError(f"{source}: {error}") from None
        if self.bind:
            for setting in table():
                if setting.name in PLACE and getattr(self, setting.name) != setting.default:
                    raise ConfigError(f"bind: cannot be combined with {setting.name}")


def table() -> list[Field[Any]]:
    """The settings in order, each a dataclass field whose metadata holds form, meaning, subject and shown."""
    return [entry for entry in fields(Settings) if entry.metadata]


def default_text(setting: Field[Any]) -> str:
    """A setting's default as help and documentation show it."""
    if setting.metadata["shown"]:
        return str(setting.metadata["shown"])
    value = setting.default
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return getattr(setting.metadata["form"], "off", "") or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) or "empty"
