"""How long to wait before another attempt: what fails at once would keep a machine busy with nothing else."""

from __future__ import annotations

import time

__all__ = ["Backoff"]

AT_ONCE = 2  # failures in a row after which the next attempt does not wait
LONGEST_PAUSE = 30.0  # seconds between two attempts


class Backoff:
    """The first attempts after a failure may be made at once, further ones after longer and longer pauses."""

    def __init__(self) -> None:
        self.failures = 0
        self.failed_at = 0.0
        self.until = 0.0
        self.pause = 0.0  # that the last failure has made

    def failed(self, begun: float | None = None) -> None:
        """One more in a row. ``begun``: when the attempt was made; those that were made together fail once."""
        if begun is not None and begun < self.failed_at:
            return
        self.failures += 1
        self.failed_at = time.monotonic()
        self.pause = min(2.0 ** (self.failures - AT_ONCE - 1), LONGEST_PAUSE) if self.failures > AT_ONCE else 0.0
        self.until = self.failed_at + self.pause

    def succeeded(self) -> None:
        """It is over."""
        self.failures, self.failed_at, self.until, self.pause = 0, 0.0, 0.0, 0.0

    def give_up(self) -> None:
        """No further attempt before ``succeeded()`` is called."""
        self.until = float("inf")

    @property
    def waits(self) -> bool:
        """Whether it is too early."""
        return time.monotonic() < self.until
