"""gunicorn's settings as ours; which of them have no meaning here."""

from __future__ import annotations

import sys
from typing import Any

from pronghorn.errors import ConfigError

__all__ = ["is_given", "settings_from", "their_name", "without_meaning"]

# gunicorn's name, and ours. A version of gunicorn that does not have one has our default.
SAME_MEANING = {
    "backlog": "backlog",
    "worker_connections": "limit_connections",
    "keepalive": "timeout_keep_alive",
    "limit_request_line": "limit_request_line",
    "limit_request_fields": "limit_request_fields",
    "limit_request_field_size": "limit_request_field_size",
    "root_path": "root_path",
    "asgi_loop": "loop",
    "asgi_lifespan": "lifespan",
    "websocket_max_message_size": "ws_max_size",
}
TLS = {
    "certfile": "ssl_certfile",
    "keyfile": "ssl_keyfile",
    "ca_certs": "ssl_ca_certs",
    "cert_reqs": "ssl_cert_reqs",
    "ciphers": "ssl_ciphers",
}
TRANSLATED = {
    "graceful_timeout": "timeout_graceful_shutdown",
    "max_requests": "limit_max_requests",
    "proxy_allow_ips": "proxy_protocol_allow_ips",
    "secure_scheme_headers": "forwarded_headers",
}
THEIRS = {ours: theirs for names in (SAME_MEANING, TLS, TRANSLATED) for theirs, ours in names.items()}

WITHOUT_MEANING = (
    "threads",
    "sendfile",
    "tmp_upload_dir",
    "forwarder_headers",
    "uwsgi_allow_ips",
    "suppress_ragged_eofs",
    "do_handshake_on_connect",
    "ssl_version",
    "http_protocols",
    "http2_cleartext",
    "http2_max_concurrent_streams",
    "http2_initial_window_size",
    "http2_max_frame_size",
    "http2_max_header_list_size",
    "permit_obsolete_folding",
    "strip_header_spaces",
    "permit_unconventional_http_method",
    "permit_unconventional_http_version",
    "casefold_http_method",
    "tolerate_dangerous_framing",
    "http_parser",
    "asgi_disconnect_grace_period",
)

HEAD = 65_536  # our limit of a whole request head, for which gunicorn has no setting
MARGIN = 2.0  # seconds for lifespan.shutdown before gunicorn kills a worker at its graceful_timeout
PROXY_PROTOCOL = {False: "off", True: "on", "off": "off", "auto": "on", "v1": "v1", "v2": "v2"}
HEADER_MAP = {"drop": "drop", "refuse": "refuse", "dangerous": "keep"}
SCHEME_HEADER = ("X-FORWARDED-PROTO", "https")


def settings_from(cfg: Any, max_requests: int) -> dict[str, Any]:
    """What `Config` is made with. ``max_requests``: the worker's own, which gunicorn has added the jitter to."""
    if value(cfg, "protocol", "http") != "http":
        raise ConfigError(f"protocol: expected http, got {value(cfg, 'protocol')!r}")
    found = {ours: value(cfg, theirs) for theirs, ours in SAME_MEANING.items() if theirs in cfg.settings}
    graceful = value(cfg, "graceful_timeout")
    found |= {
        "log_config": None,
        "workers": 1,
        "limit_max_requests": max_requests if max_requests < sys.maxsize else None,
        "timeout_graceful_shutdown": max(graceful - MARGIN, graceful / 2),
        "limit_request_head": whole_head(found["limit_request_line"], found["limit_request_field_size"]),
        "header_map": HEADER_MAP[value(cfg, "header_map", "drop")],
        # Whoever reaches a unix socket is let in by its permissions: gunicorn takes its word as well.
        "forwarded_allow_ips": [*hosts(cfg, "forwarded_allow_ips"), "unix"],
        "forwarded_headers": ["for", "proto"] if value(cfg, "secure_scheme_headers") else ["for"],
        "proxy_protocol": PROXY_PROTOCOL[value(cfg, "proxy_protocol", False)],
        "proxy_protocol_allow_ips": [*hosts(cfg, "proxy_allow_ips"), "unix"],
    }
    if not found["timeout_keep_alive"]:  # to gunicorn no connection is kept then; to us it would be one for ever
        del found["timeout_keep_alive"]
        found["limit_requests_per_connection"] = 1
    return found | encryption(cfg)


def encryption(cfg: Any) -> dict[str, Any]:
    """The settings of TLS, if it is asked for."""
    if not (value(cfg, "certfile") or value(cfg, "keyfile")):
        return {}
    found = {ours: value(cfg, theirs) for theirs, ours in TLS.items()}
    hook = value(cfg, "ssl_context", None)
    if hook is not None and is_given(cfg, "ssl_context"):
        found["ssl_context_factory"] = lambda settings, make: hook(cfg, make)
    return found


def whole_head(line: int, field_size: int) -> int:
    """A limit that does not refuse what the two others let through."""
    return max(HEAD, line + field_size) if line and field_size else 0


def without_meaning(cfg: Any) -> list[str]:
    """The settings that somebody has set, and that nothing is done with."""
    names = [name for name in WITHOUT_MEANING if is_given(cfg, name)]
    if is_given(cfg, "secure_scheme_headers"):
        others = [
            pair for pair in value(cfg, "secure_scheme_headers").items() if (pair[0].upper(), pair[1]) != SCHEME_HEADER
        ]
        names += [f"secure_scheme_headers[{name!r}]" for name, _ in others]
    return names


def is_given(cfg: Any, name: str) -> bool:
    """Whether a setting has another value than by default."""
    setting = cfg.settings.get(name)
    return setting is not None and setting.get() != type(setting)().get()


def their_name(text: str) -> str:
    """A line that begins with the name of a setting of ours, with gunicorn's name instead."""
    name, colon, rest = text.partition(":")
    return THEIRS.get(name, name) + colon + rest


def value(cfg: Any, name: str, otherwise: Any = None) -> Any:
    setting = cfg.settings.get(name)
    return otherwise if setting is None else setting.get()


def hosts(cfg: Any, name: str) -> list[str]:
    found = value(cfg, name) or []
    return found.split(",") if isinstance(found, str) else list(found)
