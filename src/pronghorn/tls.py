"""TLS: contexts from the settings, the certificate for each server name, and loading them again."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import Any, Protocol

from pronghorn.errors import ConfigError
from pronghorn.loggers import server_log
from pronghorn.record import Record
from pronghorn.x509 import client_chain, distinguished_name, first_certificate

__all__ = ["Certificates", "Renewal", "TLSSettings", "make_context"]

VERSIONS = {"TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
MINIMUM = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
ALPN = ["http/1.1"]


class TLSSettings(Protocol):
    """The settings that say how TLS is spoken."""

    ssl_keyfile: str | None
    ssl_certfile: str | None
    ssl_keyfile_password: str | None
    ssl_version: int
    ssl_cert_reqs: int
    ssl_ca_certs: str | None
    ssl_ciphers: str | None
    ssl_minimum_version: str
    ssl_sni: list[tuple[str, str, str | None]]
    ssl_context_factory: Callable[[Any, Callable[[], ssl.SSLContext]], ssl.SSLContext] | None


class Named(Record):
    """The certificate for a server name, which may be ``*.example.com``."""

    name: str
    context: ssl.SSLContext


def make_context(
    settings: TLSSettings, certfile: str | os.PathLike[str] | None = None, keyfile: str | os.PathLike[str] | None = None
) -> ssl.SSLContext:
    """The context that the settings ask for, with their certificate or another one; ConfigError names what is wrong."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    set_versions(context, settings)
    # RFC 9113 section 9.2.1 forbids renegotiation, and nobody needs it: it lets a client make us work.
    context.options |= getattr(ssl, "OP_NO_RENEGOTIATION", 0) | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(ALPN)
    if certfile is None:
        certfile, keyfile, named = settings.ssl_certfile, settings.ssl_keyfile, "ssl_certfile"
        if certfile is None:
            raise ConfigError("ssl_certfile: expected the path of a certificate, because ssl_keyfile is given")
    else:
        named = "ssl_sni"
    load_certificate(context, named, os.fspath(certfile), keyfile, settings.ssl_keyfile_password)
    context.verify_mode = ssl.VerifyMode(settings.ssl_cert_reqs)
    if settings.ssl_ca_certs is not None:
        try:
            context.load_verify_locations(settings.ssl_ca_certs)
        except OSError as error:
            raise ConfigError(f"ssl_ca_certs: cannot use {settings.ssl_ca_certs!r}: {reason(error)}") from None
    elif context.verify_mode != ssl.CERT_NONE:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    if settings.ssl_ciphers is not None:
        try:
            context.set_ciphers(settings.ssl_ciphers)
        except ssl.SSLError:
            raise ConfigError(f"ssl_ciphers: OpenSSL knows no cipher of {settings.ssl_ciphers!r}") from None
    return context


def set_versions(context: ssl.SSLContext, settings: TLSSettings) -> None:
    """The versions to speak. ``ssl_version`` is a PROTOCOL constant of ssl's, of which the old ones name a version."""
    context.minimum_version = MINIMUM[settings.ssl_minimum_version]
    fixed = {
        getattr(ssl, "PROTOCOL_TLSv1_2", None): ssl.TLSVersion.TLSv1_2,
        ssl.PROTOCOL_TLS: None,
        ssl.PROTOCOL_TLS_SERVER: None,
    }
    if settings.ssl_version not in fixed:
        raise ConfigError(
            f"ssl_version: expected {int(ssl.PROTOCOL_TLS_SERVER)} (ssl.PROTOCOL_TLS_SERVER), got "
            f"{settings.ssl_version}; versions before TLS 1.2 are not spoken"
        )
    if (only := fixed[settings.ssl_version]) is not None:
        if only < context.minimum_version:
            raise ConfigError("ssl_version: asks for TLS 1.2 only, which ssl_minimum_version excludes")
        context.maximum_version = only


def load_certificate(
    context: ssl.SSLContext,
    named: str,
    certfile: str,
    keyfile: str | os.PathLike[str] | None,
    password: str | None,
) -> None:
    """Put a certificate and its key into a context, and keep its text for the scope."""
    for setting, path in ((named, certfile), ("ssl_keyfile" if named == "ssl_certfile" else named, keyfile)):
        if path is not None:
            try:
                os.close(os.open(path, os.O_RDONLY))
            except OSError as error:
                raise ConfigError(f"{setting}: cannot read {os.fspath(path)!r}: {reason(error)}") from None

    def give_password() -> str:
        # Without this OpenSSL would ask at the terminal.
        if password is None:
            raise ConfigError(f"ssl_keyfile_password: expected a password, the key of {certfile!r} has one")
        return password

    try:
        context.load_cert_chain(certfile, keyfile, give_password)
        with open(certfile, encoding="utf-8", errors="replace") as file:
            context.certificate = first_certificate(file.read())  # type: ignore[attr-defined]
    except ssl.SSLError as error:
        raise ConfigError(
            f"{named}: cannot use the certificate {certfile!r} with its key: {explain(error, password)}"
        ) from None
    except OSError as error:
        raise ConfigError(f"{named}: cannot read {certfile!r}: {reason(error)}") from None


