"""Giving up the rights of a server that was started as root, once it has bound its addresses."""

from __future__ import annotations

import os
import sys
from typing import Protocol

from pronghorn.errors import ConfigError, StartupError
from pronghorn.record import Record

if sys.platform != "win32":
    import grp
    import pwd

__all__ = ["Identity"]


class Named(Protocol):
    """The settings."""

    user: str | None
    group: str | None


class Identity(Record):
    """Whom a process becomes: None leaves what it is. With a user come its groups."""

    uid: int | None
    gid: int | None
    name: str | None  # of the user, where it has one

    @classmethod
    def of(cls, named: Named) -> Identity | None:
        """The one that the settings name; None when they name none. ConfigError when there is no such."""
        if named.user is None and named.group is None:
            return None
        if sys.platform == "win32":
            raise ConfigError("user, group: expected a system with users and groups, which this is not")
        uid = gid = name = None
        if named.user is not None:
            try:
                entry = pwd.getpwuid(int(named.user)) if named.user.isdigit() else pwd.getpwnam(named.user)
                uid, gid, name = entry.pw_uid, entry.pw_gid, entry.pw_name
            except (KeyError, OverflowError):
                if not named.user.isdigit() or named.group is None:
                    raise ConfigError(f"user: there is no user {named.user!r}, which needs a group then") from None
                uid = number("user", named.user)
        if named.group is not None:
            try:
                gid = number("group", named.group) if named.group.isdigit() else grp.getgrnam(named.group).gr_gid
            except KeyError:
                raise ConfigError(f"group: there is no group {named.group!r}") from None
        return cls(uid, gid, name)

    def assume(self) -> None:
        """Become it, for good."""
        if self.uid in (None, os.geteuid()) and self.gid in (None, os.getegid()) and os.geteuid() != 0:
            return
        try:
            if self.gid is not None:
                if self.name is not None:
                    os.initgroups(self.name, self.gid)
                else:
                    os.setgroups([self.gid])
                os.setgid(self.gid)
            if self.uid is not None:
                os.setuid(self.uid)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise StartupError(f"cannot become user {self.uid} and group {self.gid}: {reason}") from None


def number(kind: str, text: str) -> int:
    if int(text) >= 2**32 - 1:  # the last one means "as it is"
        raise ConfigError(f"{kind}: {text} is no number of a {kind}")
    return int(text)
