"""Calls of other Workers over a service binding: no HTTP, no token.

Who is calling stands in the binding's ``props``: the ``tenant`` that its calls are confined to, and
its ``scopes``. Each call runs the API's own operation, so that values are checked and shown in one
way; secrets do not cross it, since no method asks for them.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from webhook.adapters.cloudflare.rejected import Rejected
from webhook.api import SCOPE_KEY, RequestContext
from webhook.domain.event import TENANT_DEFAULT
from webhook.worker.handlers import WorkerService, app

SCOPES_DEFAULT = ("emit", "read")
_TOKEN = "service binding"  # noqa: S105 - the call never leaves the process
_FAILED = 400
_log = logging.getLogger("webhook.rpc")


class RpcError(Exception):
    """The call was refused; the message says why, field by field."""


type _Method = Callable[..., Awaitable[Any]]


def _told(method: _Method) -> _Method:
    """Let the caller know why its call was refused, and of a fault of ours that there was one."""

    @functools.wraps(method)
    async def call(*args: Any) -> Any:
        try:
            return await method(*args)
        except RpcError as error:
            return Rejected(str(error))
        except Exception:  # noqa: BLE001 - whatever it is, the caller sees no traceback
            _log.exception("a call failed")
            return Rejected("Internal error: the log of the service has it.")

    return call


class Caller:
    """One calling Worker, confined to its tenant and scopes."""

    def __init__(self, env: Any, ctx: Any) -> None:
        props = getattr(ctx, "props", None)
        self._env = env
        self._ctx = ctx
        tenant, scopes = getattr(props, "tenant", None), getattr(props, "scopes", None)
        self._tenant = TENANT_DEFAULT if tenant is None else str(tenant)
        self._scopes = frozenset(SCOPES_DEFAULT if scopes is None else (str(s) for s in scopes))

    @_told
    async def emit(self, event: Any) -> Any:
        """Accept one event of the caller's tenant."""
        return await self._post_events(self._own(event))

    @_told
    async def emit_many(self, events: Any) -> Any:
        """Accept a batch, all or nothing."""
        if not isinstance(events, list):
            raise RpcError("Some fields are wrong: emit_many takes an array of events.")
        return (await self._post_events({"events": [self._own(event) for event in events]}))[
            "events"
        ]

    @_told
    async def get_event(self, event_id: Any) -> Any:
        """Return one event."""
        return await self._get(f"/v1/events/{_segment(event_id)}")

    @_told
    async def list_deliveries(self, query: Any = None) -> Any:
        """Return one page of deliveries; ``query`` as the API's parameters."""
        return await self._get("/v1/deliveries", query)

    @_told
    async def get_delivery(self, delivery_id: Any) -> Any:
        """Return one delivery with its attempts."""
        return await self._get(f"/v1/deliveries/{_segment(delivery_id)}")

    @_told
    async def list_endpoints(self, query: Any = None) -> Any:
        """Return one page of endpoints; ``query`` as the API's parameters."""
        return await self._get("/v1/endpoints", query)

    def _own(self, given: Any) -> Any:
        """Return an event, or the parameters of a list, as those of the caller's tenant."""
        if not isinstance(given, Mapping):
            return given  # the API says what is wrong with it
        if given.get("tenant", self._tenant) != self._tenant:
            raise RpcError(f"Not allowed: /tenant: This binding is for {self._tenant} only.")
        return {**given, "tenant": self._tenant}

    async def _post_events(self, value: Any) -> Any:
        self._check_scope("emit")
        try:
            body = json.dumps(value, default=_plain).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise RpcError(f"Some fields are wrong: {error}") from None
        return await self._call("POST", "/v1/events", body=body)

    async def _get(self, path: str, query: Any = None) -> Any:
        self._check_scope("read")
        if query is not None and not isinstance(query, Mapping):
            raise RpcError("Some fields are wrong: the query is an object of parameters.")
        asked = self._own(query or {})
        text = urlencode({name: value for name, value in asked.items() if value is not None})
        return await self._call("GET", path, query=text)

    def _check_scope(self, scope: str) -> None:
        if scope not in self._scopes:
            raise RpcError(f"Not allowed: This binding has not the scope {scope}.")

    async def _call(self, method: str, path: str, *, query: str = "", body: bytes = b"") -> Any:
        """Run one operation of the API in this process and return what it answers."""
        status, answer = await self._run(method, path, query, body)
        if status >= _FAILED:
            raise RpcError(_sentence(answer))
        return answer

    async def _run(self, method: str, path: str, query: str, body: bytes) -> tuple[int, Any]:
        status, parts = 0, bytearray()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            parts.extend(message.get("body", b""))

        context = RequestContext(
            service=WorkerService(self._env), wait_until=self._ctx.waitUntil, token=_TOKEN
        )
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "root_path": "",
            "headers": [
                (b"authorization", f"Bearer {_TOKEN}".encode()),
                (b"content-type", b"application/json"),
            ],
            SCOPE_KEY: context,
        }
        await app(scope, receive, send)
        return status, json.loads(parts or b"null")


def _sentence(problem: Mapping[str, Any]) -> str:
    fields = "; ".join(f"{e['pointer'] or 'The value'}: {e['detail']}" for e in problem["errors"])
    return f"{problem['title']}: {fields or problem['detail']}"


def _segment(value: Any) -> str:
    """Return an id as one segment of a path, which is given to the API decoded."""
    return str(value).replace("/", "%2F")


def _plain(value: Any) -> Any:
    """Return what JSON has no word for as text; a JavaScript Date arrives as a naive UTC time."""
    if isinstance(value, datetime):
        return value.isoformat() + ("Z" if value.tzinfo is None else "")
    raise TypeError(f"{type(value).__name__} is no JSON")
