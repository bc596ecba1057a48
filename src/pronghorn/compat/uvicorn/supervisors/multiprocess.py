"""uvicorn.supervisors.multiprocess."""

import socket
import sys
from collections.abc import Sequence

from pronghorn.config import Config
from pronghorn.supervisor import Supervisor

__all__ = ["Multiprocess"]


class Multiprocess:
    """Serves from as many workers as the configuration says, on these sockets, until it is told to stop.

    Each worker makes a server of the configuration, as since uvicorn 0.51: there is no ``target``.
    """

    def __init__(self, config: Config, sockets: Sequence[socket.socket]) -> None:
        self.config = config
        self.sockets = sockets

    def run(self) -> None:
        """Return when it has stopped; SystemExit with status 3 when no worker could start."""
        supervisor = Supervisor(self.config)
        supervisor.sockets = self.sockets
        status = supervisor.run()
        for sock in self.sockets:
            sock.close()
        if status:
            sys.exit(status)
