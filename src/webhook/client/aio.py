"""Sends with aiohttp, which the extras ``sender`` and ``server`` bring."""

from __future__ import annotations

import ssl

import aiohttp

from webhook.client.errors import Unreachable
from webhook.client.exchange import HttpRequest, HttpResponse
from webhook.client.loopback import is_loopback


class AiohttpTransport:
    """Connections that are kept open, through the proxies of the environment, if any."""

    def __init__(self, url: str) -> None:
        # A proxy would look for the service on its own machine.
        self._proxies = not is_loopback(url)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: HttpRequest) -> HttpResponse:
        """See ``AsyncTransport``."""
        if self._session is None:
            # Here, since it belongs to the loop that runs.
            self._session = aiohttp.ClientSession(trust_env=self._proxies)
        try:
            async with self._session.request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body,
                timeout=aiohttp.ClientTimeout(request.timeout_s),
                # A redirect would carry the token to wherever it points.
                allow_redirects=False,
                # Else it says of no body that it is bytes, which the service refuses.
                skip_auto_headers=["content-type"],
            ) as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return HttpResponse(answer.status, headers, await answer.read())
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(str(error.os_error), sent=False) from error
        except (aiohttp.ClientError, OSError, ssl.SSLError) as error:
            raise Unreachable(str(error) or type(error).__name__, sent=True) from error

    async def close(self) -> None:
        """See ``AsyncTransport``."""
        if self._session is not None:
            await self._session.close()
