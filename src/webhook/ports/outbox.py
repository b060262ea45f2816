"""The contract of the named extra "outbox": accepting inside a transaction of the caller's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from webhook.domain.model import NewEvent
from webhook.ports.records import AcceptedEvent


class WebhookOutbox(Protocol):
    """Accepts over a caller's connection to the database that holds both stores."""

    async def accept(
        self, connection: object, events: Sequence[NewEvent], now: int
    ) -> list[AcceptedEvent]:
        """Store events and deliveries as ``WebhookDeliveryStore.accept`` does, leasing none.

        They are there once the transaction is committed that ``connection`` is in, and then due; if
        it is rolled back, neither they nor their names have ever been. Whatever this raises,
        nothing of this call is committed, and the transaction can go on unless its database says
        otherwise. Raises ``InvalidInput`` with the pointer ``/connection`` for one of another kind,
        one that leads elsewhere or is in no transaction, and as the stores do. It is not to be
        repeated after ``StoreUnavailable``: the whole transaction is.
        """
        ...
