"""Why each endpoint got an event, or did not; by the rules that accepted it."""

from __future__ import annotations

import json

from webhook.cli.follow import told_of
from webhook.cli.listing import Row, age, exact
from webhook.cli.remote import Service
from webhook.client import Client, Delivery, Endpoint, Event
from webhook.domain.matching import facets, filter_groups, groups_match, patterns_for
from webhook.domain.model import EndpointStatus

_NOT = "not sent"


def reasons(service: Service, event: Event, endpoint_id: str | None) -> list[Row]:
    """Return a row for each endpoint, or for the one: what became of the event there, and why."""
    pages = Client.list_event_deliveries(event.id, tenant=event.tenant, limit=250)
    went = {delivery.endpoint_id: delivery for delivery in service.items(pages)}
    if endpoint_id is not None:
        endpoints = [service.call(Client.get_endpoint(endpoint_id))]
    else:
        endpoints = list(service.items(Client.list_endpoints(tenant=event.tenant, limit=250)))
    rows = [_row(event, endpoint, went.pop(endpoint.id, None)) for endpoint in endpoints]
    if endpoint_id is None:
        rows += [Row(gone, _cells(d), f"{told_of(d)}; removed since") for gone, d in went.items()]
    return rows


def _row(event: Event, endpoint: Endpoint, delivery: Delivery | None) -> Row:
    if delivery is not None:
        return Row(endpoint.id, _cells(delivery), told_of(delivery))
    return Row(endpoint.id, [_NOT], _why_not(event, endpoint))


def _cells(delivery: Delivery) -> list[str]:
    return [delivery.status.value]


def _why_not(event: Event, endpoint: Endpoint) -> str:
    if endpoint.tenant != event.tenant:
        return f"it is of tenant {endpoint.tenant}, the event of {event.tenant}"
    if endpoint.created_at > event.accepted_at:
        later = age(event.accepted_at, endpoint.created_at).removesuffix(" ago")
        return f"it was made {later} after the event, at {exact(endpoint.created_at)}"
    if not _wants(event, endpoint):
        return f"it wants {', '.join(endpoint.event_types)}, not {event.type}"
    if endpoint.filters and event.payload_erased:
        why = "it wants the type; whether it passed the filters is erased with the payload"
    elif unmet := _unmet(event, endpoint):
        why = f"the event's metadata did not pass its filters: {unmet}"
    elif endpoint.status is not EndpointStatus.ACTIVE:
        why = f"it is {endpoint.status.value}, and only active ones get new events"
    else:
        why = (
            "it matches as it is now, but was changed or not active when the event was accepted; "
            f"`webhook replay --endpoint {endpoint.id} --missed --since ...` sends it"
        )
    return why


def _wants(event: Event, endpoint: Endpoint) -> bool:
    return not set(endpoint.event_types).isdisjoint(patterns_for(event.type))


def _unmet(event: Event, endpoint: Endpoint) -> str:
    """Name the filters that did not let the event pass."""
    metadata = event.metadata or {}
    present = facets(metadata)
    found = []
    for key, values in endpoint.filters.items():
        if not groups_match(filter_groups({key: values}), present):
            had = json.dumps(metadata[key], ensure_ascii=False) if key in metadata else "missing"
            wanted = " or ".join(json.dumps(value, ensure_ascii=False) for value in values)
            found.append(f"{key} is {had}, wanted {wanted}")
    return "; ".join(found)
