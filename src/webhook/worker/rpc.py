"""Calls of other Workers over a service binding: no HTTP, no token.

Who is calling stands in the binding's ``props``: a ``name`` for the audit log, the ``tenant`` that
its calls are confined to, and its ``scopes``. Each call runs the API's own operation as that
caller, so that values are checked and shown in one way; secrets do not cross it, since no method
asks for them and no binding may.
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
from webhook.api.caller import Caller as ApiCaller
from webhook.domain.access import Scope
from webhook.domain.event import TENANT_DEFAULT
from webhook.worker.handlers import WorkerService, app

SCOPES_DEFAULT = (Scope.EMIT, Scope.READ)
# Whatever stands in the props.
SCOPES_MAX = frozenset({Scope.EMIT, Scope.READ, Scope.MANAGE})
_FAILED = 400
_NAME_CHARS_MAX = 64
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
        name, tenant = getattr(props, "name", None), getattr(props, "tenant", None)
        scopes = getattr(props, "scopes", None)
        self._caller = ApiCaller(
            name="rpc" if name is None else f"rpc:{str(name)[:_NAME_CHARS_MAX]}",
            tenant=TENANT_DEFAULT if tenant is None else str(tenant),
            scopes=SCOPES_MAX & set(SCOPES_DEFAULT if scopes is None else map(str, scopes)),
        )

    @_told
    async def emit(self, event: Any) -> Any:
        """Accept one event of the caller's tenant."""
        return await self._post_events(event)

    @_told
    async def emit_many(self, events: Any) -> Any:
        """Accept a batch, all or nothing."""
        if not isinstance(events, list):
            raise RpcError("Some fields are wrong: emit_many takes an array of events.")
        return (await self._post_events({"events": events}))["events"]

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

    async def _post_events(self, value: Any) -> Any:
        try:
            body = json.dumps(value, default=_plain).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise RpcError(f"Some fields are wrong: {error}") from None
        return await self._call("POST", "/v1/events", body=body)

    async def _get(self, path: str, query: Any = None) -> Any:
        if query is not None and not isinstance(query, Mapping):
            raise RpcError("Some fields are wrong: the query is an object of parameters.")
        given = (query or {}).items()
        text = urlencode({name: value for name, value in given if value is not None})
        return await self._call("GET", path, query=text)

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
            service=WorkerService(self._env), wait_until=self._ctx.waitUntil, caller=self._caller
        )
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"content-type", b"application/json")],
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
