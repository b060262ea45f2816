"""What an operator does by hand: replay, cancel, recover. A recovery is done in short pieces."""

from __future__ import annotations

import asyncio
import logging
from typing import Literal, overload

import msgspec

from webhook.domain.errors import (
    InvalidInput,
    NotFound,
    NotSupported,
    StoreUnavailable,
    WebhookError,
)
from webhook.domain.ids import parse_delivery_id
from webhook.domain.model import Delivery, DeliveryStatus, Endpoint
from webhook.domain.recovery import (
    Recovery,
    RecoveryCount,
    RecoveryKind,
    RecoveryRange,
    Subscription,
    fingerprint,
    is_recovery_id,
)
from webhook.engine.endpoints import EndpointService
from webhook.ports import (
    CANCELED_BY_HAND,
    ENDPOINT_REMOVED,
    DeliveryQuery,
    Page,
    RecoveryQuery,
    WebhookRecoveryStore,
)

_log = logging.getLogger("webhook.recovery")
# A piece is so short that deliveries hardly notice: a few ms of the store's writer. An event that
# was missed is written again with its payload, so fewer of those.
PIECE_REPLAYS, PIECE_MISSED = 200, 100
PIECE_ROWS = 1_000
PIECE_PAUSE_MS = 20
LOOK_EVERY_MS = 60_000
# A dry run counts to here, over so many scans at most.
COUNT_MAX = 10_000
_COUNT_ROWS = 10_000
_COUNT_SCANS_MAX = 20


