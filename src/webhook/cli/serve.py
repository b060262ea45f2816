"""``webhook serve``."""

from __future__ import annotations

import asyncio

from webhook.cli.logs import set_up_logs
from webhook.cli.terminal import fail
from webhook.domain.errors import WebhookError
from webhook.settings import Settings


def serve(settings: Settings) -> None:
    """Run the service, API and deliveries. Ctrl-C or SIGTERM ends it.

    Each option is also a variable of the environment, and wins over it:
    --timeout-ms is WEBHOOK_TIMEOUT_MS, --token is WEBHOOK_API_TOKEN.

    Example: webhook serve --port 9999 --allow-private-hosts --allow-http
    """
    from webhook.cli.server import serve as run  # noqa: PLC0415 - its packages are an extra

    set_up_logs(settings.log_level)
    try:
        asyncio.run(run(settings))
    except WebhookError as error:
        fail(error.message)
