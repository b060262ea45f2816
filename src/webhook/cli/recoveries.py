"""``webhook replay`` and ``webhook recoveries``: many deliveries again, counted first."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

from webhook.cli.deliveries import EndpointId, Kind, Status
from webhook.cli.events import EventType, Since, Until, Yes
from webhook.cli.listing import Row, print_details, time_of
from webhook.cli.remote import AnyTenant, Cursor, Limit, Service, Tenant, add, confirm, group
from webhook.cli.terminal import ExitCode, coloured, fail, stderr, stdout
from webhook.client import Client, Recovery, RecoveryCanceled, RecoveryCount, Request
from webhook.domain.recovery import RecoveryStatus

app = group(
    "recoveries", "Look at what `webhook replay` has started, and stop it.", "recoveries list"
)
_PAUSE_S = 0.2
_Id = Annotated[str, typer.Argument(metavar="ID", help="The recovery's id.")]


def replay(
    service: Service,
    *,
    endpoint: EndpointId = None,
    since: Since = None,
    until: Until = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="What the endpoint failed to take.")
    ] = False,
    missed: Annotated[
        bool, typer.Option("--missed", help="What it never got, though it matches now.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Both, and what succeeded or was canceled.")
    ] = False,
    status: Status = None,
    error_kind: Kind = None,
    event_type: EventType = None,
    tenant: Tenant = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    yes: Yes = False,
) -> None:
    """Deliver again what an endpoint failed to take or missed, or whatever matches.

    With --failed, --missed or --all: what concerns the endpoint of --endpoint since --since. Else
    each finished delivery that `webhook deliveries list` shows with the same filters.

    It counts first and asks, then shows how far it is; Ctrl-C stops it. What it has done stays
    done, and the same command goes on where it was.

    Example: webhook replay --endpoint ep_01kav9ft0049jvk1h1090508xx --since 24h --failed
    """
    which = [
        name
        for name, given in (("failed", failed), ("missed", missed), ("all", everything))
        if given
    ]
    begin, end = time_of("--since", since), time_of("--until", until)
    if which:
        count, start = _of_endpoint(which, endpoint, begin, end, tenant, status, error_kind)
    else:
        filters: dict[str, Any] = {
            "endpoint_id": endpoint,
            "event_type": event_type,
            "status": status,
            "error_kind": error_kind,
            "since": begin,
            "until": end,
        }
        if all(value is None for value in filters.values()):
            fail("Say which: --endpoint, --status, --error-kind, --type, --since.", ExitCode.USAGE)
        count = Client.count_replayable(tenant=tenant, **filters)
        start = Client.replay_deliveries(tenant=tenant, **filters)
    if dry_run:
        service.show(count, lambda counted: stdout().print(f"{_wish(counted)}."))
        return
    counted = service.call(count)
    if not counted.replayed + counted.made:
        stderr().print("There is nothing to replay.")
        return
    confirm(f"{_wish(counted)}?", yes=yes)
    if service.as_json:
        service.print_json(start)
    else:
        _follow(service, service.call(start), counted)


def _of_endpoint(
    which: list[str],
    endpoint: str | None,
    begin: datetime | None,
    end: datetime | None,
    tenant: str | None,
    *others: object,
) -> tuple[Request[RecoveryCount], Request[Recovery]]:
    if len(which) > 1:
        fail("Give one of --failed, --missed and --all.", ExitCode.USAGE)
    if endpoint is None or begin is None or any(others):
        sentence = f"--{which[0]} takes --endpoint and --since, and no filter but --until."
        fail(sentence, ExitCode.USAGE)
    return (
        Client.count_recoverable(endpoint, since=begin, until=end, which=which[0], tenant=tenant),
        Client.recover_endpoint(endpoint, since=begin, until=end, which=which[0], tenant=tenant),
    )


def _wish(count: RecoveryCount) -> str:
    number = count.replayed + count.made
    least = "at least " if count.more else ""
    noun = "delivery" if number == 1 else "deliveries"
    missed = f", {count.made:,} of them missed" if count.made else ""
    return f"Replay {least}{number:,} {noun}{missed}"


def _follow(service: Service, recovery: Recovery, count: RecoveryCount) -> None:
    """Show how far a recovery is until it has ended; Ctrl-C stops it."""
    bar = Progress(
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        BarColumn(),
        TextColumn("Ctrl-C stops it"),
        console=stderr(),
        transient=True,
        disable=not (stderr().is_terminal and coloured()),
    )
    try:
        with bar:
            task = bar.add_task("", total=count.replayed + count.made)
            while recovery.status is RecoveryStatus.RUNNING:
                bar.update(task, completed=recovery.replayed + recovery.made)
                time.sleep(_PAUSE_S)
                recovery = service.call(Client.get_recovery(recovery.id))
    except KeyboardInterrupt:
        recovery = service.call(Client.cancel_recovery(recovery.id)).recovery
    stdout().print(f"{recovery.id}  {recovery.status.value}  {_done(recovery)}")
    if recovery.status is RecoveryStatus.CANCELED:
        raise typer.Exit(ExitCode.FAILED)


def _done(recovery: Recovery) -> str:
    missed = f", {recovery.made:,} missed ones sent" if recovery.made else ""
    why = f" ({recovery.reason})" if recovery.reason else ""
    return f"{recovery.replayed:,} replayed{missed}{why}"


def list_recoveries(
    service: Service, *, tenant: Tenant = None, limit: Limit = 50, cursor: Cursor = None
) -> None:
    """List recoveries, newest first: id, age, status, kind, and what they have done.

    Example: webhook recoveries list
    """

    def row(recovery: Recovery) -> Row:
        cells = [recovery.created_at, recovery.status.value, recovery.kind]
        return Row(recovery.id, cells, _done(recovery))

    request = Client.list_recoveries(tenant=tenant, limit=limit, cursor=cursor)
    service.list(request, row, "There are none. `webhook replay` starts one.")


def get_recovery(service: Service, *, recovery_id: _Id, tenant: AnyTenant = None) -> None:
    """Show a recovery: its range, and how far it is.

    Example: webhook recoveries get rcv_01kav9ft0049jvk1h1090508xx
    """

    def tell(recovery: Recovery) -> None:
        print_details(
            [
                ("id", recovery.id),
                ("status", recovery.status.value),
                ("done", _done(recovery)),
                ("kind", recovery.kind),
                ("tenant", recovery.tenant),
                ("endpoint", recovery.endpoint_id),
                ("type", recovery.event_type),
                ("delivery status", recovery.delivery_status),
                ("error kind", recovery.error_kind),
                ("since", recovery.since),
                ("until", recovery.until),
                ("scanned", recovery.scanned),
                ("created", recovery.created_at),
                ("updated", recovery.updated_at),
            ]
        )

    service.show(Client.get_recovery(recovery_id, tenant=tenant), tell)


def cancel_recovery(service: Service, *, recovery_id: _Id, tenant: AnyTenant = None) -> None:
    """Stop a recovery; what it has done stays done.

    Example: webhook recoveries cancel rcv_01kav9ft0049jvk1h1090508xx
    """

    def tell(canceled: RecoveryCanceled) -> None:
        what = "is stopped" if canceled.canceled else "had ended"
        stdout().print(f"{canceled.recovery.id} {what}: {_done(canceled.recovery)}")

    service.show(Client.cancel_recovery(recovery_id, tenant=tenant), tell)


add(app, [("list", list_recoveries), ("get", get_recovery), ("cancel", cancel_recovery)])
