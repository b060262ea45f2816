"""Calls a running service over HTTP, for the commands; the standard library alone."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from ipaddress import ip_address
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

import typer

from webhook.cli.terminal import ExitCode, complain, fail, stderr

_TIMEOUT_S = 35.0
_NOT_FOUND = 404
_UNAUTHORIZED = 401


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to wherever it points."""

    def redirect_request(self, *_: object) -> None:
        return None


class Service:
    """A service at a base URL. Its methods end the command with a sentence when a call fails."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            fail(
                f"{url!r} is no URL of a service. Give one like http://127.0.0.1:8787.",
                ExitCode.USAGE,
            )
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if is_loopback(self.url):
            # A proxy would look for the service on its own machine.
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)
        self._token = token

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """Return a GET's answer."""
        return self._call("GET", f"{path}?{urlencode(query)}" if query else path, None)

    def post(self, path: str, body: bytes) -> dict[str, Any]:
        """Return a POST's answer."""
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        request = urllib.request.Request(self.url + path, data=body, method=method)  # noqa: S310 - its scheme is checked above
        request.add_header("Content-Type", "application/json")
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                answer = json.loads(response.read())
        except urllib.error.HTTPError as error:
            _refused(error, self.url, has_token=self._token is not None)
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            fail(
                f"No service answers at {self.url} ({reason}). Is it running? `webhook serve` "
                "starts it; --url or WEBHOOK_URL says where it is.",
                ExitCode.UNREACHABLE,
            )
        except ValueError:
            fail(f"What answers at {self.url} is no webhook service.")
        if not isinstance(answer, dict):
            fail(f"What answers at {self.url} is no webhook service.")
        return answer


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this very machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refused(error: urllib.error.HTTPError, url: str, *, has_token: bool) -> NoReturn:
    """Print a problem document: its sentence, then a line for each field."""
    try:
        problem = json.loads(error.read())
        sentence = f"{problem['detail']}"
        fields = [(field["pointer"], field["detail"]) for field in problem.get("errors", ())]
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError):
        fail(f"{url} answered {error.code} {error.reason}; that is no webhook service.")
    finally:
        error.close()
    complain(sentence)
    lines = [f"{pointer or 'The document'}: {detail}" for pointer, detail in fields]
    for line in lines if lines != [sentence] else ():
        stderr().print(f"  {line}")
    if error.code == _UNAUTHORIZED and not has_token:
        stderr().print("  Give the token that the service printed: --token or WEBHOOK_API_TOKEN.")
    raise typer.Exit(ExitCode.NOT_FOUND if error.code == _NOT_FOUND else ExitCode.FAILED)
