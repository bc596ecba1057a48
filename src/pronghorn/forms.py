"""The forms a setting's value may take: what is accepted, said in words, checked once for Python and command line.

A form's ``check`` takes what Python code passed to ``Config`` and returns the value to keep; ``read`` takes a value of
a TOML file, and ``parse`` the text of a command-line option or of an environment variable. All of them raise
``ValueError`` with one line that names the accepted form. ``plain`` turns a value back into what ``read`` takes.
"""

from __future__ import annotations

import math
import os
from typing import Any

from pronghorn.record import Record

__all__ = [
    "Choice",
    "Flag",
    "Folder",
    "Form",
    "Function",
    "Number",
    "Text",
    "Texts",
    "Truth",
    "Words",
]

TRUE, FALSE = {"true", "1", "yes", "on", "t", "y"}, {"false", "0", "no", "off", "f", "n"}


class Form(Record):
    """One accepted form: ``words`` says it in a message and in the documentation, ``metavar`` in ``--help``."""

    metavar = "TEXT"
    repeated = False  # the option may be given several times, each time with one of the values
    option = ""  # the option's name where it is not the setting's; "-": there is none

    @property
    def words(self) -> str:
        raise NotImplementedError

    def check(self, value: Any) -> Any:
        raise NotImplementedError

    def parse(self, text: str) -> Any:
        return self.check(text)

    def parse_all(self, text: str) -> Any:
        """The value of an environment variable, which has all elements of a list."""
        if not self.repeated:
            return self.parse(text)
        return self.check([self.parse(part) for part in self.split(text) if part])

    def split(self, text: str) -> list[str]:
        """The elements of a list as an environment variable has them."""
        return text.split()

    def read(self, value: Any) -> Any:
        return self.check(value)

    def plain(self, value: Any) -> Any:
        return value

    def read_each(self, value: Any, wanted: str) -> Any:
        """``read`` of a list whose elements a file has as an option has them; ``wanted`` says how."""
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ValueError(f"expected a list of {wanted}, got {shown(value)}")
        return self.check([self.parse(one) for one in value])

    def refuse(self, value: Any) -> ValueError:
        return ValueError(f"expected {self.words}, got {shown(value)}")

    @property
    def typed_words(self) -> str:
        """``words`` of what can be typed, where None is no value."""
        return self.words

    def refuse_typed(self, text: str) -> ValueError:
        return ValueError(f"expected {self.typed_words}, got {shown(text)}")


def shown(value: Any) -> str:
    """A value in a message, where it must not be longer than a line."""
    try:
        text = repr(value)
    except ValueError:  # a number of more digits than the interpreter converts
        return "a number too long to show"
    return text if len(text) <= 100 else f"{text[:80]}... ({len(text)} characters)"


class Text(Form):
    """Text without NUL, or None where ``optional``; a path is text as well."""

    metavar: str = "TEXT"
    optional: bool = False

    @property
    def words(self) -> str:
        return "text or None" if self.optional else "text"

    def check(self, value: Any) -> Any:
        if value is None and self.optional:
            return None
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, str) or "\0" in value:
            raise self.refuse(value)
        return value


class Folder(Form):
    """The path of a directory that exists."""

    metavar: str = "DIRECTORY"
    words = "a directory that exists"

    def check(self, value: Any) -> Any:
        if isinstance(value, str | os.PathLike) and "\0" not in os.fspath(value) and os.path.isdir(value):
            return os.fspath(value)
        raise self.refuse(value)


class Texts(Form):
    """A list of texts, each of the form ``of``."""

    of: Form
    separator: str | None = None  # between the values in an environment variable; None: blanks
    repeated = True

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return self.of.metavar

    @property
    def words(self) -> str:
        return f"a list, each {self.of.words}"

    def check(self, value: Any) -> Any:
        if value is None:
            return []
        if isinstance(value, str | os.PathLike):
            value = [value]
        if not isinstance(value, list | tuple):
            raise self.refuse(value)
        return [self.of.check(one) for one in value]

    def parse(self, text: str) -> Any:
        return self.of.parse(text)

    def split(self, text: str) -> list[str]:
        return text.split(self.separator)


