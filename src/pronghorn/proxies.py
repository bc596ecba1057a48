"""Which peers are proxies of ours, and may tell who their clients are."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pronghorn.errors import ConfigError
from pronghorn.forms import Form

if TYPE_CHECKING:
    import ipaddress

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

__all__ = ["Hosts", "TrustedHosts"]

EVERYBODY = "*"
MAPPED = bytes(10) + b"\xff\xff"


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
        self.networks: list[Network] = []
        for host in hosts.split(",") if isinstance(hosts, str) else hosts:
            host = host.strip()
            if host == EVERYBODY:
                self.everybody = True
            elif "/" in host and not host.startswith("/"):
                import ipaddress  # slow to import, and of use for networks only

                try:
                    self.networks.append(unmapped(ipaddress.ip_network(host)))
                except ValueError as error:
                    raise ConfigError(
                        f"{setting}: expected addresses, networks, unix or *, with commas between them: {error}"
                    ) from None
            elif host:
                self.names.add(canonical(host))

    def __contains__(self, host: object) -> bool:
        if not isinstance(host, str):
            return False
        if self.everybody:
            return True
        host = canonical(host)
        if host in self.names:
            return True
        if not self.networks:
            return False
        import ipaddress

        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self.networks)


def canonical(host: str) -> str:
    """An address in the one way that the system writes it; anything else as it is.

    ``::ffff:1.2.3.4`` is how a socket that listens on both families shows 1.2.3.4: the same host.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            octets = socket.inet_pton(family, host)
        except (OSError, ValueError):  # ValueError: NUL, or what has no octets
            continue
        if octets.startswith(MAPPED):
            family, octets = socket.AF_INET, octets[len(MAPPED) :]
        return socket.inet_ntop(family, octets)
    return host


def unmapped(network: Network) -> Network:
    """A network of addresses ``::ffff:...`` as the one of IPv4 that it is."""
    octets = network.network_address.packed
    if network.prefixlen < 8 * len(MAPPED) or not octets.startswith(MAPPED):
        return network
    import ipaddress

    return ipaddress.IPv4Network((octets[len(MAPPED) :], network.prefixlen - 8 * len(MAPPED)))
