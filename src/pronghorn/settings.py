"""Every setting, once: its name, default, accepted form, subject and meaning.

`Config`, the command line, the validation and docs/settings.md are all made from this table. The order of the fields
is the order of ``Config``'s positional arguments: uvicorn's, then ours.
"""

from __future__ import annotations

import functools
import os

from pronghorn.addresses import Bind, Mode, Owner
from pronghorn.descriptors import connections_the_process_can_hold
from pronghorn.errors import ConfigError
from pronghorn.forms import Choice, Flag, Number, Text, Texts, Words
from pronghorn.logsettings import LineFormat
from pronghorn.proxies import Hosts
from pronghorn.servernames import Names
from pronghorn.shared import Shared
from pronghorn.subjects import (
    HUGE,
    SUBJECTS,
    Setting,
    address,
    application,
    buffers,
    count,
    encryption,
    limits,
    logs,
    process,
    proxy,
    seconds,
    size,
    timeouts,
    websocket,
)

__all__ = ["PLACE", "SUBJECTS", "Settings", "table"]

PLACE = ("host", "port", "uds", "fd")  # what says where to listen, unless bind does


class Settings(Shared):
    """The values of every setting; a value of a wrong form raises ConfigError, in one line that names the setting."""

    bind: list[str] = address(
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
    timeout_write_stall: float | None = timeouts(
        30.0, seconds(), "Client that reads nothing: reset it; up to four times that for one that has read much."
    )
    timeout_linger: float | None = timeouts(
        2.0, seconds(), "Reading on after a refusal, so that the client sees it; idle connections at the stop."
    )
    body_rate_minimum: int | None = limits(
        240, size("any rate"), "Slowest request body on the whole, in bytes per second: 408."
    )
    body_rate_grace: float | None = timeouts(5.0, seconds("none"), "Request body: time that its rate leaves out.")
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
    workers_start: str = process(
        "fork", Choice(("fork", "spawn")), "How workers are started: forked, or as new interpreters."
    )
    preload: bool = process(False, Flag(), "Import the application once, before the workers are made from it.")
    timeout_worker_startup: float | None = process(300.0, seconds(), "Seconds for a worker to become ready.")
    workers_lifetime: float | None = process(None, seconds(), "Seconds after which a worker is replaced.")
    workers_max_rss: int | None = process(None, size(), "Memory of a worker above which it is replaced.")
    pid: str | None = process(
        None, Text("FILE", optional=True), "File for the process id, once the addresses are bound."
    )
    user: str | None = process(
        None, Text("USER", optional=True), "User to serve as, by name or number, once the addresses are bound."
    )
    group: str | None = process(None, Text("GROUP", optional=True), "Group to serve as.", "that of the user")
    umask: int | None = process(None, Mode(), "Permissions that new files do not get, in octal.", "as it is")
    admin: str | None = process(
        None, Bind(optional=True), "Where to answer /livez and /readyz: HOST:PORT or unix:PATH."
    )
    shutdown_delay: float | None = process(
        0.0, seconds("none"), "Seconds to go on serving after SIGTERM, not ready any more."
    )
    loop_stall_log: float | None = process(
        5.0, seconds(), "Seconds of a blocked event loop after which a warning says where."
    )
    ssl_minimum_version: str = encryption("1.2", Choice(("1.2", "1.3")), "Oldest version of TLS that is spoken.")
    ssl_sni: list[tuple[str, str, str | None]] = encryption(
        list, Names(), "Certificate for a server name, or for *.domain; may be repeated.", "none"
    )
    ssl_handshake_timeout: float | None = encryption(10.0, seconds(), "Seconds for a handshake: close it.")
    ssl_reload_interval: float | None = encryption(
        10.0, seconds(), "Seconds between two looks whether the files have changed."
    )
    forwarded_headers: list[str] = proxy(
        lambda: ["for", "proto"], Words(("for", "proto", "host", "port", "prefix", "forwarded")),
        "X-Forwarded- fields to believe, and forwarded for RFC 7239's.",
        "for,proto",
    )  # fmt: skip
    proxy_protocol: str = proxy(
        "off", Choice(("off", "on", "v1", "v2")), "Every connection begins with a header of the PROXY protocol."
    )
    proxy_protocol_allow_ips: list[str] | str = proxy(
        "127.0.0.1,::1", Hosts(optional=False), "Proxies that may connect then; others are closed."
    )
    access_log_format: str | None = logs(
        None, LineFormat(), "Access line: default, common, combined, json, or atoms.", "default"
    )
    access_log_file: str | None = logs(
        None, Text("PATH", optional=True), "File of the access log; - is standard output.", "standard output"
    )
    limit_refusal_log: int | None = logs(
        10, count(), "Refused requests that are logged in a second; the others are counted."
    )
    access_log_buffer: int = logs(1_048_576, size("", 1), "Access log that waits to be written; more is dropped.")
    header_map: str = application(
        "drop", Choice(("drop", "refuse", "keep")), "Request headers with an underscore in their name."
    )

    def __post_init__(self) -> None:
        for setting in table():
            value, source = getattr(self, setting.name), setting.name
            if setting.variable and value is None:
                source, value = setting.variable, os.environ.get(setting.variable, setting.otherwise)
                if value == "" and isinstance(setting.form, Number):  # no number; of hosts, it is none of them
                    value = setting.otherwise
            try:
                setattr(self, setting.name, setting.form.check(value))
            except ValueError as error:
                raise ConfigError(f"{source}: {error}") from None
        if self.preload and self.workers_start == "spawn":
            raise ConfigError("preload: cannot be combined with workers_start spawn, where nothing is shared")
        if self.bind:
            for setting in table():
                if setting.name in PLACE and getattr(self, setting.name) != setting.default:
                    raise ConfigError(f"bind: cannot be combined with {setting.name}")


@functools.cache
def table() -> list[Setting]:
    """The settings in order."""
    return [getattr(Settings, name) for name in Settings.names if name != "app"]


def default_text(setting: Setting) -> str:
    """A setting's default as help and documentation show it."""
    if setting.shown:
        return setting.shown
    value = setting.default
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return getattr(setting.form, "off", "") or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) or "empty"
