"""One row of the API's table, of which both the routes and the OpenAPI document are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive

from webhook.api.caller import Caller
from webhook.api.context import RequestContext
from webhook.api.problems import Problem
from webhook.domain.access import Scope

JSON = "application/json"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way to a handler; the body is still to be read."""

    context: RequestContext
    headers: Mapping[bytes, bytes]
    raw_headers: list[tuple[bytes, bytes]]
    query_string: bytes
    receive: Receive
    id: str
    caller: Caller
    request_id: str


class NoQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No query parameters at all; checked before the handler is called."""


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method of a path.

    ``query`` and ``body`` are the structs that validate, so that the document tells the truth;
    several types of ``body`` or ``answer`` are alternatives, none is no content; ``other_answer``
    is another good one: its status, its types and what it is. ``headers`` are
    those that it takes, ``problems`` what may go wrong beside what can with all of its kind.
    ``scope`` is what the caller's token needs, None that no token is asked for; what concerns the
    ``whole`` service is refused to tokens that are bound to a tenant.
    """

    method: str
    path: str
    name: str
    scope: Scope | None
    summary: str
    description: str
    handler: Handler
    status: int
    answer: tuple[Any, ...]
    answer_description: str
    answer_media_type: str = JSON
    other_answer: tuple[int, tuple[Any, ...], str] | None = None
    query: type[msgspec.Struct] = NoQuery
    body: tuple[type[msgspec.Struct], ...] = ()
    headers: Mapping[str, str] = MappingProxyType({})
    problems: tuple[Problem, ...] = ()
    whole: bool = False
    example: str | None = None


def answer(status: int, value: object) -> Response:
    """Return a view as JSON."""
    return Response(_encode(value), status, media_type=JSON)
