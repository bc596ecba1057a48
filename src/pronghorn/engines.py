"""What becomes of options that choose one of uvicorn's engines: Pronghorn's own does the work, and says so."""

from __future__ import annotations

from typing import Any

from pronghorn.settings import Settings, table

__all__ = ["translate"]

PARSERS = {"httptools", "h11", "zttp"}
WEBSOCKETS = {"websockets", "websockets-sansio", "wsproto"}


def translate(settings: Settings) -> list[tuple[bool, str]]:
    """Give such options their meaning here; what to tell about it, each with whether it is a warning."""
    told = []
    for name, others in (("http", PARSERS), ("ws", WEBSOCKETS)):
        engine = getattr(settings, name)
        if engine not in ("auto", "none"):
            told.append((engine not in others, f"{name}: {show(engine)} is not used; Pronghorn's own does its work"))
    if settings.http2:
        told.append((True, "http2: this version has no HTTP/2"))
    if settings.loop == "zuvloop":
        settings.loop = "auto"
        told.append((False, "loop: zuvloop is not used; auto is"))
    if settings.h11_max_incomplete_event_size is not None:
        told.append((False, limit_heads(settings, settings.h11_max_incomplete_event_size)))
    return told


def show(engine: object) -> str:
    return engine if isinstance(engine, str) else getattr(engine, "__name__", repr(engine))


def limit_heads(settings: Settings, size: int) -> str:
    """A whole head of ``size``, and lines and fields up to that; a limit that somebody set himself stays."""
    defaults: dict[str, Any] = {setting.name: setting.default for setting in table()}
    if settings.limit_request_head == defaults["limit_request_head"]:
        settings.limit_request_head = size
    for name in ("limit_request_line", "limit_request_field_size"):
        if getattr(settings, name) == defaults[name] and defaults[name] < size:
            setattr(settings, name, size)
    return "h11_max_incomplete_event_size: taken as limit_request_head"
