"""Announce: what a store has noted becomes operational events, which are delivered as any other."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from webhook.domain.errors import WebhookError
from webhook.domain.ids import KeyMaker
from webhook.domain.notice import Notice, operational_event
from webhook.engine.accept import accept
from webhook.ports import NO_FIRST_ATTEMPTS, Clock, WakeQueue, WebhookPersistence

_log = logging.getLogger("webhook.delivery")


class Announcer:
    """Accepts the events of notices, and then has the store forget those.

    Whoever dies in between leaves the notices to a sweep: an event's name makes it one however
    often it is accepted.
    """

    def __init__(
        self,
        persistence: WebhookPersistence,
        *,
        wake_queue: WakeQueue,
        clock: Clock,
        keys: KeyMaker,
    ) -> None:
        self._persistence = persistence
        self._wake_queue = wake_queue
        self._clock = clock
        self._keys = keys

    async def announce(self, notices: Sequence[Notice]) -> None:
        """Tell what was noted; raises nothing, since a sweep tells what could not be told."""
        if not notices:
            return
        try:
            if not self._persistence.joint:
                notices = await self._with_urls(notices)
            now = self._clock.now_ms()
            events = [operational_event(notice, self._keys(now)) for notice in notices]
            result = await accept(self._persistence, events, NO_FIRST_ATTEMPTS, self._clock)
            await self._persistence.delivery_store.forget_notices([n.id for n in notices])
        except WebhookError as error:
            _log.warning("%d operational events are left to the sweep: %s", len(notices), error)
        else:
            if result.waiting:
                await self._wake_queue.wake(0)

    async def _with_urls(self, notices: Sequence[Notice]) -> list[Notice]:
        """Say where the endpoints are, which are kept elsewhere."""
        ids = sorted({notice.endpoint_id for notice in notices})
        found = await self._persistence.endpoint_store.get_many(ids)
        urls = {endpoint.id: endpoint.url for endpoint in found}
        return [msgspec.structs.replace(n, url=urls.get(n.endpoint_id)) for n in notices]
