"""What a request runs with. In a Worker all of it belongs to the request, so it travels with it."""

from __future__ import annotations

from dataclasses import dataclass

from webhook.api.auth import ApiSettings
from webhook.api.caller import Caller
from webhook.engine.service import WaitUntil, WebhookService

SCOPE_KEY = "webhook"
# Set in a scope, it refuses whatever asks for a token, since too many connections are open.
BUSY_KEY = "webhook.busy"


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The service that answers a request, and what its platform lends it.

    A server gives ``create_app`` its one service and never sees this. A Worker, whose database
    and ``ctx.waitUntil`` are bound to the request, puts one into each ASGI scope as
    ``scope[SCOPE_KEY]``; it replaces the app's default. ``settings`` replace the app's, ``source``
    the address in the scope; with a ``caller`` no token is asked for.
    """

    service: WebhookService
    wait_until: WaitUntil | None = None
    settings: ApiSettings | None = None
    source: str | None = None
    caller: Caller | None = None
