"""How this program was started, for whoever starts it anew."""

from __future__ import annotations

import os
import sys

from pronghorn.terminal import is_hangup_ignored

__all__ = ["Origin"]


class Origin:
    """To be made before settings and applications have changed the environment or the directory."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.environment = dict(os.environ)
        self.hangup_ignored = is_hangup_ignored()
        try:
            self.folder = folder()
        except OSError:  # it has been removed
            self.folder = ""
        self.command = [sys.executable, *sys.orig_argv[1:]] if sys.executable else []


def folder() -> str:
    """The current directory, by the name it was entered by: a symbolic link may lead to a new version by now."""
    here, named = os.getcwd(), os.environ.get("PWD", "")
    try:
        return named if os.path.isabs(named) and os.path.samefile(here, named) else here
    except OSError:
        return here