def explain(error: ssl.SSLError, password: str | None) -> str:
    why: str | None = error.reason  # None, whatever its type says, when a file is not of the right form
    match why:
        case "KEY_VALUES_MISMATCH":
            return "the key is not the certificate's"
        case "BAD_DECRYPT" | "BAD_PASSWORD_READ" if password is not None:
            return "the password is not the key's"
        case None if password is not None:  # some versions of OpenSSL do not tell
            return "the password is not the key's, or it is not in PEM form"
        case None:
            return "no certificate and key in PEM form in it"
    return why.lower().replace("_", " ")


def reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


class Certificates:
    """What the connections of a TLS listener are encrypted with.

    ``load()`` reads the files again: open connections keep what they have, new ones get the new. When the files cannot
    be used, the ones before stay. ``changed()`` tells whether a file is another one than at the last load.
    """

    context: ssl.SSLContext

    def __init__(self, settings: TLSSettings) -> None:
        self.settings = settings
        self.named: dict[str, ssl.SSLContext] = {}
        self.seen: dict[str, tuple[int, ...] | None] = {}
        self.suites: dict[str, int] = {}
        self.load()

    def load(self) -> None:
        """Read every file; ConfigError, and no change, when one of them cannot be used."""
        seen = {path: identity(path) for path in self.paths()}
        self.seen = seen  # also when it fails: whoever watches need not try again before the next change
        factory = self.settings.ssl_context_factory
        context = make_context(self.settings) if factory is None else self.call(factory)
        named = {
            name.lower(): make_context(self.settings, certfile, keyfile or certfile)
            for name, certfile, keyfile in self.settings.ssl_sni
        }
        if named:
            context.sni_callback = self.choose
        self.named, self.context = named, context
        self.suites = {
            suite["name"]: suite["id"] & 0xFFFF for one in (context, *named.values()) for suite in one.get_ciphers()
        }

    def call(self, factory: Callable[[Any, Callable[[], ssl.SSLContext]], ssl.SSLContext]) -> ssl.SSLContext:
        context = factory(self.settings, lambda: make_context(self.settings))
        if not isinstance(context, ssl.SSLContext):
            raise ConfigError(f"ssl_context_factory: expected it to return an ssl.SSLContext, got {context!r}")
        return context

    def changed(self) -> bool:
        """Whether a file has been replaced, or written to, since the last load."""
        return any(identity(path) != seen for path, seen in self.seen.items())

    def paths(self) -> list[str]:
        settings = self.settings
        paths = [settings.ssl_certfile, settings.ssl_keyfile, settings.ssl_ca_certs]
        for _, certfile, keyfile in settings.ssl_sni:
            paths += [certfile, keyfile]
        return [path for path in paths if path is not None]

    def choose(self, session: ssl.SSLObject | ssl.SSLSocket, name: str | None, _context: ssl.SSLContext) -> None:
        """OpenSSL's question during a handshake; a name that nobody listed gets the certificate of the settings."""
        if name is None:
            return
        name = name.lower()
        _, _, domain = name.partition(".")
        context = self.named.get(name) or self.named.get(f"*.{domain}")
        if context is not None:
            session.context = context

    def describe(self, session: ssl.SSLObject) -> dict[str, Any]:
        """The ``tls`` extension of the scope (ASGI TLS extension 0.2) for a connection whose handshake is over."""
        cipher = session.cipher()
        context = session.context
        chain: list[str] = []
        name = None
        if context.verify_mode != ssl.CERT_NONE and (certificate := session.getpeercert(binary_form=True)):
            chain = client_chain(session, certificate)
            name = distinguished_name(session.getpeercert() or {})
        return {
            "server_cert": getattr(context, "certificate", None),
            "client_cert_chain": chain,
            "client_cert_name": name,
            "client_cert_error": None,  # OpenSSL ends the handshake over a certificate that is not good
            "tls_version": VERSIONS.get(session.version() or ""),
            "cipher_suite": self.suites.get(cipher[0]) if cipher else None,
        }


class Renewal:
    """Looks now and then whether the certificates have been replaced, as those who renew them do every few weeks."""

    def __init__(self, certificates: Certificates, interval: float | None) -> None:
        """In a running event loop. ``interval``: seconds; 0 or None: only when ``renew()`` is called."""
        self.certificates = certificates
        self.interval = interval
        self.loop = asyncio.get_running_loop()
        self.timer: asyncio.TimerHandle | None = None
        self.wait()

    def wait(self) -> None:
        if self.interval:
            self.timer = self.loop.call_later(self.interval, self.look)

    def look(self) -> None:
        if self.certificates.changed():
            self.renew()
        self.wait()

    def renew(self) -> None:
        """Load the certificates again; one line says that they are, or why they are not."""
        try:
            self.certificates.load()
        except ConfigError as error:
            server_log().error("The certificates are not replaced. %s", error)
        except Exception as error:  # an ssl_context_factory's own; the next look is to come all the same
            server_log().error("The certificates are not replaced\n", exc_info=error)
        else:
            server_log().info("The certificates have been read again.")

    def stop(self) -> None:
        """Look no more."""
        if self.timer is not None:
            self.timer.cancel()


def identity(path: str) -> tuple[int, ...] | None:
    """What changes when a file is replaced or written to; None when it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
