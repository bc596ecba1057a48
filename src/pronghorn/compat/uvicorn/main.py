"""uvicorn.main."""

import click

from pronghorn import Config, Server, main, run
from pronghorn.errors import STARTUP_FAILURE
from pronghorn.state import ServerState

from .config import INTERFACES, LIFESPAN, LOG_LEVELS

__all__ = [
    "INTERFACE_CHOICES",
    "LEVEL_CHOICES",
    "LIFESPAN_CHOICES",
    "STARTUP_FAILURE",
    "Config",
    "Server",
    "ServerState",
    "main",
    "run",
]

LEVEL_CHOICES = click.Choice(list(LOG_LEVELS))
LIFESPAN_CHOICES = click.Choice(list(LIFESPAN))
INTERFACE_CHOICES = click.Choice(INTERFACES)

if __name__ == "__main__":
    main(prog_name="uvicorn")
