"""What the platform calls: a request, hints of the queue, the cron's minute.

Bindings belong to a request, so a service is built for each; what an isolate may keep is whether
the schema is up to date, and the settings it has read.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

import msgspec

from webhook.adapters.asyncio_wake import AsyncioWake
from webhook.adapters.cloudflare import create_d1_webhook_persistence
from webhook.adapters.cloudflare.asgi import run_asgi
from webhook.adapters.cloudflare.queue_wake import CloudflareWake
from webhook.adapters.log_text import LogText
from webhook.api import ApiSettings, create_app
from webhook.api.context import SCOPE_KEY, RequestContext
from webhook.api.problems import problem_response
from webhook.domain.errors import ConfigError
from webhook.engine.limits import Limits
from webhook.runtime import WebhookRuntimeService
from webhook.settings import SETTINGS, Settings, read_settings

# An invocation has six connections at once, and on the free plan 50 requests and 50 statements: it
# takes 40 deliveries with one claim, and wakes another one before it sends if more are due. Of an
# endpoint with a limit it claims a few times more, as it makes room.
LIMITS = Limits(slots=6, per_endpoint=2, ahead=40, take_max=40, linger_ms=500, gate_waits=2)
# Each look-up of a name adds two requests to a delivery.
LIMITS_WITH_LOOKUPS = msgspec.structs.replace(LIMITS, ahead=15, take_max=15)
DELIVER_BUDGET_MS = 60_000
SWEEP_PIECES = 3
# Of recoveries; more invocations are woken for what is left.
RECOVERY_PIECES = 2

_log_handler = logging.StreamHandler()
_log_handler.setFormatter(LogText("%(levelname)s %(name)s: %(message)s"))
logging.basicConfig(handlers=[_log_handler])

app = create_app(ApiSettings())


class _Isolate:
    """What this isolate knows from earlier requests."""

    schema_is_fresh = False


class WorkerService(WebhookRuntimeService):
    """The service over this request's bindings; brings the schema up to date once an isolate."""

    def __init__(self, env: Any) -> None:
        self.settings = worker_settings(env)
        database, queue = getattr(env, "DB", None), getattr(env, "QUEUE", None)
        if database is None:
            raise ConfigError("The binding DB is missing: wrangler.toml needs [[d1_databases]].")
        super().__init__(
            self.settings.config,
            persistence=create_d1_webhook_persistence(
                database,
                initialize_schema=not _Isolate.schema_is_fresh,
                encryption_keys=self.settings.encryption_keys,
                check_encryption=not _Isolate.schema_is_fresh,
            ),
            wake_queue=AsyncioWake() if queue is None else CloudflareWake(queue),
        )

    async def initialize(self) -> None:
        """See ``WebhookService.initialize``."""
        await super().initialize()
        _Isolate.schema_is_fresh = True

    async def deliver(self) -> None:
        """Deliver what is due, within what one invocation may use."""
        limits = LIMITS if self.config.dns_over_https is None else LIMITS_WITH_LOOKUPS
        await self.deliver_due(limits=limits, budget_ms=DELIVER_BUDGET_MS)

    async def recover(self) -> None:
        """Go on with recoveries, within what one invocation may use."""
        await self.recover_some(pieces=RECOVERY_PIECES)


def worker_settings(env: Any) -> Settings:
    """Read the settings from a Worker's variables and secrets."""
    found = ((name, _text(getattr(env, name, None))) for name in SETTINGS)
    return _settings(tuple((name, value) for name, value in found if value is not None))


def _text(value: Any) -> str | None:
    """Return a variable as the text it would be elsewhere; TOML has other kinds of values too."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(int(value))
    if hasattr(value, "to_py"):  # a list arrives as JavaScript's
        value = value.to_py()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@functools.lru_cache(maxsize=1)
def _settings(values: tuple[tuple[str, str], ...]) -> Settings:
    return read_settings(dict(values))


async def fetch(request: Any, env: Any, ctx: Any) -> Any:
    """Answer a request; first attempts go on under ``ctx.waitUntil``."""
    try:
        service = WorkerService(env)
    except ConfigError as error:
        # What the platform makes of an exception may show a traceback.
        return await run_asgi(problem_response(error), request)
    context = RequestContext(
        service=service,
        wait_until=ctx.waitUntil,
        settings=ApiSettings(
            service.settings.api_token, requests_per_second=service.settings.requests_per_second
        ),
        source=request.headers.get("cf-connecting-ip"),
    )
    return await run_asgi(app, request, **{SCOPE_KEY: context})


async def deliver(env: Any) -> None:
    """Answer hints of the queue, whatever their number: deliver what is due, then recover."""
    service = WorkerService(env)
    await service.deliver()
    await service.recover()


async def sweep(env: Any) -> None:
    """Deliver what nobody woke for, then tidy up: the cron's minute."""
    service = WorkerService(env)
    await service.deliver()
    await service.sweep(pieces=SWEEP_PIECES, recovery_pieces=RECOVERY_PIECES)
