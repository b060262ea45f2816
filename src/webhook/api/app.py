"""``create_app``: the routes of the table, behind one boundary that no exception passes."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webhook.api import deliveries, endpoints, events, health, recoveries, secrets, sending
from webhook.api.auth import ApiSettings, check_token
from webhook.api.context import SCOPE_KEY, RequestContext
from webhook.api.documentation import documented
from webhook.api.errors import ClientGone, MethodNotAllowed, NoSuchPath
from webhook.api.incoming import Incoming
from webhook.api.operation import Call, NoQuery, Operation
from webhook.api.problems import problem_response
from webhook.api.query import parse_query
from webhook.domain.errors import WebhookError
from webhook.engine.service import WebhookService

OPERATIONS = documented(
    *events.OPERATIONS,
    *endpoints.OPERATIONS,
    *secrets.OPERATIONS,
    *deliveries.OPERATIONS,
    *sending.OPERATIONS,
    *recoveries.OPERATIONS,
    *health.OPERATIONS,
)
_log = logging.getLogger("webhook.api")


def create_app(
    settings: ApiSettings | None = None, service: WebhookService | None = None
) -> Starlette:
    """Make the API for the server, or for a Worker to keep for all its requests.

    Without ``settings`` the token must come with each request's context. ``service`` answers the
    requests whose scope holds no ``RequestContext``. Nothing here reads a clock, draws lots or
    holds on to a request, so it may be called while a Worker starts.
    """
    context = None if service is None else RequestContext(service)
    app = Starlette(
        routes=_routes(OPERATIONS, settings or ApiSettings(), context),
        middleware=[Middleware(_Boundary)],
        exception_handlers={HTTPException: _no_such_path, WebhookError: _problem},
    )
    # A redirect would lose the body of a POST with most clients; a 404 says what is wrong.
    app.router.redirect_slashes = False
    return app


def _routes(
    operations: Iterable[Operation], settings: ApiSettings, context: RequestContext | None
) -> list[Route]:
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    # Fixed paths first, so that /v1/endpoints/batch is no endpoint's id.
    paths = sorted(by_path, key=lambda path: "{" in path)
    return [Route(path, _Path(by_path[path], settings, context)) for path in paths]


class _Path:
    """All methods of one path, as an ASGI application."""

    def __init__(
        self,
        operations: dict[str, Operation],
        settings: ApiSettings,
        context: RequestContext | None,
    ) -> None:
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
        context: RequestContext | None = scope.get(SCOPE_KEY, self._context)
        if context is None:
            raise LookupError(f"Neither create_app nor scope[{SCOPE_KEY!r}] brought a service.")
        headers = dict(scope["headers"])
        if not operation.public:
            token = context.token or self._settings.token
            check_token(headers, token, insecure=self._settings.insecure)
        call = Call(
            context=context,
            headers=headers,
            raw_headers=scope["headers"],
            query_string=scope["query_string"],
            receive=receive,
            id=scope["path_params"].get("id", ""),
        )
        if call.query_string and operation.query is NoQuery:
            parse_query(call, NoQuery)
        return await operation.handler(call)


class _Boundary:
    """Lets no exception out, and sees to it that every answer is complete and arrives."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, Incoming(scope, receive), send)
        try:
            await self._app(scope, answer.incoming.receive, answer.send)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller sees no traceback
            if answer.started:
                _log.error("failed after the answer had begun", exc_info=error)
                return
            await problem_response(error)(scope, receive, answer.send)


class _Answer:
    """Puts on an answer the headers that all have; lingers when its request is not read whole."""

    def __init__(self, scope: Scope, incoming: Incoming, send: Send) -> None:
        self.incoming = incoming
        self.started = False
        self._send = send
        self._store_nothing = scope["path"].startswith("/v1")
        self._head = scope["method"] == "HEAD"
        self._lingers = False

    async def send(self, message: Message) -> None:
        """Send the next part, as ASGI has it."""
        if message["type"] == "http.response.start":
            self.started = True
            headers = message["headers"]
            headers.append((b"x-content-type-options", b"nosniff"))
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


async def _no_such_path(_request: Request, _error: Exception) -> Response:
    return problem_response(NoSuchPath())


async def _problem(_request: Request, error: Exception) -> Response:
    return problem_response(error)
