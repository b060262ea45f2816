"""Sends with the standard library; in a browser's Pyodide through ``pyodide-http``."""

from __future__ import annotations

import http.client
import socket
import urllib.error
import urllib.request

from webhook.client.errors import Unreachable
from webhook.client.exchange import HttpRequest, HttpResponse
from webhook.client.loopback import is_loopback


class _FollowsNothing(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to wherever it points."""

    def redirect_request(self, *_: object) -> None:
        return None


class UrllibTransport:
    """A connection for each request, through the proxies of the environment, if any."""

    def __init__(self, url: str) -> None:
        handlers: list[urllib.request.BaseHandler] = [_FollowsNothing()]
        if is_loopback(url):
            # A proxy would look for the service on its own machine.
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def send(self, request: HttpRequest) -> HttpResponse:
        """See ``Transport``."""
        # Its scheme was checked when the client was made.
        asked = urllib.request.Request(  # noqa: S310
            request.url, request.body, dict(request.headers), method=request.method
        )
        try:
            try:
                answer = self._opener.open(asked, timeout=request.timeout_s)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return HttpResponse(answer.status, headers, answer.read())
        except urllib.error.URLError as error:
            unsent = isinstance(error.reason, ConnectionRefusedError | socket.gaierror)
            raise Unreachable(str(error.reason), sent=not unsent) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(str(error) or type(error).__name__, sent=True) from error

    def close(self) -> None:
        """See ``Transport``."""
