"""``create_app``: the routes of the table, behind one boundary that no exception passes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webhook.api import (
    access,
    deliveries,
    endpoints,
    event_types,
    events,
    health,
    recoveries,
    secrets,
    sending,
    tenants,
)
from webhook.api.auth import ApiSettings, Guard
from webhook.api.caller import NOBODY, Caller
from webhook.api.context import BUSY_KEY, SCOPE_KEY, RequestContext
from webhook.api.documentation import documented
from webhook.api.errors import ClientGone, MethodNotAllowed, NoSuchPath, ServiceBusy
from webhook.api.incoming import Incoming
from webhook.api.operation import Call, NoQuery, Operation
from webhook.api.problems import problem_response
from webhook.api.query import parse_query
from webhook.api.request_id import HEADER, REQUEST_ID, request_id_of
from webhook.domain.access import Actor
from webhook.domain.errors import WebhookError
from webhook.engine.access import acting
from webhook.engine.service import WebhookService
from webhook.ports import Clock

OPERATIONS = documented(
    *events.OPERATIONS,
    *event_types.OPERATIONS,
    *endpoints.OPERATIONS,
    *secrets.OPERATIONS,
    *deliveries.OPERATIONS,
    *sending.OPERATIONS,
    *recoveries.OPERATIONS,
    *access.OPERATIONS,
    *tenants.OPERATIONS,
    *health.OPERATIONS,
)
_log = logging.getLogger("webhook.api")
_REQUEST_ID_HEADER = HEADER.lower().encode()
# What all answers have. None lets pages of other origins in: there is no CORS.
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
# What is no page has nothing to load, nor to be framed by.
_NO_PAGE = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


def create_app(
    settings: ApiSettings | None = None,
    service: WebhookService | None = None,
    *,
    clock: Clock | None = None,
) -> Starlette:
    """Make the API for the server, or for a Worker to keep for all its requests.

    Without ``settings`` they must come with each request's context. ``service`` answers the
    requests whose scope holds no ``RequestContext``; ``clock`` is what tokens are timed by. Nothing
    here reads a clock, draws lots or holds on to a request, so it may be called while a Worker
    starts.
    """
    context = None if service is None else RequestContext(service)
    app = Starlette(
        routes=_routes(OPERATIONS, settings or ApiSettings(), context, Guard(clock)),
        middleware=[Middleware(_Boundary)],
        exception_handlers={HTTPException: _no_such_path, WebhookError: _problem},
    )
    # A redirect would lose the body of a POST with most clients; a 404 says what is wrong.
    app.router.redirect_slashes = False
    return app


def _routes(
    operations: Iterable[Operation],
    settings: ApiSettings,
    context: RequestContext | None,
    guard: Guard,
) -> list[Route]:
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    # Fixed paths first, so that /v1/endpoints/batch is no endpoint's id.
    paths = sorted(by_path, key=lambda path: "{" in path)
    return [Route(path, _Path(by_path[path], settings, context, guard)) for path in paths]


class _Path:
    """All methods of one path, as an ASGI application."""

    def __init__(
        self,
        operations: dict[str, Operation],
        settings: ApiSettings,
        context: RequestContext | None,
        guard: Guard,
    ) -> None:
        self._guard = guard
        self._operations = operations
        self._settings = settings
        self._context = context
        head = ["HEAD"] if "GET" in operations else []
        self._allow = ", ".join(sorted([*operations, *head, "OPTIONS"]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond(scope, receive)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        method: str = scope["method"]
        operation = self._operations.get("GET" if method == "HEAD" else method)
        if operation is None:
            if method == "OPTIONS":
                return Response(status_code=204, headers={"allow": self._allow})
            raise MethodNotAllowed(method, self._allow)
        if operation.scope is not None and scope.get(BUSY_KEY):
            raise ServiceBusy
        context: RequestContext | None = scope.get(SCOPE_KEY, self._context)
        if context is None:
            raise LookupError(f"Neither create_app nor scope[{SCOPE_KEY!r}] brought a service.")
        headers = dict(scope["headers"])
        client = scope.get("client")
        source = context.source or (client[0] if client else None)
        caller = context.caller or await self._let_in(operation, headers, context, source)
        caller.check(operation.scope, whole=operation.whole)
        call = Call(
            context=context,
            headers=headers,
            raw_headers=scope["headers"],
            query_string=scope["query_string"],
            receive=receive,
            id=scope["path_params"].get("id", ""),
            caller=caller,
            request_id=scope[REQUEST_ID],
        )
        if call.query_string and operation.query is NoQuery:
            parse_query(call, NoQuery)
        with acting(Actor(name=caller.name, source=source, request_id=call.request_id)):
            return await operation.handler(call)

    async def _let_in(
        self,
        operation: Operation,
        headers: Mapping[bytes, bytes],
        context: RequestContext,
        source: str | None,
    ) -> Caller:
        if operation.scope is None:
            return NOBODY
        settings = context.settings or self._settings
        caller = await self._guard.let_in(headers, settings, context.service.access, source)
        self._guard.take_turn(caller, settings)
        return caller


class _Boundary:
    """Lets no exception out, and sees to it that every answer is complete and arrives."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope["headers"])
        scope = {**scope, REQUEST_ID: request_id}
        answer = _Answer(scope, Incoming(scope, receive), send)
        try:
            await self._app(scope, answer.incoming.receive, answer.send)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller sees no traceback
            if answer.started:
                _log.error("%s failed after its answer had begun", request_id, exc_info=error)
                return
            await problem_response(error, request_id)(scope, receive, answer.send)


class _Answer:
    """Puts on an answer the headers that all have; lingers when its request is not read whole."""

    def __init__(self, scope: Scope, incoming: Incoming, send: Send) -> None:
        self.incoming = incoming
        self.started = False
        self._send = send
        self._store_nothing = scope["path"].startswith("/v1")
        self._head = scope["method"] == "HEAD"
        self._request_id = scope[REQUEST_ID].encode()
        self._lingers = False

    async def send(self, message: Message) -> None:
        """Send the next part, as ASGI has it."""
        if message["type"] == "http.response.start":
            self.started = True
            headers = message["headers"]
            headers += _HEADERS
            headers.append((_REQUEST_ID_HEADER, self._request_id))
            if not any(name == b"content-security-policy" for name, _ in headers):
                headers.append(_NO_PAGE)
            if self._store_nothing:
                headers.append((b"cache-control", b"no-store"))
            self._lingers = self.incoming.has_long_rest
            if self._lingers:
                headers.append((b"connection", b"close"))
        elif self._head:
            message = {**message, "body": b""}
        if self._lingers and message["type"] == "http.response.body":
            await self._send({**message, "more_body": True})
            await self.incoming.linger()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)


async def _no_such_path(request: Request, _error: Exception) -> Response:
    return problem_response(NoSuchPath(), request.scope[REQUEST_ID])


async def _problem(request: Request, error: Exception) -> Response:
    return problem_response(error, request.scope[REQUEST_ID])
