"""Certificates by server name, as a setting: the form of ``ssl_sni``."""

from __future__ import annotations

import os
from typing import Any

from pronghorn.forms import Form

__all__ = ["Names"]


class Names(Form):
    """Certificates by server name: (name, certificate, key or None); on the command line ``NAME=CERTIFICATE[,KEY]``."""

    metavar: str = "NAME=CERT[,KEY]"
    repeated = True

    @property
    def words(self) -> str:
        return "(name, certificate path, key path or None) triples"

    def check(self, value: Any) -> list[tuple[str, str, str | None]]:
        if value is None:
            return []
        triples: list[tuple[str, str, str | None]] = []
        try:
            for name, certificate, key in value:
                triples.append((name, os.fspath(certificate), key and os.fspath(key)))
        except (TypeError, ValueError):
            raise self.refuse(value) from None
        if not all(isinstance(name, str) and name for name, _, _ in triples):
            raise self.refuse(value)
        return triples

    def parse(self, text: str) -> tuple[str, str, str | None]:
        name, equals, paths = text.partition("=")
        certificate, _, key = paths.partition(",")
        if not name or not equals or not certificate:
            raise ValueError(f"expected {self.metavar}, got {text!r}")
        return name, certificate, key or None

    def read(self, value: Any) -> Any:
        return self.read_each(value, self.metavar)

    def plain(self, value: Any) -> Any:
        return [f"{name}={certificate}" + (f",{key}" if key else "") for name, certificate, key in value]
