"""What tests of limits share: how much was under way at once, and when requests started."""

from __future__ import annotations

import itertools
from typing import Any

from tests.engine.world import (
    World,
    url_of,
)
from webhook.runtime import WebhookRuntimeService


class UnderWay:
    """The most requests to a receiver that were under way at once, seen at each of them."""

    def __init__(self, world: World) -> None:
        self.most = 0
        send = world.sender.send

        async def watched(url: str, *args: Any) -> Any:
            self.most = max(self.most, world.sender.under_way + 1)
            return await send(url, *args)

        world.sender.send = watched  # type: ignore[method-assign, assignment] # put around


def starts(world: World, host: str = "a") -> list[int]:
    return [sent.started_at for sent in world.sender.to(url_of(host))]


def gaps(times: list[int]) -> list[int]:
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def two_servers(world: World, batch_timeout_ms: int = 5_000) -> list[WebhookRuntimeService]:
    return [world.service(background=True, batch_timeout_ms=batch_timeout_ms) for _ in range(2)]
