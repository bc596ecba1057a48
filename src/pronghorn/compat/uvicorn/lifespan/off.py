"""uvicorn.lifespan.off."""

from typing import Any

from pronghorn.config import Config

__all__ = ["LifespanOff"]


class LifespanOff:
    """The lifespan of an application that has none."""

    def __init__(self, config: Config) -> None:
        self.should_exit = False
        self.state: dict[str, Any] = {}

    async def startup(self) -> None:
        """Nothing is to be done."""

    async def shutdown(self) -> None:
        """Nothing is to be done."""
