"""uvicorn.supervisors.multiprocess."""

from typing import Any

from pronghorn.errors import ConfigError

__all__ = ["Multiprocess"]


class Multiprocess:
    """Not to be had."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ConfigError("uvicorn.supervisors.Multiprocess: a Pronghorn server is one process; use Server.run()")
