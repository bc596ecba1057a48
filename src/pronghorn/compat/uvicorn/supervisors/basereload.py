"""uvicorn.supervisors.basereload."""

from typing import Any

from pronghorn.errors import ConfigError

__all__ = ["BaseReload", "ChangeReload"]


class BaseReload:
    """Not to be had."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kind = type(self).__name__
        raise ConfigError(f"uvicorn.supervisors.{kind}: Pronghorn does not start again by itself; use Server.run()")


class ChangeReload(BaseReload):
    """Not to be had."""
