from typing import Any

from pronghorn._core.exchange import Application

class Service:
    def __init__(self, application: Application, config: Any, tick: float) -> None: ...
