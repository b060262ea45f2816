"""``webhook import``: takes over what another program has kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from webhook import WebhookRuntimeService
from webhook.adapters.sqlite.kmsg import DELIVERY_TABLE, ENDPOINT_TABLE, KmsgRows, read_kmsg
from webhook.adapters.system import SystemChance
from webhook.cli.key_files import keep_key
from webhook.cli.migrate import apply
from webhook.cli.stores import find_store, naming
from webhook.cli.terminal import fail, stdout
from webhook.domain.access import Actor
from webhook.domain.errors import WebhookError
from webhook.engine.access import acting
from webhook.engine.kmsg_import import ImportReport, KmsgImport
from webhook.settings import Settings


def kmsg(
    settings: Settings,
    file: Annotated[Path, typer.Argument(help="Its SQLite file, or the SQL of a D1 export.")],
    *,
    tenant: Annotated[str, typer.Option(help="Whose it becomes.")] = "default",
    endpoint_table: Annotated[str, typer.Option(help="Its table of endpoints.")] = ENDPOINT_TABLE,
    delivery_table: Annotated[str, typer.Option(help="Its table of deliveries.")] = DELIVERY_TABLE,
) -> None:
    """Take over endpoints and history of @k-msg/webhook, while no server runs on the store.

    Done twice, it takes what is new. WEBHOOK_SCHEME=k-msg keeps secrets that are any text, and the
    headers that receivers know.

    Example: webhook import k-msg export.sql --store sqlite:///webhook.db
    """
    if settings.store.kind == "memory":
        fail("memory:// would forget it at once; give a store that keeps it.")
    try:
        rows = read_kmsg(file, endpoint_table=endpoint_table, delivery_table=delivery_table)
        report = asyncio.run(_run(settings, rows, tenant))
    except WebhookError as error:
        fail(error.message)
    out = stdout()
    out.print(
        f"{settings.store}: {report.endpoints} endpoints, {report.events} events and "
        f"{report.deliveries} deliveries taken over, {report.known} were known."
    )
    for sentence in report.left:
        out.print(f"left: {sentence}", markup=False, soft_wrap=True)


async def _run(settings: Settings, rows: KmsgRows, tenant: str) -> ImportReport:
    await apply(settings.store)
    persistence, _ = await find_store(settings.store, keep_key(settings))
    service = WebhookRuntimeService(settings.config, persistence=persistence, auto_start=False)
    try:
        with naming(settings.store), acting(Actor(name="cli")):
            await service.initialize()
            taking = KmsgImport(service, persistence, SystemChance(), tenant=tenant)
            return await taking.run(rows.endpoints, rows.deliveries)
    finally:
        await service.shutdown()
