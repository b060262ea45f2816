"""A claim that goes all the way round: lanes of paused endpoints may end a store's walk early."""

from __future__ import annotations

import msgspec

from webhook.ports import Claim, ClaimRequest, WebhookDeliveryStore

_WALKS_MAX = 1_000


async def walk(store: WebhookDeliveryStore, request: ClaimRequest) -> Claim:
    """Claim; go on where an empty walk ended early, until something is found or it came round."""
    claim = await store.claim(request)
    place = request.start
    for _ in range(_WALKS_MAX):
        if claim.claimed or claim.more or claim.next_start == place:
            return claim
        here, place = place, claim.next_start
        if _passes(request.start, here, place):
            return claim
        further = await store.claim(msgspec.structs.replace(request, start=place))
        claim = _with_gates_of(further, claim)
    return claim


def _with_gates_of(claim: Claim, before: Claim) -> Claim:
    """Return the claim that goes on with a walk, and the gates that it met before."""
    times = [at for at in (before.next_gate_at, claim.next_gate_at) if at is not None]
    return msgspec.structs.replace(
        claim,
        held_back=before.held_back or claim.held_back,
        next_gate_at=min(times, default=None),
    )


def _passes(start: str, here: str, there: str) -> bool:
    """Whether a walk from ``here`` to ``there`` passes ``start``; it may begin again in front."""
    if here < there:
        return here < start <= there
    return not there < start <= here
