"""Finding the application that ``module:attribute`` names."""

from __future__ import annotations

import importlib
import os
from types import TracebackType
from typing import Any, Protocol

from pronghorn.errors import ConfigError, StartupError
from pronghorn.interfaces.detection import accepts
from pronghorn.loggers import server_log

__all__ = ["foreign_traceback", "import_attribute", "load", "load_once"]

HERE = os.path.dirname(__file__)


class Loadable(Protocol):
    """What has certificates and an application to load."""

    def load_certificates(self) -> None: ...
    def load(self) -> None: ...


def load(target: Any, factory: bool = False) -> Any:
    """The application that ``target`` is, names, or, with ``factory``, makes.

    A name that leads nowhere raises ConfigError in one line. Whatever the application's own module raises while it
    is imported, or its factory while it runs, is left as it is.
    """
    app = import_attribute(target) if isinstance(target, str) else target
    if factory:
        if not accepts(app, 0):
            raise ConfigError(f"the factory {target!r} cannot be called without arguments")
        app = app()
    elif accepts(app, 0) and not accepts(app, 3):
        server_log().warning("ASGI app factory detected. Using it, but please consider setting --factory explicitly.")
        app = app()
    if not callable(app):
        made = "made by the factory " if factory else ""
        raise ConfigError(f"the application {made}{target!r} is {type(app).__name__!r}, which cannot be called")
    return app


def import_attribute(name: str) -> Any:
    """What ``module:attribute`` names; ConfigError in one line when it leads nowhere."""
    module_name, _, attributes = name.partition(":")
    if not module_name or not attributes:
        raise ConfigError(f'the application {name!r} is not of the form "module:attribute", {guess(name)}')
    try:
        found = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Only when it is this module, or a package it is said to be in, that is not there.
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise
        hint = f"; {guess(name)}" if module_name.endswith(".py") or os.sep in module_name else ""
        raise ConfigError(f"cannot import the module {module_name!r} of the application: {error}{hint}") from None
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise ConfigError(f"no attribute {attributes!r} in the module {module_name!r}") from None
    return found


def guess(name: str) -> str:
    """What may have been meant by a name without an attribute, or by the path of a file."""
    path, _, attribute = name.partition(":")
    module = path.removesuffix(".py").replace(os.sep, ".").strip(".")
    if module and all(part.isidentifier() for part in module.split(".")):
        return f"did you mean {module + ':' + (attribute or 'app')!r}?"
    return 'as in "main:app"'


def load_once(config: Loadable) -> None:
    """Load what a configuration names, unless that was done; StartupError in one line when it fails."""
    try:
        config.load_certificates()
    except ConfigError as error:
        raise StartupError(f"Error loading TLS certificates. {error}") from None
    try:
        config.load()
    except ConfigError as error:
        raise StartupError(f"Error loading ASGI app. {error}") from None
    except Exception as error:
        server_log().error("Exception while loading ASGI app\n", exc_info=foreign_traceback(error))
        raise StartupError(f"Error loading ASGI app. It raised {type(error).__name__}.") from error


def foreign_traceback(error: BaseException) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """An exception to log, its traceback without the server's own frames and those of the import machinery."""
    frames = error.__traceback__
    while frames is not None and is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return type(error), error.with_traceback(frames), frames


def is_ours(filename: str) -> bool:
    return filename.startswith((HERE, "<frozen importlib")) or filename == importlib.__file__
