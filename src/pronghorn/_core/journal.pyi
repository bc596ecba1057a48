from collections.abc import Callable, Iterable
from typing import Any

from pronghorn._core.output import Output as Output

class Journal:
    late: bool
    sessions: bool

class Records(Journal):
    def __init__(self, access: Callable[[str, str, str, str, int], None]) -> None: ...

class Reports(Journal):
    def __init__(
        self,
        begun: Callable[
            [tuple[str, int] | None, str, bytes, bytes, str, list[tuple[bytes, bytes]]],
            object,
        ],
        over: Callable[[Any, int, Iterable[tuple[bytes, bytes]] | None, int], object],
    ) -> None: ...

class Lines(Journal):
    missed: int
    def __init__(
        self,
        segments: list[tuple[str, bytes, bool]],
        begun: Callable[[], None],
        full: Callable[[], None],
        *,
        sessions: bool = False,
        json: bool = False,
        prefix: bytes = b"",
    ) -> None: ...
    def take(self) -> bytes | None: ...

def write_lines(fd: int, batch: bytes, start: int, piece: int, patience: int) -> tuple[int, int]: ...