class Flag(Form):
    """True or False, or None where ``optional``; as text, one of the usual words."""

    optional: bool = False

    @property
    def words(self) -> str:
        return "True, False or None" if self.optional else "True or False"

    def check(self, value: Any) -> Any:
        if isinstance(value, bool) or (value is None and self.optional):
            return value
        raise self.refuse(value)

    def parse(self, text: str) -> Any:
        if text.lower() in TRUE:
            return True
        if text.lower() in FALSE:
            return False
        raise ValueError(f"expected true or false, got {shown(text)}")


class Truth(Flag):
    """True or False, as a word on the command line rather than as two options."""

    metavar = "true|false"
    words = "true or false"

    def check(self, value: Any) -> Any:
        return self.parse(value) if isinstance(value, str) else super().check(value)


class Number(Form):
    """A number from ``minimum`` to ``maximum``; where ``off`` says what None means, None is accepted.

    ``ceiling`` is what the system and the compiled layer can count to. Only who exceeds it hears of it.
    """

    metavar: str = "INTEGER"
    unit: str = "a whole number"
    minimum: float = 0
    maximum: float | None = None
    off: str = ""
    whole: bool = True
    ceiling: int = 2**31 - 1
    option: str = ""

    @property
    def words(self) -> str:
        return f"{self.typed_words}, or None ({self.off})" if self.off else self.typed_words

    @property
    def typed_words(self) -> str:
        text = f"{self.unit} from {self.minimum:g}"
        return text if self.maximum is None else f"{text} to {self.maximum:g}"

    def check(self, value: Any) -> Any:
        if value is None and self.off:
            return None
        if isinstance(value, str):
            return self.parse(value)
        accepted = int if self.whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, accepted):
            raise self.refuse(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise self.refuse(value)
        if self.maximum is None and value > self.ceiling:
            raise ValueError(f"expected {self.unit} from {self.minimum:g} to {self.ceiling}, got {shown(value)}")
        if value < self.minimum or (self.maximum is not None and value > self.maximum):
            raise self.refuse(value)
        return value

    def parse(self, text: str) -> Any:
        try:
            value = int(text) if self.whole else float(text)
        except ValueError:
            raise self.refuse_typed(text) from None
        if not math.isfinite(value) or value < self.minimum or (self.maximum is not None and value > self.maximum):
            raise self.refuse_typed(text)
        return self.check(value)


class Choice(Form):
    """One of a few words; where ``importable``, also ``module:attribute``, and in Python what that would lead to."""

    values: tuple[str, ...]
    importable: bool = False

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return "|".join(self.values)

    @property
    def words(self) -> str:
        text = "one of " + ", ".join(self.values)
        return text + ", or module:attribute" if self.importable else text

    def check(self, value: Any) -> Any:
        if isinstance(value, str) and (value in self.values or (self.importable and ":" in value)):
            return value
        if self.importable and callable(value):
            return value
        raise self.refuse(value)


class Words(Form):
    """Some of a few words, as a list or as text with commas between them."""

    values: tuple[str, ...]

    @property
    def metavar(self) -> str:  # type: ignore[override]
        return "LIST"

    @property
    def words(self) -> str:
        return "some of " + ", ".join(self.values)

    def check(self, value: Any) -> list[str]:
        found = value.split(",") if isinstance(value, str) else value
        try:
            found = [word.strip() for word in found if word.strip()]
        except (TypeError, AttributeError):
            raise self.refuse(value) from None
        if not set(found) <= set(self.values):
            raise self.refuse(value)
        return found


class Function(Form):
    """Something to call, or None. There is no option for it."""

    option = "-"

    @property
    def words(self) -> str:
        return "a callable or None"

    def check(self, value: Any) -> Any:
        if value is None or callable(value):
            return value
        raise self.refuse(value)
