from collections.abc import Container
from typing import Any

from pronghorn._core.service import Service
from pronghorn._core.wire import Wire

class Entrance:
    def __init__(
        self,
        service: Service,
        template: dict[str, Any],
        certificates: Any = None,
        proxy_protocol: str = "off",
        allowed: Container[str] = (),
    ) -> None: ...

class Lobby(Wire): ...
