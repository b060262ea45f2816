"""Which transport a client gets when it is given none: what the platform has."""

from __future__ import annotations

import importlib.util
import sys

from webhook.client.exchange import AsyncTransport, Transport

_IN_PYODIDE = sys.platform == "emscripten"


def transport_of(url: str) -> Transport:
    """Return a transport that blocks; raises ``RuntimeError`` where nothing can."""
    if _IN_PYODIDE:
        from webhook.client.browser import BrowserTransport  # noqa: PLC0415 - an extra

        return BrowserTransport(url)
    from webhook.client.blocking import UrllibTransport  # noqa: PLC0415 - not for those who await

    return UrllibTransport(url)


def async_transport(url: str) -> AsyncTransport:
    """Return a transport for an event loop."""
    if _IN_PYODIDE:
        from webhook.client.fetch import FetchTransport  # noqa: PLC0415 - not elsewhere

        return FetchTransport()
    if importlib.util.find_spec("aiohttp") is not None:
        from webhook.client.aio import AiohttpTransport  # noqa: PLC0415 - an extra

        return AiohttpTransport(url)
    from webhook.client.threads import ThreadTransport  # noqa: PLC0415 - as above

    return ThreadTransport(transport_of(url))
