"""What the operator does at the end about ordering keys that dead letters have stopped."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from webhook.domain.endpoint import EndpointPatch
from webhook.domain.errors import Conflict, NotFound
from webhook.domain.model import OrderingOnFailure
from webhook.engine.service import WebhookService

if TYPE_CHECKING:
    from tests.simulation.world import World


async def release_all(world: World) -> None:
    """Let every endpoint go on in spite of dead letters."""
    stopping = [
        endpoint.id
        for endpoint in world.history.endpoints.values()
        if endpoint.ordering_on_failure == OrderingOnFailure.STOP and endpoint.status != "removed"
    ]
    for endpoint_id in stopping:
        try:
            await world.callers.ask(partial(_release, endpoint_id))
        except (Conflict, NotFound):
            world.note("changed meanwhile: ", world.endpoint_name(endpoint_id))


async def _release(endpoint_id: str, service: WebhookService) -> None:
    patch = EndpointPatch(ordering_on_failure=OrderingOnFailure.CONTINUE)
    await service.update_endpoint(endpoint_id, patch)
