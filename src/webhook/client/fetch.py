"""Sends with JavaScript's ``fetch``: in a Python Worker, a browser's Pyodide, or Node's."""

from __future__ import annotations

from typing import Any

from webhook.client.errors import Unreachable
from webhook.client.exchange import HttpRequest, HttpResponse


class FetchTransport:
    """``fetch``, or that of a service binding: ``FetchTransport(self.env.WEBHOOK.fetch)``."""

    def __init__(self, fetch: Any = None) -> None:  # noqa: ANN401 - JavaScript's functions
        self._fetch = fetch

    async def send(self, request: HttpRequest) -> HttpResponse:
        """See ``AsyncTransport``."""
        import js  # noqa: PLC0415 - exists beside JavaScript only
        from pyodide.ffi import JsException, to_js  # noqa: PLC0415 - likewise

        options: dict[str, Any] = {
            "method": request.method,
            "headers": dict(request.headers),
            # A redirect would carry the token to wherever it points.
            "redirect": "manual",
            "signal": js.AbortSignal.timeout(round(request.timeout_s * 1000)),
        }
        if request.body is not None:
            options["body"] = request.body
        given = to_js(options, dict_converter=js.Object.fromEntries)
        try:
            answer = await (self._fetch or js.fetch)(request.url, given)
            body = (await answer.arrayBuffer()).to_bytes()
        except (JsException, OSError) as error:
            what = (str(error).splitlines() or [type(error).__name__])[0]
            raise Unreachable(what, sent=True) from error
        # Whatever their case was, JavaScript gives them in lower case.
        headers = {pair[0]: pair[1] for pair in answer.headers}
        return HttpResponse(int(answer.status), headers, body)

    async def close(self) -> None:
        """See ``AsyncTransport``."""
