"""Certificates as the scope shows them: PEM text, and the name of whom they are for."""

from __future__ import annotations

import ssl
from typing import Any

__all__ = ["client_chain", "distinguished_name", "first_certificate"]

PEM = 1  # ssl's constant for the encoding has no public name
# RFC 4514 section 3: the names of attributes in the text of a distinguished name.
SHORT = {
    "commonName": "CN", "localityName": "L", "stateOrProvinceName": "ST", "organizationName": "O",
    "organizationalUnitName": "OU", "countryName": "C", "streetAddress": "STREET", "domainComponent": "DC",
    "userId": "UID",
}  # fmt: skip


def first_certificate(text: str) -> str | None:
    """The PEM block of the server's own certificate, which comes first in its chain."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    start = text.find(begin)
    stop = text.find(end, start)
    return text[start : stop + len(end)] + "\n" if 0 <= start < stop else None


def client_chain(session: ssl.SSLObject, certificate: bytes) -> list[str]:
    """The client's certificate and those it sent along, as PEM, its own first."""
    if hasattr(session, "get_unverified_chain"):  # 3.13
        return [ssl.DER_cert_to_PEM_cert(der) for der in session.get_unverified_chain()]
    raw: Any = getattr(session, "_sslobj", None)
    if hasattr(raw, "get_unverified_chain"):
        return [entry.public_bytes(PEM) for entry in raw.get_unverified_chain() or ()]
    return [ssl.DER_cert_to_PEM_cert(certificate)]


def distinguished_name(certificate: dict[str, Any]) -> str | None:
    """A certificate's subject as RFC 4514 writes it: the last part first."""
    parts = [
        "+".join(f"{SHORT.get(kind, kind)}={escape(value)}" for kind, value in part)
        for part in reversed(certificate.get("subject", ()))
    ]
    return ",".join(parts) or None


def escape(value: str) -> str:
    """A value of a distinguished name (RFC 4514 section 2.4)."""
    text = "".join("\\" + one if one in '"+,;<>\\' else "\\00" if one == "\0" else one for one in value)
    if text.startswith((" ", "#")):
        text = "\\" + text
    if text.endswith(" ") and len(value) > 1:
        text = text[:-1] + "\\ "
    return text
