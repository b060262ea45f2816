"""Follows the deliveries of an event to their ends, as ``emit --wait`` does."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any
from urllib.parse import quote

from rich.text import Text

from webhook.cli.http import Service
from webhook.cli.terminal import stdout

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_PAGE = 250
_STYLES = {"success": "green", "pending": "yellow"}

type Delivery = dict[str, Any]


def follow(service: Service, event_id: str, tenant: str, *, quiet: bool) -> list[Delivery]:
    """Print a line for each change, unless ``quiet``; return the deliveries when all have ended."""
    out = stdout()
    seen: dict[str, tuple[str, int]] = {}
    pause_s = _FIRST_PAUSE_S
    while True:
        deliveries = _all(service, event_id, tenant)
        changed = False
        for delivery in deliveries:
            now = (delivery["status"], delivery["attempt_count"])
            # A pending one that was not tried yet has nothing to tell.
            if seen.get(delivery["id"], ("pending", 0)) == now:
                continue
            seen[delivery["id"]] = now
            changed = True
            if not quiet:
                out.print(_line(delivery))
        if all(delivery["status"] != "pending" for delivery in deliveries):
            return deliveries
        # Quick at first, then at a pace that a long schedule deserves.
        pause_s = _FIRST_PAUSE_S if changed else min(pause_s * 1.3, _LONGEST_PAUSE_S)
        time.sleep(pause_s)


def _all(service: Service, event_id: str, tenant: str) -> list[Delivery]:
    path = f"/v1/events/{quote(event_id, safe='')}/deliveries"
    query: dict[str, str | int] = {"tenant": tenant, "limit": _PAGE}
    found: list[Delivery] = []
    while True:
        page = service.get(path, **query)
        found += page["data"]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


def _line(delivery: Delivery) -> Text:
    status, attempts = delivery["status"], delivery["attempts"]
    last = attempts[-1] if attempts else None
    if status == "success" and last is not None:
        told = f"in {last['latency_ms']} ms, attempt {last['number']}"
    else:
        told = delivery["reason"] or ""
    if delivery["next_attempt_at"] is not None:
        at = datetime.fromisoformat(delivery["next_attempt_at"]).astimezone()
        told += f"; next attempt at {at:%H:%M:%S}"
        if at.date() != datetime.now(at.tzinfo).date():
            told += f" on {at:%Y-%m-%d}"
    style = _STYLES.get(status, "red")
    return Text.assemble(f"{delivery['endpoint_id']}  ", (f"{status:<9}", style), f" {told}")
