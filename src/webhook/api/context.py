"""What a request runs with. In a Worker all of it belongs to the request, so it travels with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from webhook.engine.service import WaitUntil, WebhookService

SCOPE_KEY = "webhook"


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The service that answers a request, and what its platform lends it.

    A server gives ``create_app`` its one service and never sees this. A Worker, whose database
    and ``ctx.waitUntil`` are bound to the request, puts one into each ASGI scope as
    ``scope[SCOPE_KEY]``; it replaces the app's default. ``token`` replaces the settings' token.
    """

    service: WebhookService
    wait_until: WaitUntil | None = None
    token: str | None = field(default=None, repr=False)
