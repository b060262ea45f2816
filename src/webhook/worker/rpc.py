"""Calls of other Workers over a service binding: no HTTP, no token.

Who is calling stands in the binding's ``props``: the ``tenant`` that its calls are confined to, and
its ``scopes``. Each call runs the API's own operation, so that values are checked and shown in one
way; secrets do not cross it, since no method asks for them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from webhook.api import SCOPE_KEY, RequestContext
from webhook.domain.event import TENANT_DEFAULT
from webhook.worker.handlers import WorkerService, app

SCOPES_DEFAULT = ("emit", "read")
_TOKEN = "service binding"  # noqa: S105 - the call never leaves the process
_FAILED = 400


class RpcError(Exception):
    """The call was refused; the message says why, field by field."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        fields = (f"{e['pointer']}: {e['detail']}" for e in problem.get("errors", ()))
        super().__init__("; ".join([f"{problem['title']}: {problem['detail']}", *fields]))
        self.problem = dict(problem)


class Caller:
    """One calling Worker, confined to its tenant and scopes."""

    def __init__(self, env: Any, ctx: Any) -> None:
        props = getattr(ctx, "props", None)
        self._env = env
        self._ctx = ctx
        self._tenant = str(getattr(props, "tenant", None) or TENANT_DEFAULT)
        scopes = getattr(props, "scopes", None)
        self._scopes = frozenset(SCOPES_DEFAULT if scopes is None else (str(s) for s in scopes))

    async def emit(self, event: Mapping[str, Any]) -> Any:
        """Accept one event of the caller's tenant."""
        return await self._call("emit", "POST", "/v1/events", body=self._own(event))

    async def emit_many(self, events: list[Mapping[str, Any]]) -> Any:
        """Accept a batch, all or nothing."""
        body = {"events": [self._own(event) for event in events]}
        return (await self._call("emit", "POST", "/v1/events", body=body))["events"]

    async def get_event(self, event_id: str) -> Any:
        """Return one event."""
        return await self._call("read", "GET", f"/v1/events/{quote(event_id, safe='')}")

    async def list_deliveries(self, query: Mapping[str, Any] | None = None) -> Any:
        """Return one page of deliveries; ``query`` as the API's parameters."""
        return await self._call("read", "GET", "/v1/deliveries", query=query)

    async def get_delivery(self, delivery_id: str) -> Any:
        """Return one delivery with its attempts."""
        return await self._call("read", "GET", f"/v1/deliveries/{quote(delivery_id, safe='')}")

    async def list_endpoints(self, query: Mapping[str, Any] | None = None) -> Any:
        """Return one page of endpoints; ``query`` as the API's parameters."""
        return await self._call("read", "GET", "/v1/endpoints", query=query)

    def _own(self, event: Any) -> Any:
        if not isinstance(event, Mapping):
            return event  # the API says what is wrong with it
        if event.get("tenant", self._tenant) != self._tenant:
            raise RpcError(
                {"title": "Not allowed", "detail": f"This binding emits for {self._tenant} only."}
            )
        return {**event, "tenant": self._tenant}

    async def _call(
        self,
        scope: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
    ) -> Any:
        """Run one operation of the API in this process and return what it answers."""
        if scope not in self._scopes:
            raise RpcError(
                {"title": "Not allowed", "detail": f"This binding has not the scope {scope}."}
            )
        asked = dict(query or {})
        if method == "GET":
            asked["tenant"] = self._tenant
        status, answer = await self._run(method, path, urlencode(asked), _encoded(body))
        if status >= _FAILED:
            raise RpcError(answer)
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


def _encoded(body: Any) -> bytes:
    return b"" if body is None else json.dumps(body, default=_plain).encode()


def _plain(value: Any) -> Any:
    """Return what JSON has no word for as text; a JavaScript Date arrives as a naive UTC time."""
    if isinstance(value, datetime):
        return value.isoformat() + ("Z" if value.tzinfo is None else "")
    raise TypeError(f"{type(value).__name__} is no JSON")
