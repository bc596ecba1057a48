"""The file of ``--env-file``: variables for the application, set before it is imported."""

from __future__ import annotations

from pronghorn.errors import ConfigError

__all__ = ["load"]


def load(path: str) -> None:
    """Set the variables of a file of KEY=VALUE lines, except those that are set already."""
    try:
        import dotenv
    except ImportError:
        raise ConfigError("env_file: python-dotenv is not installed; pip install 'pronghorn[standard]'") from None
    try:
        with open(path, encoding="utf-8") as stream:
            dotenv.load_dotenv(stream=stream)
    except OSError as error:
        raise ConfigError(f"env_file: cannot read {path!r}: {(error.strerror or str(error)).lower()}") from None
    except ValueError as error:
        raise ConfigError(f"env_file: cannot read {path!r}: {error}") from None
