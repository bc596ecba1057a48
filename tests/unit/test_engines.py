"""pronghorn.engines: what becomes of uvicorn's choices of an engine."""

from typing import Any

import pytest

from pronghorn.engines import translate
from pronghorn.settings import Settings


class Protocol:
    """What somebody passes for the HTTP or the WebSocket protocol."""


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, []),
        ({"ws": "none"}, []),
        ({"http": "h11", "ws": "wsproto"}, [(False, "http: h11"), (False, "ws: wsproto")]),
        ({"http": "a:B"}, [(True, "http: a:B")]),
        ({"ws": Protocol}, [(True, "ws: Protocol")]),
        ({"http2": True}, [(True, "http2: ")]),
        ({"loop": "zuvloop"}, [(False, "loop: zuvloop")]),
    ],
)
def test_notices(given: dict[str, Any], told: list[tuple[bool, str]]) -> None:
    found = translate(Settings("app", **given))
    assert len(found) == len(told)
    for (warns, text), (expected, start) in zip(found, told, strict=True):
        assert warns is expected and text.startswith(start)


def test_zuvloop_is_auto() -> None:
    settings = Settings("app", loop="zuvloop")
    translate(settings)
    assert settings.loop == "auto"


@pytest.mark.parametrize(
    ("given", "head", "line", "field"),
    [
        ({"h11_max_incomplete_event_size": 4000}, 4000, 8192, 16_384),
        ({"h11_max_incomplete_event_size": 100_000}, 100_000, 100_000, 100_000),
        ({"h11_max_incomplete_event_size": 100_000, "limit_request_head": 9, "limit_request_line": 8}, 9, 8, 100_000),
        ({}, 65_536, 8192, 16_384),
    ],
)
def test_the_event_size_of_h11(given: dict[str, Any], head: int, line: int, field: int) -> None:
    settings = Settings("app", **given)
    translate(settings)
    assert (settings.limit_request_head, settings.limit_request_line, settings.limit_request_field_size) == (head, line, field)
