"""Blocks inside a browser's Pyodide, by ``pyodide-http``: the extra ``browser``."""

from __future__ import annotations

from pyodide.ffi import JsException

from webhook.client.blocking import UrllibTransport
from webhook.client.errors import Unreachable
from webhook.client.exchange import HttpRequest, HttpResponse


class BrowserTransport(UrllibTransport):
    """``urllib`` over the browser's XMLHttpRequest, for which it is patched as a whole."""

    def __init__(self, url: str) -> None:
        import js  # noqa: PLC0415 - exists beside JavaScript only

        if not hasattr(js, "XMLHttpRequest"):
            raise RuntimeError("Nothing can block here but in a browser: use AsyncClient.")
        import pyodide_http  # noqa: PLC0415 - an extra

        pyodide_http.patch_urllib()
        super().__init__(url)

    def send(self, request: HttpRequest) -> HttpResponse:
        """See ``Transport``."""
        try:
            return super().send(request)
        except JsException as error:
            # What it was, a browser tells no script.
            raise Unreachable(f"{error}".splitlines()[0], sent=True) from error
