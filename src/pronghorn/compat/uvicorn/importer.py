"""uvicorn.importer."""

from typing import Any

from pronghorn.errors import ConfigError as ImportFromStringError
from pronghorn.loading import import_attribute

__all__ = ["ImportFromStringError", "import_from_string"]


def import_from_string(import_str: Any) -> Any:
    """What ``module:attribute`` names; anything but a string is returned as it is."""
    return import_attribute(import_str) if isinstance(import_str, str) else import_str
