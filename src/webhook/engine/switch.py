"""The operator's switch: pause all sending, and go on."""

from __future__ import annotations

import msgspec

from webhook.engine.endpoints import EndpointService


class SendingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether anything is sent; ``paused_since`` in epoch ms, None while it is."""

    paused_since: int | None = None

    @property
    def paused(self) -> bool:
        """Whether the operator has paused all sending."""
        return self.paused_since is not None


class SwitchService(EndpointService):
    """Adds the switch, which holds for all who work on the same store."""

    async def pause_sending(self) -> SendingStatus:
        """Send nothing more, for any tenant; what is accepted waits, what is under way ends.

        Nothing is lost and no retry used up. A claimer that holds deliveries still sends those, so
        that it may take a second, and as long as an attempt, until all is quiet.
        """
        await self.initialize()
        async with self.access.changing("sending.pause"):
            await self._persistence.delivery_store.pause_sending(self._clock.now_ms())
        return await self.sending_status()

    async def resume_sending(self) -> SendingStatus:
        """Go on, with what waited first."""
        await self.initialize()
        async with self.access.changing("sending.resume"):
            await self._persistence.delivery_store.resume_sending()
        await self._wake_queue.wake(0)
        return await self.sending_status()

    async def sending_status(self) -> SendingStatus:
        """Say whether sending is paused, and since when."""
        await self.initialize()
        since = await self._persistence.delivery_store.sending_paused_since()
        return SendingStatus(paused_since=since)
