"""What ``webhook doctor`` finds on this machine, without changing anything."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

from webhook.adapters.sqlite.look import keys_in_use
from webhook.cli.checkup import Finding, bad, note, ok
from webhook.cli.key_files import key_file, known_keys
from webhook.cli.private_files import PRIVATE
from webhook.cli.stores import look
from webhook.cli.tokens import token_file
from webhook.domain.errors import ConfigError, SchemaError, StoreUnavailable
from webhook.settings import Settings

FREE_BYTES_MIN = 200 * 1024 * 1024
_OTHERS = 0o077


def local_findings(settings: Settings) -> Iterator[Finding]:
    """Look at the store's file and what lies beside it."""
    for sentence in settings.warnings:
        yield note("settings", sentence)
    if settings.store.kind == "memory":
        yield note("store", "memory:// is gone when its server ends")
        return
    yield from _store(settings)
    path = settings.store.path
    if path is None or not Path(path).exists():
        return
    yield from _modes(settings)
    yield _keys(settings)
    yield _disk(Path(path))


def _store(settings: Settings) -> Iterator[Finding]:
    address = settings.store
    try:
        missing = asyncio.run(look(address))
    except SchemaError as error:
        cure = "Give the file that is meant with --store, a backup of it, or upgrade this package."
        yield bad("store", error.message, cure)
    except ConfigError as error:  # its driver is not installed
        yield bad("store", error.message, "Install what it names, or give another with --store.")
    except StoreUnavailable as error:
        yield bad("store", error.message, "Give another place with --store, or make this one.")
    else:
        if address.path is not None and not Path(address.path).exists():
            yield note("store", f"{address} is not there; `webhook serve` makes it")
        elif missing:
            names = ", ".join(missing)
            yield bad("schema", f"{address} lacks {names}", "webhook migrate, or start it anew.")
        else:
            yield ok("store", f"{address}, its schema is up to date")


def _modes(settings: Settings) -> Iterator[Finding]:
    for what, file in (("token", token_file(settings.store)), ("keys", key_file(settings.store))):
        if file is not None and file.exists() and file.stat().st_mode & _OTHERS:
            told = f"{file} can be read by others on this machine"
            yield bad(what, told, f"chmod {PRIVATE:o} {file}, and change what was in it.")


def _keys(settings: Settings) -> Finding:
    used = [key_id for key_id in keys_in_use(str(settings.store.path)) if key_id]
    try:
        known = {key.id for key in known_keys(settings)}
    except ConfigError as error:
        return bad("keys", error.message, f"Put {key_file(settings.store)} back from a backup.")
    lost = sorted(set(used) - known)
    if lost:
        return bad(
            "keys",
            f"secrets are encrypted with {', '.join(lost)}, which is not known here",
            f"Put it back into {key_file(settings.store)}, or set WEBHOOK_ENCRYPTION_KEYS.",
        )
    return ok("keys", "all that encrypt secrets are known" if used else "nothing is encrypted yet")


def _disk(path: Path) -> Finding:
    free = shutil.disk_usage(path.absolute().parent).free
    told = f"{free // (1024 * 1024):,} MiB are free"
    if free < FREE_BYTES_MIN:
        return bad("disk", told, "Make room: a full disk is a 507 for everybody who emits.")
    return ok("disk", told)
