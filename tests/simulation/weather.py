"""The store's weather: slow, failing before or after it committed, or down for a while."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.options import Options
from webhook.domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from tests.simulation.world import World

SLOW_S_MAX = 8.0
SLOW_TO_FAIL_SHARE = 0.25
MEDDLE_SHARE = 0.6


class Weather:
    """What every call of a store goes through, from the caller's first word to the answer."""

    def __init__(self, world: World, options: Options, dice: random.Random) -> None:
        self._world = world
        self._options = options
        self._dice = dice
        self._down_until_s = 0.0
        self.healed = False

    def go_down(self, seconds: float) -> None:
        """Answer nobody for so long."""
        self._down_until_s = max(self._down_until_s, self._world.loop.time() + seconds)

    def heal(self) -> None:
        """Be a good store from now on."""
        self.healed = True
        self._down_until_s = 0.0

    async def through[T](self, commit: Callable[[], T]) -> T:
        """Do ``commit``, all of it at one moment, with whatever the weather does around it."""
        asked_at, asked_s = self._world.clock.now_ms(), self._world.loop.time()
        await self._delay()
        await self._perhaps_fail("not done")
        try:
            answer = commit()
        finally:
            self._world.history.committed(asked_at, asked_s)
        await self._delay()
        await self._perhaps_fail("done, but the answer is lost")
        return answer

    async def _delay(self) -> None:
        chance = self._dice.random()
        if chance < 0.5:
            await asyncio.sleep(0)
        elif chance > 0.95 and self._options.slow_store and not self.healed:
            self._world.history.trouble()
            await asyncio.sleep(self._dice.random() * SLOW_S_MAX)
            self._world.history.trouble()
        else:
            await asyncio.sleep(chance * 0.01)

    async def _perhaps_fail(self, how: str) -> None:
        if self.healed:
            return
        down = self._world.loop.time() < self._down_until_s
        if down or (self._options.store_faults and self._dice.random() < self._options.fail_share):
            self._world.history.trouble()
            if self._dice.random() < SLOW_TO_FAIL_SHARE:
                # That a connection is lost is not known for a while, and much may happen then.
                if self._dice.random() < MEDDLE_SHARE:
                    self._world.meddle(self._dice)
                await asyncio.sleep(self._dice.random() * SLOW_S_MAX)
                self._world.history.trouble()
            self._world.note("the store fails: ", how)
            raise StoreUnavailable(how)
