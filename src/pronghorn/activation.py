"""Sockets that a service manager hands over, as systemd's LISTEN_PID and LISTEN_FDS tell."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

from pronghorn.errors import ConfigError
from pronghorn.forms import Number

__all__ = ["descriptors", "inherited"]

FIRST = 3
COUNT = Number("", "a number of descriptors", 0, 1024)
VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def descriptors(environ: Mapping[str, str]) -> range:
    """Those that were handed to this process."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return range(0)
    try:
        return range(FIRST, FIRST + COUNT.parse(environ.get("LISTEN_FDS", "")))
    except ValueError as error:
        raise ConfigError(f"LISTEN_FDS: {error}") from None


def inherited(environ: MutableMapping[str, str]) -> list[str]:
    """The sockets handed to this process, as ``--bind`` names them. Neither they nor the variables reach a child."""
    told = dict(environ)
    if told.get("LISTEN_PID") == str(os.getpid()):
        for variable in VARIABLES:
            environ.pop(variable, None)
    found = descriptors(told)
    for descriptor in found:
        try:  # here, before somebody else opens a descriptor of this number
            os.set_inheritable(descriptor, False)
        except OSError:
            raise ConfigError(f"LISTEN_FDS: descriptor {descriptor} is not open") from None
    return [f"fd://{descriptor}" for descriptor in found]
