"""``webhook migrate``."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from webhook.cli.stores import find_store, look, naming
from webhook.cli.terminal import fail, stdout
from webhook.domain.errors import WebhookError
from webhook.settings import Settings, StoreAddress


def migrate(
    settings: Settings,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what is missing and change nothing.")
    ] = False,
) -> None:
    """Bring the store's schema up to date. `webhook serve` does the same when it starts.

    Example: webhook migrate --store sqlite:///webhook.db --dry-run
    """
    out = stdout()
    if settings.store.kind == "memory":
        out.print(f"{settings.store}: nothing to do, memory has no schema.")
        return
    try:
        names = asyncio.run(look(settings.store) if dry_run else apply(settings.store))
    except WebhookError as error:
        fail(error.message)
    for name in names:
        out.print(f"{'missing' if dry_run else 'applied'}  {name}")
    if not names:
        out.print(f"{settings.store}: nothing to do.")


async def apply(address: StoreAddress) -> list[str]:
    """Apply the migrations that a store lacks, and return their names."""
    persistence, missing = await find_store(address)
    try:
        with naming(address):
            if persistence.init is not None:
                await persistence.init()
    finally:
        if persistence.close is not None:
            await persistence.close()
    return missing
