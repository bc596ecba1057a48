"""uvicorn.lifespan.on."""

import asyncio

from pronghorn.errors import StartupError
from pronghorn.lifespan import Lifespan
from pronghorn.loggers import server_log

__all__ = ["LifespanOn"]


class LifespanOn(Lifespan):
    """The lifespan protocol for who speaks it without a server: a failure is logged, and asks for the exit."""

    should_exit = False

    async def startup(self, stop: asyncio.Event | None = None) -> None:
        """Start the application."""
        self.config.load()
        try:
            await super().startup(stop)
        except StartupError as error:
            server_log().error("%s", error)
            self.should_exit = True
