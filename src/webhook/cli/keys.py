"""``webhook keys``: the keys that encrypt secrets at rest."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from webhook import WebhookRuntimeService
from webhook.cli.key_files import known_keys
from webhook.cli.stores import find_store, naming
from webhook.cli.terminal import fail, stdout
from webhook.domain.access import Actor
from webhook.domain.encryption import KEY_BYTES, EncryptionKey, make_encryption_key
from webhook.domain.errors import ConfigError, WebhookError
from webhook.engine.access import acting
from webhook.engine.encryption import EncryptedAll
from webhook.settings import Settings, StoreAddress


def create() -> None:
    """Print a new key. Put it first in WEBHOOK_ENCRYPTION_KEYS, before a comma and the old ones.

    Example: webhook keys create
    """
    stdout().print(make_encryption_key(os.urandom(KEY_BYTES)))


def rotate(
    settings: Settings,
    *,
    vacuum: Annotated[
        bool,
        typer.Option(
            "--vacuum",
            help="Also rewrite the file if secrets have stood in it in the clear; holds up writes.",
        ),
    ] = False,
) -> None:
    """Encrypt all secrets of a store with the first key, while servers run that know it.

    The keys are those of WEBHOOK_ENCRYPTION_KEYS, then those in the file that ends in .key. Servers
    do the same by and by.

    Example: webhook keys rotate --store sqlite:///webhook.db
    """
    address = settings.store
    if address.kind == "memory":
        fail("memory:// keeps nothing that could be encrypted.")
    if address.path is not None and not Path(address.path).exists():
        fail(f"{address}: there is no such file.")
    try:
        keys = known_keys(settings)
        if not keys:
            raise ConfigError("There is no key. Set WEBHOOK_ENCRYPTION_KEYS; see keys create.")
        report = asyncio.run(_rotate(settings, address, keys, scrub=vacuum))
    except WebhookError as error:
        fail(error.message)
    _tell(address, keys, report, vacuum=vacuum)


async def _rotate(
    settings: Settings, address: StoreAddress, keys: tuple[EncryptionKey, ...], *, scrub: bool
) -> EncryptedAll:
    persistence, _ = await find_store(address, keys)
    service = WebhookRuntimeService(settings.config, persistence=persistence, auto_start=False)
    try:
        with naming(address), acting(Actor(name="cli")):
            await service.initialize()
            async with service.access.changing("keys.rotate", detail=keys[0].id):
                return await service.encrypt_all(scrub=scrub)
    finally:
        await service.shutdown()


def _tell(
    address: StoreAddress, keys: tuple[EncryptionKey, ...], report: EncryptedAll, *, vacuum: bool
) -> None:
    out = stdout()
    out.print(f"{address}: {report.count} endpoints encrypted anew, with key {keys[0].id}.")
    for key in keys[1:]:
        if key.id not in report.keys_left:
            out.print(f"Key {key.id} is not needed any more.")
    if vacuum and not report.clean:
        if address.path is None:
            out.print("The server's files may hold secrets of before: VACUUM FULL its endpoints.")
        else:
            out.print("Secrets still stand in the clear; run it again.")
    if report.failed:
        fail(f"{len(report.failed)} endpoints do not open: {', '.join(report.failed)}")
