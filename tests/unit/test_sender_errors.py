"""Every way in which aiohttp can fail has a kind and a sentence of ours, told from its type."""

from __future__ import annotations

import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp import client_exceptions, http_exceptions
from aiohttp.client_reqrep import ConnectionKey

from webhook.adapters.aiohttp_errors import (
    KINDS,
    AnswerTooLargeError,
    BlockedAddressError,
    explain,
)
from webhook.domain.errors import InvalidInput
from webhook.domain.model import ErrorKind

HOST = "hooks.example.com"
KEY = ConnectionKey(HOST, 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None,
                    proxy_headers_hash=None)  # fmt: skip

CLIENT_EXCEPTIONS = [
    found
    for name, found in vars(client_exceptions).items()
    if isinstance(found, type)
    and issubclass(found, Exception)
    and found.__module__ == client_exceptions.__name__
    and not name.startswith("_")
]


def test_the_list_of_exceptions_is_not_empty_by_mistake() -> None:
    assert aiohttp.ClientConnectorError in CLIENT_EXCEPTIONS
    assert len(CLIENT_EXCEPTIONS) > 20


@pytest.mark.parametrize("exception", CLIENT_EXCEPTIONS, ids=lambda cls: cls.__name__)
def test_every_exception_of_aiohttps_client_has_a_kind_of_its_own(
    exception: type[Exception],
) -> None:
    assert exception in KINDS


def connector(cause: OSError) -> aiohttp.ClientConnectorError:
    return aiohttp.ClientConnectorError(KEY, cause)


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def bad_certificate(code: int) -> Exception:
    inner = ssl.SSLCertVerificationError(1, "certificate verify failed")
    inner.verify_code = code
    return aiohttp.ClientConnectorCertificateError(KEY, inner)


def tls_alert() -> ssl.SSLError:
    error = ssl.SSLError(1, "[SSL] alert")
    error.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    return error


REQUEST = aiohttp.RequestInfo(None, "POST", None)  # type: ignore[arg-type] # no URL is needed
BAD_HTTP = aiohttp.ClientResponseError(REQUEST, ())


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (connector(OSError(errno.ECONNREFUSED, "x")), "refused", f"connection refused by {HOST}"),
        (connector(OSError(errno.ECONNRESET, "x")), "reset", f"connection reset by {HOST}"),
        (connector(OSError(errno.ETIMEDOUT, "x")), "timeout", f"timeout: no connection to {HOST}"),
        (connector(OSError(errno.EHOSTUNREACH, "x")), "network", "network: no route to host"),
        (connector(OSError("Multiple exceptions: x")), "network", "network: OSError"),
        (aiohttp.ClientOSError(errno.EPIPE, "x"), "reset", f"connection reset by {HOST}"),
        (aiohttp.ClientOSError(errno.ECONNRESET, "x"), "reset", f"connection reset by {HOST}"),
        (
            # 1 is EPERM as an errno, but this is OpenSSL's number.
            caused(aiohttp.ClientOSError(1, "[SSL] alert"), tls_alert()),
            "tls",
            "TLS: handshake failed (tlsv13 alert certificate required)",
        ),
        (
            aiohttp.ServerDisconnectedError(),
            "reset",
            f"connection closed by {HOST} without an answer",
        ),
        (
            aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(socket.EAI_NONAME, "x")),
            "dns",
            f"DNS: no address for {HOST}",
        ),
        (
            aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(socket.EAI_AGAIN, "x")),
            "dns",
            f"DNS: no answer for {HOST}",
        ),
        (
            aiohttp.ClientConnectorDNSError(KEY, BlockedAddressError("a loopback address")),
            "blocked",
            f"blocked: {HOST} resolves to a loopback address",
        ),
        (bad_certificate(10), "tls", "TLS: certificate expired"),
        (bad_certificate(18), "tls", "TLS: certificate is self-signed"),
        (bad_certificate(62), "tls", "TLS: certificate is for another host"),
        (bad_certificate(99), "tls", "TLS: certificate refused (code 99)"),
        (
            aiohttp.ClientConnectorSSLError(KEY, ssl.SSLZeroReturnError()),
            "tls",
            "TLS: handshake failed",
        ),
        (aiohttp.ClientPayloadError(), "protocol", "protocol: the body ended early"),
        (AnswerTooLargeError(), "protocol", "protocol: the answer is too large"),
        (
            BAD_HTTP,
            "protocol",
            "protocol: the answer is not valid HTTP, or its headers are too large",
        ),
        (
            caused(
                aiohttp.ClientResponseError(REQUEST, ()), http_exceptions.LineTooLong(b"x", 8190)
            ),
            "protocol",
            "protocol: the answer's headers are too large",
        ),
        (
            InvalidInput.at("/url", "The host is a private address."),
            "blocked",
            "blocked: The host is a private address.",
        ),
        (
            aiohttp.InvalidURL("https://x/secret"),
            "blocked",
            "blocked: the URL is not one that can be sent to",
        ),
        (RuntimeError("secret"), "network", "network: RuntimeError"),
    ],
)
def test_an_error_is_told_by_kind_and_sentence(error: Exception, kind: str, sentence: str) -> None:
    assert explain(error, HOST) == (ErrorKind(kind), sentence)
