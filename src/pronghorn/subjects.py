"""What the table of settings is made of: the subjects, which make settings, and the usual forms of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pronghorn.forms import Form, Number

__all__ = [
    "AUTO",
    "HUGE",
    "SUBJECTS",
    "Processes",
    "Setting",
    "address",
    "answers",
    "application",
    "buffers",
    "configuration",
    "count",
    "encryption",
    "limits",
    "logs",
    "process",
    "proxy",
    "reloading",
    "seconds",
    "size",
    "timeouts",
    "websocket",
]

HUGE = 2**63 - 1
AUTO = "auto"
SUBJECTS: list[str] = []  # in the order in which help and documentation have them


class Setting:
    """What there is to say of one setting. In settings that have no value of their own, it is the default."""

    __slots__ = ("default", "form", "meaning", "name", "otherwise", "shown", "subject", "variable")

    def __init__(
        self, subject: str, default: Any, form: Form, meaning: str, shown: str, variable: str, otherwise: Any
    ) -> None:
        self.subject, self.default, self.form, self.meaning = subject, default, form, meaning
        self.shown, self.variable, self.otherwise = shown, variable, otherwise

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, settings: object, kind: type) -> Any:
        return self if settings is None else self.make()

    def __repr__(self) -> str:
        """As a signature shows it."""
        return self.shown or repr(self.default)

    def make(self) -> Any:
        """Its default; where that depends on something, it is a function."""
        return self.default() if callable(self.default) else self.default


def subject(name: str) -> Callable[..., Any]:
    """Make settings of one subject, which is their heading in ``--help`` and in the documentation."""
    SUBJECTS.append(name)

    def setting(
        default: Any, form: Form, meaning: str, shown: str = "", variable: str = "", otherwise: Any = None
    ) -> Any:
        """``variable`` is the environment variable that stands in for a value of None, ``otherwise`` for that."""
        return Setting(name, default, form, meaning, shown, variable, otherwise)

    return setting


def seconds(off: str = "never") -> Number:
    return Number("SECONDS", "seconds", 0, None, off, whole=False, ceiling=10**9)


class Processes(Number):
    """How many of them, or ``auto``."""

    metavar: str = "INTEGER|auto"
    unit: str = "auto or a whole number"

    def parse(self, text: str) -> Any:
        return AUTO if text.lower() == AUTO else super().parse(text)


def count(off: str = "no limit", minimum: int = 0) -> Number:
    return Number("INTEGER", "a whole number", minimum, None, off)


def size(off: str = "no limit", minimum: int = 0, ceiling: int = 2**31 - 1) -> Number:
    return Number("BYTES", "bytes", minimum, None, off, ceiling=ceiling)


address = subject("Address")
process = subject("Process")
reloading = subject("Reloading")
application = subject("Application")
configuration = subject("Configuration")
logs = subject("Logging")
answers = subject("Responses")
timeouts = subject("Time-outs (seconds; 0 switches one off)")
limits = subject("Limits (0 switches one off)")
buffers = subject("Buffers")
encryption = subject("TLS")
proxy = subject("Proxies")
websocket = subject("WebSocket (0 switches a limit or a time-out off)")
