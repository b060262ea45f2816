"""What the receiver answers that the tests inside workerd send to: the path says."""

from __future__ import annotations

import asyncio

from tests.hostile import (
    TenGigabytes,
    drips,
    drips_headers,
    floods,
    garbled,
    gzip_bomb,
    huge_header,
    many_headers,
    never_answers,
    not_http,
    resets,
    resets_after,
    writes,
)
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
    "/drip-headers": drips_headers,
    "/many-headers": many_headers(),
    "/huge-header": huge_header(),
    "/gzip-bomb": gzip_bomb(20),
    "/around": Answer(301, [("Location", "/around")]),
    **{f"/garbled/{name}": writes(answer) for name, answer in garbled().items()},
}
_FLOODS = floods()


def answer(request: Request) -> Reply:
    """Return the answer to a request; an unknown path is not found."""
    if request.path == "/dripping":
        return Answer(200, body=str(_drip.active).encode())
    if request.path.startswith("/flood/"):
        return _FLOODS[request.path.removeprefix("/flood/")]
    if request.path.startswith("/sent/"):
        flood = _FLOODS[request.path.removeprefix("/sent/")]
        return Answer(200, body=f"{flood.sent} {flood.active}".encode())
    if request.path == "/echo":
        echo = f"{request.headers.get('x-custom')}|{request.body.hex()}"
        return Answer(200, body=echo.encode())
    return _REPLIES.get(request.path, 404)
