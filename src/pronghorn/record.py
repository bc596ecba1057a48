"""Classes whose annotated names are the arguments that make one.

A small part of what ``dataclass()`` does, for the many small classes of the settings: it writes and compiles functions
for each of them, at every start of the server, which for those took a twelfth of its instructions.
"""

from __future__ import annotations

from typing import Any, dataclass_transform

__all__ = ["Record"]


class Signature:
    """What ``inspect.signature()`` and ``help()`` say of a class of records."""

    def __get__(self, record: object, kind: type[Record]) -> object:
        import inspect  # of use here only

        empty, either = inspect.Parameter.empty, inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Signature(
            [inspect.Parameter(name, either, default=getattr(kind, name, empty)) for name in kind.names]
        )


@dataclass_transform(eq_default=False)
class Record:
    """Of one class and its bases: the names in order, and what they are unless somebody says otherwise."""

    names = ()  # type: tuple[str, ...]  # not an annotation, which would be one of them
    __signature__ = Signature()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__module__.partition(".")[0] != __name__.partition(".")[0]:
            return  # somebody else's, who says what its attributes are
        cls.names = (*cls.names, *(name for name in cls.__annotations__ if name not in cls.names))

    def __init__(self, *args: Any, **values: Any) -> None:
        """A value that was not given is the one of the class; TypeError when it has none, and for what has no name."""
        kind = type(self)
        if len(args) > len(kind.names):
            raise TypeError(f"{kind.__name__}() takes {len(kind.names)} arguments at most, got {len(args)}")
        placed = dict(zip(kind.names, args, strict=False))
        for name in values:
            if name not in kind.names:
                raise TypeError(f"{kind.__name__}() has no argument {name!r}")
            if name in placed:
                raise TypeError(f"{kind.__name__}() has two values for argument {name!r}")
        self.__dict__.update(placed, **values)
        for name in kind.names:
            if name not in self.__dict__ and not hasattr(kind, name):
                raise TypeError(f"{kind.__name__}() lacks its argument {name!r}")
        self.__post_init__()

    def __post_init__(self) -> None:
        """For a class that checks its values."""