class RecoveryService(EndpointService):
    """What is done by hand to deliveries, one or many."""

    # Set when a piece is due, where a background loop waits for it.
    _recovery_due: asyncio.Event | None = None

    # --- one delivery -----------------------------------------------------------------------------

    async def get_delivery(self, delivery_id: str, *, tenant: str | None = None) -> Delivery:
        """Return a delivery with its attempts; raises ``NotFound``."""
        await self.initialize()
        ref = parse_delivery_id(delivery_id)
        found = None if ref is None else await self._deliveries.get_delivery(tenant, ref)
        if found is None:
            raise NotFound(f"There is no delivery {delivery_id[:64]!r}.")
        return found

    async def replay_delivery(
        self, delivery_id: str, *, tenant: str | None = None
    ) -> tuple[Delivery, bool]:
        """Deliver once more; return the delivery and whether a new run was started.

        A pending delivery is left as it is. Raises ``NotFound``, or ``Conflict`` when its endpoint
        was removed or its payload erased.
        """
        before = await self.get_delivery(delivery_id, tenant=tenant)
        if before.status is DeliveryStatus.PENDING:
            return before, False
        async with self.access.changing("delivery.replay", before):
            replayed = await self._deliveries.replay(tenant, before.ref, self._clock.now_ms())
        if replayed is None:
            raise NotFound(f"There is no delivery {delivery_id[:64]!r}.")
        await self._wake_queue.wake(0)
        return replayed, True

    async def cancel_delivery(
        self, delivery_id: str, *, tenant: str | None = None
    ) -> tuple[Delivery, bool]:
        """Deliver no more; return the delivery and whether this canceled it.

        A finished delivery is left as it is, unless it stops its ordering key. An attempt that is
        under way may still reach the receiver; nothing of it is recorded. Raises ``NotFound``.
        """
        before = await self.get_delivery(delivery_id, tenant=tenant)
        if before.status is not DeliveryStatus.PENDING and not before.stops:
            return before, False
        now = self._clock.now_ms()
        async with self.access.changing("delivery.cancel", before):
            after = await self._deliveries.cancel(tenant, before.ref, now, CANCELED_BY_HAND)
        if after is None:
            raise NotFound(f"There is no delivery {delivery_id[:64]!r}.")
        if before.ordering_key is not None:
            await self._wake_queue.wake(0)
        # It may have come to another end just before.
        return after, (after.status, after.reason) == (DeliveryStatus.CANCELED, CANCELED_BY_HAND)

    # --- many -------------------------------------------------------------------------------------

    @overload
    async def recover_endpoint(
        self,
        endpoint_id: str,
        *,
        since: int,
        until: int | None = None,
        which: RecoveryKind = RecoveryKind.FAILED,
        tenant: str | None = None,
        dry_run: Literal[False] = False,
    ) -> Recovery: ...

    @overload
    async def recover_endpoint(
        self,
        endpoint_id: str,
        *,
        since: int,
        until: int | None = None,
        which: RecoveryKind = RecoveryKind.FAILED,
        tenant: str | None = None,
        dry_run: Literal[True],
    ) -> RecoveryCount: ...

    async def recover_endpoint(
        self,
        endpoint_id: str,
        *,
        since: int,
        until: int | None = None,
        which: RecoveryKind = RecoveryKind.FAILED,
        tenant: str | None = None,
        dry_run: bool = False,
    ) -> Recovery | RecoveryCount:
        """Deliver to an endpoint what it failed to take, or missed, of a time; epoch ms.

        ``since`` (inclusive) and ``until`` (exclusive, now when left out) bound the events' accept
        times. ``which``: *failed*, deliveries that ended ``failed`` or ``exhausted``; *missed*,
        events after the endpoint was made that match its subscription as it is now and have no
        delivery to it; *all*, both and whatever else has ended, successes too. The first piece is
        done at once, the others by whoever sweeps. The same wish again, while it runs or within
        seconds, returns the same recovery. A dry run only counts.

        Raises ``NotFound``, ``InvalidInput``, or ``NotSupported`` where the stores keep none.
        """
        store = self._store()
        if which is RecoveryKind.FILTER:
            raise InvalidInput.at("/which", "Is failed, missed or all; replay_matching filters.")
        endpoint = await self.get_endpoint(endpoint_id, tenant=tenant)
        asked = RecoveryRange(since=since, until=until, endpoint_id=endpoint_id)
        recovery = self._new_recovery(endpoint.tenant, which, asked, endpoint)
        return await self._begin(store, recovery, dry_run=dry_run)

    @overload
    async def replay_matching(
        self, query: DeliveryQuery, *, dry_run: Literal[False] = False
    ) -> Recovery: ...

    @overload
    async def replay_matching(
        self, query: DeliveryQuery, *, dry_run: Literal[True]
    ) -> RecoveryCount: ...

    async def replay_matching(
        self, query: DeliveryQuery, *, dry_run: bool = False
    ) -> Recovery | RecoveryCount:
        """Replay every finished delivery of a tenant that ``query`` would list.

        Its ``limit`` and ``after`` play no part, and ``event_key`` must be None. At least one
        filter must be given, and ``status`` cannot be ``pending``. As ``recover_endpoint`` beyond
        that.

        Raises ``InvalidInput``, or ``NotSupported`` where the stores keep no recoveries.
        """
        store = self._store()
        asked = RecoveryRange(
            since=query.since,
            until=query.until,
            endpoint_id=query.endpoint_id,
            event_type=query.event_type,
            status=query.status,
            error_kind=query.error_kind,
        )
        if query.event_key is not None:
            raise InvalidInput("An event has few deliveries: replay them one by one.")
        if asked == RecoveryRange():
            raise InvalidInput.at("", "Give at least one filter; this would replay everything.")
        if asked.status is DeliveryStatus.PENDING:
            raise InvalidInput.at("/status", "What is pending is delivered anyway; choose an end.")
        await self.initialize()
        recovery = self._new_recovery(query.tenant, RecoveryKind.FILTER, asked)
        return await self._begin(store, recovery, dry_run=dry_run)

    async def get_recovery(self, recovery_id: str, *, tenant: str | None = None) -> Recovery:
        """Return a recovery; raises ``NotFound``, or ``NotSupported`` where none are kept."""
        store = self._store()
        await self.initialize()
        found = await store.get(tenant, recovery_id) if is_recovery_id(recovery_id) else None
        if found is None:
            raise NotFound(f"There is no recovery {recovery_id[:64]!r}.")
        return found

    async def list_recoveries(self, query: RecoveryQuery | None = None) -> Page[Recovery]:
        """Return one page of a tenant's recoveries, newest first."""
        store = self._store()
        await self.initialize()
        return await store.list(query or RecoveryQuery())

    async def cancel_recovery(
        self, recovery_id: str, *, tenant: str | None = None
    ) -> tuple[Recovery, bool]:
        """Stop a recovery; return it and whether this stopped it. What it has done stays done."""
        store = self._store()
        before = await self.get_recovery(recovery_id, tenant=tenant)
        if not before.running:
            return before, False
        now = self._clock.now_ms()
        async with self.access.changing("recovery.cancel", before):
            after = await store.cancel(tenant, recovery_id, now, CANCELED_BY_HAND)
        if after is None:
            raise NotFound(f"There is no recovery {recovery_id[:64]!r}.")
        return after, after.reason == CANCELED_BY_HAND

    def _store(self) -> WebhookRecoveryStore:
        if self._recoveries is None:
            raise NotSupported(
                "These stores keep no recoveries: give a persistence with a recovery_store, or "
                "replay deliveries one by one."
            )
        return self._recoveries

    def _new_recovery(
        self,
        tenant: str,
        kind: RecoveryKind,
        asked: RecoveryRange,
        endpoint: Endpoint | None = None,
    ) -> Recovery:
        now = self._clock.now_ms()
        # Whatever is accepted from now on is none of its business.
        until = now + 1 if asked.until is None else min(asked.until, now + 1)
        since = asked.since
        if since is not None and asked.until is not None and since >= asked.until:
            raise InvalidInput.at("/until", "Lies before since, so nothing is in between.")
        if endpoint is not None and kind is not RecoveryKind.FAILED:
            since = max(since or 0, endpoint.created_at)
        return Recovery(
            id=f"rcv_{self._keys(now)}",
            tenant=tenant,
            kind=kind,
            range=msgspec.structs.replace(asked, since=since, until=until),
            fingerprint=fingerprint(kind, asked),
            created_at=now,
            updated_at=now,
        )

    async def _begin(
        self, store: WebhookRecoveryStore, recovery: Recovery, *, dry_run: bool
    ) -> Recovery | RecoveryCount:
        if dry_run:
            return await self._count(store, recovery)
        async with self.access.changing("recovery.start", recovery, detail=recovery.kind):
            started = await store.start(recovery)
        before = started
        if started.id == recovery.id and not started.cursor:
            try:
                started = await self._piece(store, started)
            except StoreUnavailable as error:
                # It has begun, and goes on with the next piece.
                _log.warning("first piece of %s failed: %s", started.id, error)
        await self._hint(brought=_brought(before, started), more=started.running)
        return started

    async def _hint(self, *, brought: bool, more: bool) -> None:
        """Wake whoever delivers what was brought, and whoever does the next piece: one hint."""
        if more and self._recovery_due is not None:
            self._recovery_due.set()
            more = False
        if brought or more:
            await self._wake_queue.wake(0)

    async def _count(self, store: WebhookRecoveryStore, recovery: Recovery) -> RecoveryCount:
        replayed = made = scanned = 0
        more = True
        for _ in range(_COUNT_SCANS_MAX):
            limit = COUNT_MAX - replayed - made
            subscription = await self._subscription(recovery)
            found = await store.scan(recovery, subscription, limit, _COUNT_ROWS)
            replayed += len(found.replays)
            made += len(found.missed)
            scanned += found.scanned
            more = not found.done
            if found.done or replayed + made >= COUNT_MAX:
                break
            recovery = msgspec.structs.replace(recovery, cursor=found.cursor)
        return RecoveryCount(scanned=scanned, replayed=replayed, made=made, more=more)

    # --- piece by piece ---------------------------------------------------------------------------

    async def recover_some(self, *, pieces: int = 1) -> bool:
        """Do so many pieces of what runs, the one that waits longest first.

        Return whether more is to be done; then somebody goes on soon. Nothing is done twice when
        others do the same.
        """
        if self._recoveries is None:
            return False
        await self.initialize()
        brought = more = False
        for _ in range(pieces):
            found = await self._recoveries.running(2)
            if not found:
                more = False
                break
            piece = await self._piece(self._recoveries, found[0])
            brought |= _brought(found[0], piece)
            more = piece.running or len(found) > 1
            if not more:
                break
        await self._hint(brought=brought, more=more)
        return more

    async def _piece(self, store: WebhookRecoveryStore, recovery: Recovery) -> Recovery:
        """Do one piece; return what came of it."""
        subscription: Subscription | None = None
        if recovery.kind is not RecoveryKind.FILTER:
            subscription = await self._subscription(recovery)
            if subscription is None:
                now = self._clock.now_ms()
                return await store.cancel(None, recovery.id, now, ENDPOINT_REMOVED) or recovery
        only_replays = recovery.kind in (RecoveryKind.FAILED, RecoveryKind.FILTER)
        limit = PIECE_REPLAYS if only_replays else PIECE_MISSED
        found = await store.scan(recovery, subscription, limit, PIECE_ROWS)
        return await store.advance(recovery, found, self._clock.now_ms())

    async def _subscription(self, recovery: Recovery) -> Subscription | None:
        """Return what the endpoint of a recovery receives as it is now, None without one."""
        endpoint_id = recovery.range.endpoint_id
        if endpoint_id is None:
            return None
        endpoint = await self._endpoints.get(recovery.tenant, endpoint_id)
        if endpoint is None:
            return None
        return Subscription.of(endpoint, self.config.enabled_events)

    async def _recover_for_ever(self, stop: asyncio.Event) -> None:
        """Do what runs, piece after piece; whoever sets ``stop`` sets ``_recovery_due`` too."""
        self._recovery_due = due = asyncio.Event()
        while not stop.is_set():
            due.clear()
            more = False
            try:
                more = await self.recover_some()
            except WebhookError as error:
                _log.warning("recovery failed, trying again in a minute: %s", error)
            except Exception:  # noqa: BLE001 - a loop that ends would leave recoveries lying
                _log.exception("recovery failed, trying again in a minute")
            # Between two pieces deliveries have the store for themselves.
            if more:
                await self._clock.wait(stop, PIECE_PAUSE_MS)
            else:
                await self._clock.wait(due, LOOK_EVERY_MS)


def _brought(before: Recovery, after: Recovery) -> bool:
    """Whether something may have been made ready."""
    return (after.replayed, after.made) != (before.replayed, before.made)
