"""Follows deliveries to their ends, as ``emit --wait`` and ``deliveries tail`` do."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from webhook.cli.listing import STYLES
from webhook.cli.remote import Service
from webhook.cli.terminal import stdout
from webhook.client import Client, Delivery
from webhook.domain.model import DeliveryStatus

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_PAGE = 250


def follow(service: Service, event_id: str, tenant: str, *, quiet: bool) -> list[Delivery]:
    """Print a line for each change, unless ``quiet``; return the deliveries when all have ended."""
    request = Client.list_event_deliveries(event_id, tenant=tenant, limit=_PAGE)
    seen = _Seen()
    pause_s = _FIRST_PAUSE_S
    while True:
        deliveries = list(service.items(request))
        changed = False
        for delivery in deliveries:
            if seen.is_news(delivery):
                changed = True
                if not quiet:
                    stdout().print(_line(delivery, delivery.endpoint_id))
        if all(delivery.status is not DeliveryStatus.PENDING for delivery in deliveries):
            return deliveries
        # Quick at first, then at a pace that a long schedule deserves.
        pause_s = _FIRST_PAUSE_S if changed else min(pause_s * 1.3, _LONGEST_PAUSE_S)
        time.sleep(pause_s)


def tail(service: Service, **filters: Any) -> None:  # noqa: ANN401 - as list_deliveries
    """Print a line for each change of deliveries from now on, until Ctrl-C."""
    seen = _Seen()
    since = filters.pop("since", None) or datetime.now(UTC)
    request = Client.list_deliveries(since=since, limit=_PAGE, **filters)
    with suppress(KeyboardInterrupt):
        while True:
            for delivery in reversed(list(service.items(request))):
                if seen.is_news(delivery):
                    at = delivery.attempts[-1].started_at if delivery.attempts else None
                    clock = f"{(at or datetime.now(UTC)).astimezone():%H:%M:%S}"
                    stdout().print(_line(delivery, f"{clock}  {delivery.event_type}"))
                    stdout().print(Text(f"  {delivery.id}", "dim"))
            time.sleep(_LONGEST_PAUSE_S / 2)


class _Seen:
    """What was told of each delivery."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[str, int]] = {}

    def is_news(self, delivery: Delivery) -> bool:
        """Whether something has changed; a pending one that was not tried has nothing to tell."""
        now = (delivery.status.value, delivery.attempt_count)
        if self._told.get(delivery.id, ("pending", 0)) == now:
            return False
        self._told[delivery.id] = now
        return True


def _line(delivery: Delivery, head: str) -> Text:
    status = delivery.status.value
    return Text.assemble(
        f"{head}  ", (f"{status:<9}", STYLES.get(status, "red")), f" {told_of(delivery)}"
    )


def told_of(delivery: Delivery) -> str:
    """Say why a delivery stands as it does, and when it is tried next."""
    last = delivery.attempts[-1] if delivery.attempts else None
    if delivery.status is DeliveryStatus.SUCCESS and last is not None:
        return f"in {last.latency_ms} ms, attempt {last.number}"
    told = delivery.reason or ""
    if delivery.next_attempt_at is not None:
        at = delivery.next_attempt_at.astimezone()
        day = "" if at.date() == datetime.now(at.tzinfo).date() else f" on {at:%Y-%m-%d}"
        told += f"{'; ' if told else ''}next attempt at {at:%H:%M:%S}{day}"
    return told
