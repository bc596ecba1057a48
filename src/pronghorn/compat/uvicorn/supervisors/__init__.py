"""uvicorn.supervisors."""

from .basereload import BaseReload, ChangeReload
from .multiprocess import Multiprocess

__all__ = ["BaseReload", "ChangeReload", "Multiprocess"]
