"""Certificates for local receivers, made for these tests with ``openssl ca`` and worth nothing.

``authority`` signed ``good`` (localhost, receiver.example.com, 127.0.0.1), ``other``
(other.example.com) and ``expired`` (ended in 2001); ``selfsigned`` signed itself. All but
``expired`` end in 2126.
"""

from __future__ import annotations

import ssl
from pathlib import Path

FOLDER = Path(__file__).parent / "certificates"


def server_tls(name: str) -> ssl.SSLContext:
    """Return a receiver's side of TLS, with the certificate of that name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FOLDER / f"{name}.pem")
    return context


def client_tls() -> ssl.SSLContext:
    """Return a sender's side of TLS, which trusts ``authority`` alone."""
    return ssl.create_default_context(cafile=str(FOLDER / "authority.pem"))
