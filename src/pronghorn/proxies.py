"""Which peers are proxies of ours, and may tell who their clients are."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pronghorn.errors import ConfigError
from pronghorn.forms import Form

if TYPE_CHECKING:
    import ipaddress

__all__ = ["Hosts", "TrustedHosts"]

EVERYBODY = "*"


class Hosts(Form):
    """Hosts to trust, as a list or as text with commas between them."""

    metavar: str = "LIST"
    optional: bool = True

    @property
    def words(self) -> str:
        return "addresses, networks, unix or *, with commas between them"

    def check(self, value: Any) -> list[str] | str | None:
        if value is None and self.optional:
            return None
        if not isinstance(value, str):
            try:
                value = list(value)
            except TypeError:
                raise self.refuse(value) from None
            if not all(isinstance(host, str) for host in value):
                raise self.refuse(value)
        return value  # type: ignore[no-any-return]


class TrustedHosts:
    """A container of hosts, made from addresses, networks (``10.0.0.0/8``), other names, ``unix`` and ``*``.

    A host of a scope's ``client`` is in it, or not; that of a unix socket's peer is ``unix``.
    """

    def __init__(self, setting: str, hosts: str | Iterable[str]) -> None:
        """``hosts``: a list, or text with commas between them. ConfigError names the setting."""
        self.everybody = False
        self.names: set[str] = set()
        self.networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for host in hosts.split(",") if isinstance(hosts, str) else hosts:
            host = host.strip()
            if host == EVERYBODY:
                self.everybody = True
            elif "/" in host and not host.startswith("/"):
                import ipaddress  # slow to import, and of use for networks only

                try:
                    self.networks.append(ipaddress.ip_network(host))
                except ValueError as error:
                    raise ConfigError(
                        f"{setting}: expected addresses, networks, unix or *, with commas between them: {error}"
                    ) from None
            elif host:
                self.names.add(canonical(host))

    def __contains__(self, host: object) -> bool:
        if not isinstance(host, str):
            return False
        if self.everybody or canonical(host) in self.names:
            return True
        if not self.networks and ":" not in host:
            return False
        import ipaddress

        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        if any(address in network for network in self.networks):
            return True
        # A socket that listens on both families shows IPv4 clients in this way.
        mapped = getattr(address, "ipv4_mapped", None)
        return mapped is not None and str(mapped) in self


def canonical(host: str) -> str:
    """An address in the one way that the system writes it; anything else as it is."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, host))
        except (OSError, ValueError):  # ValueError: NUL, or what has no octets
            pass
    return host
