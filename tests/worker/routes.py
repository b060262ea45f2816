"""What the receiver answers that the tests inside workerd send to: the path says."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.doh import answer_dns
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
_REPLIES |= {f"/flood/{name}": flood for name, flood in _FLOODS.items()}
_counts: Counter[str] = Counter()


def _echo(request: Request) -> Reply:
    echo = f"{request.headers.get('x-custom')}|{request.body.hex()}"
    return Answer(200, body=echo.encode())


def _told(request: Request) -> Reply:
    """Tell what became of other requests: ``/count/PATH``, ``/sent/FLOOD``, ``/dripping``."""
    what, _, name = request.path[1:].partition("/")
    if what == "count":
        told = f"{_counts['/' + name]}"
    elif what == "sent":
        told = f"{_FLOODS[name].sent} {_FLOODS[name].active}"
    else:
        told = f"{_drip.active}"
    return Answer(200, body=told.encode())


_ANSWERED = {
    "dns-query": answer_dns,
    "echo": _echo,
    "count": _told,
    "sent": _told,
    "dripping": _told,
}


def answer(request: Request) -> Reply:
    """Return the answer to a request; an unknown path is not found."""
    _counts[request.path] += 1
    if (answered := _ANSWERED.get(request.path.split("/")[1])) is not None:
        return answered(request)
    return _REPLIES.get(request.path, 404)
