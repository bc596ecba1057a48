"""Contexts from the settings, what is said of files that cannot be used, and what the scope says of certificates."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
from encrypted import authority, server_certificate

from pronghorn import Config
from pronghorn.errors import ConfigError
from pronghorn.tls import Certificates, Renewal, make_context
from pronghorn.x509 import distinguished_name, first_certificate


def config(**settings: Any) -> Config:
    return Config("app", log_config=None, **{"ssl_certfile": server_certificate(), **settings})


def refused(**settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        Certificates(config(**settings))
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_context() -> None:
    context = make_context(config())
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.verify_mode == ssl.CERT_NONE


def test_is_ssl() -> None:
    assert config().is_ssl
    assert not config(ssl_certfile=None).is_ssl
    assert config(ssl_certfile=None, ssl_context_factory=lambda *_: None).is_ssl
    loaded = config()
    loaded.load_certificates()
    assert isinstance(loaded.ssl, ssl.SSLContext)


@pytest.mark.parametrize(
    ("version", "lowest", "highest"),
    [
        (ssl.PROTOCOL_TLS_SERVER, ssl.TLSVersion.TLSv1_2, None),
        (2, ssl.TLSVersion.TLSv1_2, None),  # ssl.PROTOCOL_TLS
        (5, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),  # ssl.PROTOCOL_TLSv1_2
    ],
)
def test_version(version: int, lowest: ssl.TLSVersion, highest: ssl.TLSVersion | None) -> None:
    context = make_context(config(ssl_version=version))
    assert context.minimum_version == lowest
    assert highest is None or context.maximum_version == highest


def test_minimum_version() -> None:
    assert make_context(config(ssl_minimum_version="1.3")).minimum_version == ssl.TLSVersion.TLSv1_3


def test_files_that_are_not_there(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    assert refused(ssl_certfile=missing) == f"ssl_certfile: cannot read {missing!r}: no such file or directory"
    assert refused(ssl_keyfile=missing) == f"ssl_keyfile: cannot read {missing!r}: no such file or directory"
    assert refused(ssl_ca_certs=missing) == f"ssl_ca_certs: cannot use {missing!r}: no such file or directory"
    assert refused(ssl_sni=[("a", missing, None)]) == f"ssl_sni: cannot read {missing!r}: no such file or directory"


def test_files_that_are_no_certificates(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    assert refused(ssl_certfile=str(nonsense)).startswith(
        f"ssl_certfile: cannot use the certificate {str(nonsense)!r} with"
    )
    assert refused(ssl_ca_certs=str(nonsense)).startswith("ssl_ca_certs: cannot use")
    other = authority().issue("other.example.org")
    assert refused(ssl_keyfile=other).endswith("the key is not the certificate's")


def test_certificate_is_missing() -> None:
    text = refused(ssl_certfile=None, ssl_keyfile=server_certificate())
    assert text == "ssl_certfile: expected the path of a certificate, because ssl_keyfile is given"


def test_password(tmp_path: Path) -> None:
    cryptography = pytest.importorskip(
        "cryptography.hazmat.primitives.serialization", reason="cryptography is not installed"
    )
    plain = Path(server_certificate()).read_bytes()
    key = cryptography.load_pem_private_key(plain, None)
    locked = tmp_path / "key.pem"
    locked.write_bytes(
        key.private_bytes(
            cryptography.Encoding.PEM,
            cryptography.PrivateFormat.PKCS8,
            cryptography.BestAvailableEncryption(b"secret"),
        )
    )
    make_context(config(ssl_keyfile=str(locked), ssl_keyfile_password="secret"))
    assert refused(ssl_keyfile=str(locked)).startswith("ssl_keyfile_password: expected a password")
    assert "the password is not the key's" in refused(ssl_keyfile=str(locked), ssl_keyfile_password="wrong")


def test_other_values() -> None:
    assert refused(ssl_ciphers="nothing") == "ssl_ciphers: OpenSSL knows no cipher of 'nothing'"
    assert refused(ssl_version=3).startswith("ssl_version: expected 17 (ssl.PROTOCOL_TLS_SERVER), got 3")
    assert refused(ssl_version=5, ssl_minimum_version="1.3").startswith("ssl_version: asks for TLS 1.2 only")
    assert refused(ssl_context_factory=lambda *_: "x").startswith("ssl_context_factory: expected it to return")
    for wrong in ({"ssl_cert_reqs": 3}, {"ssl_sni": "x"}, {"ssl_minimum_version": "1.1"}, {"ssl_context_factory": 3}):
        (name,) = wrong
        with pytest.raises(ConfigError, match=f"^{name}: expected"):
            config(**wrong)


def test_a_bad_pair_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "server.pem"
    path.write_text(Path(server_certificate()).read_text())
    certificates = Certificates(config(ssl_certfile=str(path)))
    before = certificates.context
    assert not certificates.changed()
    path.write_text("nonsense")
    assert certificates.changed()
    with pytest.raises(ConfigError):
        certificates.load()
    assert certificates.context is before
    assert not certificates.changed()  # it was looked at: there is no point in trying again before it changes
    path.unlink()
    assert certificates.changed()


def test_factory_that_fails_later(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Whatever it raises, the certificates before stay, and the next look is to come."""
    works = True

    def factory(_config: Any, default: Any) -> ssl.SSLContext:
        if not works:
            raise KeyError("vault")
        made: ssl.SSLContext = default()
        return made

    own = tmp_path / "own.pem"
    own.write_text(Path(server_certificate()).read_text())
    certificates = Certificates(config(ssl_certfile=str(own), ssl_context_factory=factory))
    before = certificates.context

    async def look() -> None:
        nonlocal works
        renewal = Renewal(certificates, 3600)
        works = False
        os.utime(own, (1, 1))
        first, renewal.timer = renewal.timer, None
        renewal.look()
        assert renewal.timer is not None
        renewal.stop()
        assert first is not None
        first.cancel()

    asyncio.run(look())
    assert certificates.context is before
    assert "The certificates are not replaced" in caplog.text
    assert "vault" in caplog.text


def test_first_certificate() -> None:
    block = "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"
    assert first_certificate("key\n" + block + block.replace("AA", "BB")) == block
    assert first_certificate("key") is None


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ((), None),
        (((("countryName", "DE"),), (("organizationName", "A"),), (("commonName", "B"),)), "CN=B,O=A,C=DE"),
        (((("commonName", "a"), ("userId", "b")),), "CN=a+UID=b"),
        (((("commonName", 'x,y+z"\\<>;'),),), 'CN=x\\,y\\+z\\"\\\\\\<\\>\\;'),
        (((("commonName", " a "),),), "CN=\\ a\\ "),
        (((("commonName", "#1"),),), "CN=\\#1"),
        (((("emailAddress", "a@b"),),), "emailAddress=a@b"),
    ],
)
def test_distinguished_name(subject: Any, text: str | None) -> None:
    assert distinguished_name({"subject": subject}) == text
