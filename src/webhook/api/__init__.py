"""The HTTP API: one Starlette app for the server and the Worker; ``create_app`` makes it."""

from webhook.api.app import create_app
from webhook.api.auth import ApiSettings
from webhook.api.context import BUSY_KEY, SCOPE_KEY, RequestContext

__all__ = ["BUSY_KEY", "SCOPE_KEY", "ApiSettings", "RequestContext", "create_app"]
