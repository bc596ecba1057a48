"""The keyword arguments of `pronghorn.run()` as type checkers see them.

Made by docs/make_settings.py from pronghorn.settings; change it there. Nothing imports it while the server runs.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypedDict

__all__ = ["Keywords"]


class Keywords(TypedDict, total=False):
    """Every setting; what is not given is its default."""

    host: str | None
    port: int
    uds: str | os.PathLike[str] | None
    fd: int | None
    loop: Any
    http: Any
    http2: bool
    ws: Any
    ws_max_size: int | None
    ws_max_queue: int
    ws_ping_interval: float | None
    ws_ping_timeout: float | None
    ws_per_message_deflate: bool
    lifespan: str
    env_file: str | os.PathLike[str] | None
    log_config: dict[str, Any] | str | os.PathLike[str] | None
    log_level: str | int | None
    access_log: bool
    use_colors: bool | None
    interface: str
    reload: bool
    reload_dirs: Sequence[str] | str | None
    reload_delay: float
    reload_includes: Sequence[str] | str | None
    reload_excludes: Sequence[str] | str | None
    workers: int | str | None
    proxy_headers: bool
    server_header: bool
    date_header: bool
    forwarded_allow_ips: Sequence[str] | str | None
    root_path: str
    limit_concurrency: int | None
    limit_max_requests: int | None
    limit_max_requests_jitter: int
    backlog: int
    timeout_keep_alive: float | None
    timeout_notify: float | None
    timeout_graceful_shutdown: float | None
    timeout_worker_healthcheck: float | None
    callback_notify: Callable[[], Awaitable[Any]] | None
    ssl_keyfile: str | os.PathLike[str] | None
    ssl_certfile: str | os.PathLike[str] | None
    ssl_keyfile_password: str | None
    ssl_version: int
    ssl_cert_reqs: int
    ssl_ca_certs: str | os.PathLike[str] | None
    ssl_ciphers: str | None
    ssl_context_factory: Callable[[Any, Callable[[], ssl.SSLContext]], ssl.SSLContext] | None
    headers: Sequence[tuple[str | bytes, str | bytes]] | None
    factory: bool
    h11_max_incomplete_event_size: int | None
    reset_contextvars: bool
    bind: Sequence[str] | str | None
    uds_mode: int | None
    uds_owner: str | None
    task: str
    timeout_lifespan_startup: float | None
    timeout_lifespan_shutdown: float | None
    timeout_first_byte: float | None
    timeout_request_head: float | None
    timeout_request_body: float | None
    timeout_write_stall: float | None
    timeout_linger: float | None
    body_rate_minimum: int | None
    body_rate_grace: float | None
    limit_request_line: int | None
    limit_request_field_size: int | None
    limit_request_head: int | None
    limit_request_fields: int | None
    limit_request_body: int | None
    limit_trailer_fields: int | None
    limit_trailer_size: int | None
    limit_chunk_extension: int | None
    limit_chunk_extensions: int | None
    limit_connections: int | None
    limit_requests_per_connection: int | None
    body_high_water: int
    write_high_water: int
    ws_handshake_timeout: float | None
    ws_close_timeout: float | None
    ws_message_timeout: float | None
    ws_max_fragments: int | None
    ws_control_limit: int | None
    ws_deflate_window_bits: int
    ws_deflate_memory_level: int
    ws_deflate_level: int
    ws_deflate_min_size: int
    workers_start: str
    preload: bool
    timeout_worker_startup: float | None
    workers_lifetime: float | None
    workers_max_rss: int | None
    pid: str | os.PathLike[str] | None
    user: str | None
    group: str | None
    umask: int | None
    admin: str | None
    shutdown_delay: float | None
    loop_stall_log: float | None
    ssl_minimum_version: str
    ssl_sni: Sequence[tuple[str, str, str | None]] | None
    ssl_handshake_timeout: float | None
    ssl_reload_interval: float | None
    forwarded_headers: Sequence[str] | str | None
    proxy_protocol: str
    proxy_protocol_allow_ips: Sequence[str] | str
    access_log_format: str | None
    access_log_file: str | os.PathLike[str] | None
    limit_refusal_log: int | None
    access_log_buffer: int
    header_map: str
