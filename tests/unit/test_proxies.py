"""Which hosts are trusted."""

from __future__ import annotations

import pytest

from pronghorn.errors import ConfigError
from pronghorn.proxies import TrustedHosts


@pytest.mark.parametrize(
    ("hosts", "host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        (" 127.0.0.1 , ::1 ", "::1", True),
        (["127.0.0.1", "::1"], "::1", True),
        ("10.0.0.0/8", "10.255.0.1", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("2001:db8::/32", "2001:db8:1::1", True),
        ("2001:db8::/32", "10.0.0.1", False),
        ("2001:DB8::1", "2001:db8:0::1", True),
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("10.0.0.1", "::ffff:a00:1", True),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:a00:1", "::ffff:10.0.0.1", True),
        ("::ffff:10.0.0.1", "10.0.0.2", False),
        ("::ffff:10.0.0.0/104", "10.1.2.3", True),
        ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", True),
        ("::ffff:10.0.0.0/104", "11.1.2.3", False),
        ("::/0", "::ffff:10.0.0.1", False),
        ("0.0.0.0/0", "::ffff:10.0.0.1", True),
        ("unix", "unix", True),
        ("127.0.0.1", "unix", False),
        ("*", "unix", True),
        ("*", "1.2.3.4", True),
        ("testclient", "testclient", True),
        ("", "127.0.0.1", False),
        ([], "127.0.0.1", False),
        (",,", "", False),
    ],
)
def test_trusted(hosts: str | list[str], host: str, expected: bool) -> None:
    assert (host in TrustedHosts("forwarded_allow_ips", hosts)) is expected


def test_what_is_no_host() -> None:
    assert None not in TrustedHosts("forwarded_allow_ips", "*")


@pytest.mark.parametrize("hosts", ["10.0.0.1/8", "10.0.0.0/33", "x/8"])
def test_bad_network(hosts: str) -> None:
    with pytest.raises(ConfigError, match=r"^forwarded_allow_ips: expected addresses, networks, unix or \*"):
        TrustedHosts("forwarded_allow_ips", hosts)
