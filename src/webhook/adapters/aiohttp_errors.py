"""Why a request failed, told from the type of the error and never from its text.

``KINDS`` names every exception of aiohttp's client; a test fails when a release adds one.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable

import aiohttp
from aiohttp import client_exceptions as client
from aiohttp.http_exceptions import LineTooLong

from webhook.domain.errors import InvalidInput
from webhook.domain.model import ErrorKind

KINDS: dict[type[BaseException], ErrorKind] = {
    client.ClientError: ErrorKind.NETWORK,
    # Connecting.
    client.ClientConnectionError: ErrorKind.NETWORK,
    client.ClientOSError: ErrorKind.NETWORK,
    client.ClientConnectorError: ErrorKind.NETWORK,
    client.ClientProxyConnectionError: ErrorKind.NETWORK,
    client.UnixClientConnectorError: ErrorKind.NETWORK,
    client.ClientConnectorDNSError: ErrorKind.DNS,
    client.ClientSSLError: ErrorKind.TLS,
    client.ClientConnectorSSLError: ErrorKind.TLS,
    client.ClientConnectorCertificateError: ErrorKind.TLS,
    client.ServerFingerprintMismatch: ErrorKind.TLS,
    # The connection ended.
    client.ClientConnectionResetError: ErrorKind.RESET,
    client.ServerConnectionError: ErrorKind.RESET,
    client.ServerDisconnectedError: ErrorKind.RESET,
    client.UploadAbortedError: ErrorKind.RESET,
    # Time ran out.
    client.ServerTimeoutError: ErrorKind.TIMEOUT,
    client.ConnectionTimeoutError: ErrorKind.TIMEOUT,
    client.SocketTimeoutError: ErrorKind.TIMEOUT,
    # The answer is not what HTTP allows.
    client.ClientResponseError: ErrorKind.PROTOCOL,
    client.ClientHttpProxyError: ErrorKind.NETWORK,
    client.ClientPayloadError: ErrorKind.PROTOCOL,
    client.ContentTypeError: ErrorKind.PROTOCOL,
    client.WSServerHandshakeError: ErrorKind.PROTOCOL,
    client.WSMessageTypeError: ErrorKind.PROTOCOL,
    # Redirects are not followed, so these are about the URL itself.
    client.TooManyRedirects: ErrorKind.REDIRECT,
    client.RedirectClientError: ErrorKind.REDIRECT,
    client.InvalidUrlRedirectClientError: ErrorKind.REDIRECT,
    client.NonHttpUrlRedirectClientError: ErrorKind.REDIRECT,
    client.InvalidURL: ErrorKind.BLOCKED,
    client.InvalidUrlClientError: ErrorKind.BLOCKED,
    client.NonHttpUrlClientError: ErrorKind.BLOCKED,
    # What the operating system says, which Python sorts by errno.
    OSError: ErrorKind.NETWORK,
    ConnectionRefusedError: ErrorKind.REFUSED,
    ConnectionResetError: ErrorKind.RESET,
    ConnectionAbortedError: ErrorKind.RESET,
    BrokenPipeError: ErrorKind.RESET,
    TimeoutError: ErrorKind.TIMEOUT,
    socket.gaierror: ErrorKind.DNS,
    UnicodeError: ErrorKind.DNS,
    ssl.SSLError: ErrorKind.TLS,
    InvalidInput: ErrorKind.BLOCKED,
}

# The codes of X509_V_ERR_* (OpenSSL, x509_vfy.h) that a person can act upon.
_CERTIFICATE = {
    9: "certificate is not valid yet",
    10: "certificate expired",
    18: "certificate is self-signed",
    19: "certificate's issuer is self-signed and not trusted",
    20: "certificate's issuer is not trusted",
    21: "certificate's issuer is not trusted",
    23: "certificate is revoked",
    62: "certificate is for another host",
    64: "certificate is for another address",
}


class BlockedAddressError(OSError):
    """A name has an address that the rules forbid. ``problem`` says what it is."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class AnswerTooLargeError(aiohttp.ClientPayloadError):
    """An answer went on for longer than is read of any."""


