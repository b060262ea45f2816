"""``webhook tenants``: deletes a tenant whole, on the store itself."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
import typer

from webhook.adapters.sqlite.vacuum import vacuum as rewrite
from webhook.adapters.system import SystemClock
from webhook.cli.flags import with_settings
from webhook.cli.stores import access_of, is_open, operate
from webhook.cli.terminal import ExitCode, fail, stdout
from webhook.domain.errors import WebhookError
from webhook.domain.event import tenant_problem
from webhook.domain.tenant import TENANT_COUNT_MAX, TenantRows
from webhook.engine.tenants import Tenants
from webhook.ports import WebhookPersistence
from webhook.settings import Settings, StoreAddress

tenants = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Delete a tenant whole, on the store itself.\n\nExample: webhook tenants delete acme",
)
_MS = 1000


@tenants.callback()
def _several() -> None:
    """Keep the name of the only command."""


def delete(
    settings: Settings,
    *,
    tenant: Annotated[str, typer.Argument(metavar="NAME", help="Whose everything is deleted.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    vacuum: Annotated[
        bool,
        typer.Option(
            "--vacuum", help="Also rewrite the file, where deleted rows leave traces; locks it."
        ),
    ] = False,
) -> None:
    """Delete all that there is of a tenant, after showing how much that is.

    Servers may run meanwhile; they accept nothing new of it and send nothing. Ctrl-C stops it, and
    the same command goes on.

    Example: webhook tenants delete acme --yes
    """
    if problem := tenant_problem(tenant):
        fail(f"{tenant[:64]!r}: {problem}", ExitCode.USAGE)
    address = settings.store
    found = _run(address, lambda service: service.look(tenant))
    out = stdout()
    out.print(f"Tenant {tenant} has {_said(found.rows)}.")
    if not yes:
        _ask(tenant)
    try:
        _run(address, lambda service: _delete(service, tenant))
    except KeyboardInterrupt:
        fail(
            f"Stopped. Until the same command has ended, nothing new of {tenant} is accepted.",
        )
    if vacuum and address.path is not None:
        try:
            asyncio.run(rewrite(address.path))
        except WebhookError as error:
            fail(error.message)
    out.print(f"Tenant {tenant} is deleted; nothing is left: {TenantRows()}.")


def _ask(tenant: str) -> None:
    if not sys.stdin.isatty():
        fail("Nobody is there to be asked: give --yes.", ExitCode.USAGE)
    if not typer.confirm(f"Delete all of {tenant} for ever?"):
        fail("Nothing was deleted.")


async def _delete(service: Tenants, tenant: str) -> None:
    out, clock = stdout(), SystemClock()
    while True:
        left = await service.delete(tenant)
        if left.deleting_since is None:
            return
        if left.rows:
            out.print(f"Left: {_said(left.rows)}.")
        else:
            wait_ms = max(0, left.ends_from - clock.now_ms())
            out.print(f"Waiting {wait_ms / _MS:.0f} s until its tokens are known no more.")
            await clock.wait(asyncio.Event(), wait_ms)


def _said(rows: TenantRows) -> str:
    """Say how much there is."""
    counts = msgspec.structs.asdict(rows).items()
    return (
        ", ".join(
            f"{name} {count}{'+' if count == TENANT_COUNT_MAX else ''}"
            for name, count in counts
            if count
        )
        or "nothing"
    )


def _run[T](address: StoreAddress, work: Callable[[Tenants], Awaitable[T]]) -> T:
    async def do(persistence: WebhookPersistence) -> T:
        access = access_of(persistence)
        service = Tenants(persistence.tenant_store, access, clock=SystemClock(), initialize=is_open)
        return await work(service)

    return operate(address, do, instead="DELETE /v1/tenants/NAME")


tenants.command("delete")(with_settings("store")(delete))
