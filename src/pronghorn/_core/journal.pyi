from collections.abc import Callable

from pronghorn._core.output import Output as Output

class Journal:
    late: bool
    sessions: bool

class Records(Journal):
    def __init__(self, access: Callable[[str, str, str, str, int], None]) -> None: ...

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
