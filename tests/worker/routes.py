"""What the receiver answers that the tests inside workerd send to: the path says."""

from __future__ import annotations

import asyncio

from tests.hostile import TenGigabytes, drips, never_answers, not_http, resets, resets_after
from tests.receiver import Answer, Reply, Request


class _Drip:
    """Drips, and knows to how many clients it is still dripping."""

    def __init__(self) -> None:
        self.active = 0

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.active += 1
        try:
            await drips()(request, writer)
        finally:
            self.active -= 1


_drip = _Drip()
_REPLIES: dict[str, Reply] = {
    "/ok": Answer(200, body=b"thanks"),
    "/empty": 204,
    "/gone": 410,
    "/busy": Answer(503, [("Retry-After", "7")]),
    "/moved": Answer(301, [("Location", "https://elsewhere.example/secret-path")]),
    "/never": never_answers,
    "/huge": TenGigabytes(),
    "/drip": _drip,
    "/reset": resets,
    "/reset-in-body": resets_after(),
    "/not-http": not_http,
}


def answer(request: Request) -> Reply:
    """Return the answer to a request; an unknown path is not found."""
    if request.path == "/dripping":
        return Answer(200, body=str(_drip.active).encode())
    if request.path == "/echo":
        echo = f"{request.headers.get('x-custom')}|{request.body.hex()}"
        return Answer(200, body=echo.encode())
    return _REPLIES.get(request.path, 404)
