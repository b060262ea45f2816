"""``webhook events``: search, show, and say why each endpoint got an event or did not."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from webhook.cli.listing import Row, exact, print_details, print_rows, time_of
from webhook.cli.remote import AnyTenant, Cursor, Limit, Service, Tenant, add, confirm, group, told
from webhook.cli.why import reasons
from webhook.client import Client, Event

app = group("events", "Search events, show one, and say why each endpoint got it.", "events list")

_Id = Annotated[str, typer.Argument(metavar="ID", help="The event's id.")]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="From then on: 30m, 2h, 7d ago, or RFC 3339."),
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Before then, as --since.")
]
EventType = Annotated[
    str | None, typer.Option("--type", metavar="TYPE", help="Of this type, such as message.sent.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def list_events(
    service: Service,
    *,
    event_type: EventType = None,
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> None:
    """List events, newest first: id, age, type, how many deliveries.

    Example: webhook events list --type message.sent --since 2h
    """
    request = Client.list_events(
        tenant=tenant,
        type=event_type,
        since=time_of("--since", since),
        until=time_of("--until", until),
        limit=limit,
        cursor=cursor,
    )
    service.list(request, _row, "There is no such event.")


def _row(event: Event) -> Row:
    count = event.delivery_count
    deliveries = "1 delivery" if count == 1 else f"{count} deliveries"
    erased = ", payload erased" if event.payload_erased else ""
    return Row(event.id, [event.accepted_at, event.type], f"{deliveries}{erased}")


def get_event(service: Service, *, event_id: _Id, tenant: Tenant = None) -> None:
    """Show an event with its data, and how each of its deliveries stands.

    Example: webhook events get evt_01kav9ft0049jvk1h1090508xx
    """

    def tell(event: Event) -> None:
        print_details(
            [
                ("id", event.id),
                ("type", event.type),
                ("tenant", event.tenant),
                ("accepted", exact(event.accepted_at)),
                ("ordering key", event.ordering_key),
                ("metadata", json.dumps(event.metadata, ensure_ascii=False)),
                ("data", json.dumps(event.data, ensure_ascii=False)),
                ("erased", "yes" if event.payload_erased else None),
            ]
        )
        print_rows(reasons(service, event, None))

    service.show(Client.get_event(event_id, tenant=tenant), tell)


def why(
    service: Service,
    *,
    event_id: _Id,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", metavar="ID", help="Ask about this one alone.")
    ] = None,
    tenant: Tenant = None,
) -> None:
    """Say for each endpoint why it got an event, or why it did not.

    Subscriptions are looked at as they are now: what was changed since is said to match.

    Example: webhook events why evt_01kav9ft0049jvk1h1090508xx
    """
    event = service.call(Client.get_event(event_id, tenant=tenant))
    rows = reasons(service, event, endpoint)
    if service.as_json:
        found = [
            {"endpoint_id": row.id, "status": row.cells[0], "reason": row.reason} for row in rows
        ]
        print(json.dumps({"event_id": event.id, "data": found}, ensure_ascii=False))
    elif rows:
        print_rows(rows)
    else:
        told(f"Tenant {event.tenant} has no endpoints. `webhook endpoints add` makes one.")(None)


def erase(service: Service, *, event_id: _Id, tenant: AnyTenant = None, yes: Yes = False) -> None:
    """Erase what an event carried, for good; it and its deliveries stay listed.

    Example: webhook events erase evt_01kav9ft0049jvk1h1090508xx --yes
    """
    confirm(f"Erase the payload of {event_id} for good?", yes=yes)
    request = Client.erase_payload(event_id, tenant=tenant)
    service.show(request, told(f"The payload of {event_id} is erased."))


add(app, [("list", list_events), ("get", get_event), ("why", why), ("erase", erase)])
