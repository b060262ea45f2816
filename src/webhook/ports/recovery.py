"""The contract of the named extra "recovery": many deliveries made again, piece by piece."""

from __future__ import annotations

from typing import Protocol

import msgspec

from webhook.domain.event import TENANT_DEFAULT
from webhook.domain.ids import DeliveryRef
from webhook.domain.recovery import Recovery, Subscription
from webhook.ports.records import LIST_LIMIT_DEFAULT, Page

# A wish that is repeated so soon is a finger that clicked twice, even if all is done already.
DOUBLE_CLICK_MS = 10_000


class RecoveryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which recoveries to list: one tenant's, newest first."""

    tenant: str = TENANT_DEFAULT
    limit: int = LIST_LIMIT_DEFAULT
    after: str | None = None


class RecoveryFound(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan found: deliveries to replay, and keys of events whose delivery is to be made.

    ``cursor`` is how far it came, ``done`` that this was the end of the range.
    """

    replays: list[DeliveryRef]
    missed: list[str]
    scanned: int
    cursor: str
    done: bool


class WebhookRecoveryStore(Protocol):
    """Keeps recoveries beside the deliveries, and does their pieces."""

    async def start(self, recovery: Recovery) -> Recovery:
        """Store a new recovery and return it, or else the one that is the same.

        That is one of its tenant with its ``fingerprint`` which still runs, or which is done and
        was started less than ``DOUBLE_CLICK_MS`` before. Repeating the call with the same id
        returns what is stored under it.
        """
        ...

    async def get(self, tenant: str | None, recovery_id: str) -> Recovery | None:
        """Return one recovery, or None; ``tenant`` None means any tenant."""
        ...

    async def running(self, limit: int) -> list[Recovery]:
        """Return running recoveries of all tenants, the one that waits longest first."""
        ...

    async def cancel(
        self, tenant: str | None, recovery_id: str, now: int, reason: str
    ) -> Recovery | None:
        """End a running recovery and return it, None when unknown.

        What it has done stays done. One that has ended is returned unchanged.
        """
        ...

    async def scan(
        self, recovery: Recovery, subscription: Subscription | None, limit: int, rows_max: int
    ) -> RecoveryFound:
        """Look on from the cursor over at most ``rows_max`` rows; writes nothing.

        Finds at most ``limit``, perhaps fewer, and comes no further than that. By kind: *failed*,
        deliveries to the endpoint that ended ``failed`` or ``exhausted``; *missed*, events of the
        tenant that ``subscription`` wants and that have no delivery to the endpoint; *all*, those
        events and every finished delivery to it; *filter*, the finished deliveries that its range
        matches as a ``DeliveryQuery`` does. Deliveries of removed endpoints are left out, where
        the store keeps endpoints. The range bounds the events' accept times.
        """
        ...

    async def advance(self, recovery: Recovery, found: RecoveryFound, now: int) -> Recovery:
        """Do one piece in one atomic write, and return the recovery as it is then.

        Only if it still runs and its cursor is still that of ``recovery``: else nothing changes,
        so that of two that do the same piece one does it. Each delivery of ``replays`` that still
        stands in one of ``recovery.statuses`` gets a new run, as by ``replay``. Each event of
        ``missed`` that is still there and has no delivery to the endpoint gets one, ready, whose
        present run begins at ``now``; the event remembers the endpoint among those it went to, but
        a repeat of its accept is answered as before. With an ordering key it goes to the end of its
        line, as at an accept, the oldest event first.
        Nothing is done for an endpoint that was removed. The counts rise by what was done, and
        ``done`` ends the recovery.
        """
        ...

    async def remove_ended(self, before: int, limit: int) -> int:
        """Forget at most ``limit`` recoveries that ended and were started before; count them."""
        ...

    # `list` hides the builtin from the annotations below it.

    async def list(self, query: RecoveryQuery) -> Page[Recovery]:
        """Return recoveries, newest first."""
        ...
