"""``webhook deliveries``: what became of each event at each endpoint."""

from __future__ import annotations

from typing import Annotated

import typer

from webhook.cli.events import EventType, Since, Until
from webhook.cli.follow import tail as follow_all
from webhook.cli.follow import told_of
from webhook.cli.listing import STYLES, Row, print_details, time_of
from webhook.cli.remote import AnyTenant, Cursor, Limit, Service, Tenant, add, group
from webhook.cli.terminal import stdout
from webhook.client import Canceled, Client, Delivery, Replayed
from webhook.domain.model import DeliveryStatus, ErrorKind

app = group(
    "deliveries",
    "See how each event fares at each endpoint; deliver again, or no more.",
    "deliveries list --status exhausted",
)

_Id = Annotated[str, typer.Argument(metavar="ID", help="The delivery's id.")]
_Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="The deliveries' ids.")]
EndpointId = Annotated[
    str | None, typer.Option("--endpoint", metavar="ID", help="To this endpoint.")
]
Status = Annotated[DeliveryStatus | None, typer.Option("--status", help="That stand so.")]
Kind = Annotated[
    ErrorKind | None, typer.Option("--error-kind", help="Whose last attempt failed so.")
]


def list_deliveries(
    service: Service,
    *,
    status: Status = None,
    error_kind: Kind = None,
    endpoint: EndpointId = None,
    event: Annotated[
        str | None, typer.Option("--event", metavar="ID", help="Of this event.")
    ] = None,
    event_type: EventType = None,
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> None:
    """List deliveries, newest event first: id, age, status, type, attempts, and the reason.

    Example: webhook deliveries list --error-kind tls --since 2h
    """
    request = Client.list_deliveries(
        tenant=tenant,
        endpoint_id=endpoint,
        event_id=event,
        event_type=event_type,
        status=status,
        error_kind=error_kind,
        since=time_of("--since", since),
        until=time_of("--until", until),
        limit=limit,
        cursor=cursor,
    )
    service.list(request, _row, "There is no such delivery.")


def _row(delivery: Delivery) -> Row:
    attempts = f"{delivery.attempt_count}x"
    cells = [delivery.created_at, delivery.status.value, delivery.event_type, attempts]
    return Row(delivery.id, cells, told_of(delivery))


def get_delivery(service: Service, *, delivery_id: _Id, tenant: AnyTenant = None) -> None:
    """Show a delivery with each of its attempts and what the receiver answered.

    Example: webhook deliveries get dlv_01kav9ft0049jvk1h1090508xx01kav9ft0049jvk1h1090508xx
    """
    service.show(Client.get_delivery(delivery_id, tenant=tenant), _tell)


def _tell(delivery: Delivery) -> None:
    print_details(
        [
            ("id", delivery.id),
            ("status", delivery.status.value),
            ("reason", told_of(delivery)),
            ("event", f"{delivery.event_id}  {delivery.event_type}"),
            ("endpoint", delivery.endpoint_id),
            ("tenant", delivery.tenant),
            ("ordering key", delivery.ordering_key),
            ("waits for", delivery.waits_for),
            ("created", delivery.created_at),
            ("completed", delivery.completed_at),
        ]
    )
    out = stdout()
    for attempt in delivery.attempts:
        by_hand = ", by hand" if attempt.manual else ""
        what = attempt.error or f"HTTP {attempt.status_code}"
        at = f"{attempt.started_at.astimezone():%Y-%m-%d %H:%M:%S}"
        out.print(f"attempt {attempt.number}  {at}  {what} in {attempt.latency_ms} ms{by_hand}")
        for line in filter(None, (attempt.note, attempt.response)):
            out.print(f"  {line}", style="dim")


def replay(service: Service, *, delivery_ids: _Ids, tenant: AnyTenant = None) -> None:
    """Deliver once more, with all retries; a pending delivery is left as it is.

    `webhook replay` does it for all that match.

    Example: webhook deliveries replay dlv_01kav9ft0049jvk1h1090508xx01kav9ft0049jvk1h1090508xx
    """

    def tell(replayed: Replayed) -> None:
        what = "is sent again" if replayed.started else "was pending anyway"
        stdout().print(f"{replayed.delivery.id} {what}")

    for delivery_id in delivery_ids:
        service.show(Client.replay_delivery(delivery_id, tenant=tenant), tell)


def cancel(service: Service, *, delivery_ids: _Ids, tenant: AnyTenant = None) -> None:
    """Deliver no more; a delivery that has ended is left as it is.

    Example: webhook deliveries cancel dlv_01kav9ft0049jvk1h1090508xx01kav9ft0049jvk1h1090508xx
    """

    def tell(canceled: Canceled) -> None:
        status = canceled.delivery.status.value
        what = "is canceled" if canceled.canceled else f"had ended: {status}"
        stdout().print(f"{canceled.delivery.id} {what}", style=STYLES.get(status))

    for delivery_id in delivery_ids:
        service.show(Client.cancel_delivery(delivery_id, tenant=tenant), tell)


def tail(
    service: Service,
    *,
    endpoint: EndpointId = None,
    event_type: EventType = None,
    tenant: Tenant = None,
    since: Since = None,
) -> None:
    """Print a line for each change of deliveries as it comes, until Ctrl-C.

    Example: webhook deliveries tail --type message.sent
    """
    begin = time_of("--since", since)
    follow_all(service, tenant=tenant, endpoint_id=endpoint, event_type=event_type, since=begin)


add(
    app,
    [
        ("list", list_deliveries),
        ("get", get_delivery),
        ("replay", replay),
        ("cancel", cancel),
        ("tail", tail),
    ],
)