KINDS[BlockedAddressError] = ErrorKind.BLOCKED
KINDS[AnswerTooLargeError] = ErrorKind.PROTOCOL


def explain(error: BaseException, host: str) -> tuple[ErrorKind, str]:
    """Return kind and sentence for what went wrong; ``host`` is all the URL it may show."""
    root = _root(error)
    kind = next((KINDS[cls] for cls in type(root).__mro__ if cls in KINDS), ErrorKind.NETWORK)
    return kind, _SENTENCES.get(kind, _network)(root, host)


def _root(error: BaseException) -> BaseException:
    """Return the error inside an aiohttp error where that one knows more."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return error.certificate_error
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return error
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error
    if isinstance(error, aiohttp.ClientOSError):
        cause = error.__cause__
        # OSError makes the subclass that belongs to the errno.
        return cause if isinstance(cause, OSError) else OSError(error.errno, error.strerror)
    return error


def _blocked(root: BaseException, host: str) -> str:
    if isinstance(root, BlockedAddressError):
        # Not which address: names inside the operator's network are not the tenant's to look up.
        return f"blocked: {host} resolves to {root.problem}"
    if isinstance(root, InvalidInput) and root.errors:
        return f"blocked: {root.errors[0].detail}"
    return "blocked: the URL is not one that can be sent to"


def _dns(root: BaseException, host: str) -> str:
    again = isinstance(root, socket.gaierror) and root.errno == socket.EAI_AGAIN
    return f"DNS: {'no answer' if again else 'no address'} for {host}"


def _refused(_root: BaseException, host: str) -> str:
    return f"connection refused by {host}"


def _reset(root: BaseException, host: str) -> str:
    if isinstance(root, aiohttp.ServerDisconnectedError):
        return f"connection closed by {host} without an answer"
    return f"connection reset by {host}"


def _timeout(_root: BaseException, host: str) -> str:
    return f"timeout: no connection to {host}"


def _tls(root: BaseException, _host: str) -> str:
    # Errors that Python makes, and not OpenSSL, lack both attributes.
    if isinstance(root, ssl.SSLCertVerificationError):
        code = getattr(root, "verify_code", 0)
        return f"TLS: {_CERTIFICATE.get(code, f'certificate refused (code {code})')}"
    reason: str | None = getattr(root, "reason", None)
    return "TLS: handshake failed" + (f" ({reason.lower().replace('_', ' ')})" if reason else "")


def _protocol(root: BaseException, _host: str) -> str:
    if isinstance(root, AnswerTooLargeError):
        return "protocol: the answer is too large"
    if isinstance(root, aiohttp.ClientPayloadError):
        return "protocol: the body ended early"
    if isinstance(root.__cause__, LineTooLong):
        return "protocol: the answer's headers are too large"
    return "protocol: the answer is not valid HTTP, or its headers are too large"


def _network(root: BaseException, _host: str) -> str:
    if isinstance(root, aiohttp.ClientProxyConnectionError):
        return "network: no connection to the proxy"
    if isinstance(root, aiohttp.ClientHttpProxyError):
        return f"network: the proxy refused with {root.status}"
    if isinstance(root, OSError) and root.errno:
        return f"network: {os.strerror(root.errno).lower()}"
    return f"network: {type(root).__name__}"


_SENTENCES: dict[ErrorKind, Callable[[BaseException, str], str]] = {
    ErrorKind.BLOCKED: _blocked,
    ErrorKind.DNS: _dns,
    ErrorKind.REFUSED: _refused,
    ErrorKind.RESET: _reset,
    ErrorKind.TIMEOUT: _timeout,
    ErrorKind.TLS: _tls,
    ErrorKind.PROTOCOL: _protocol,
    ErrorKind.NETWORK: _network,
}
