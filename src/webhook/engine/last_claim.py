"""What the last claim left behind: whether another one may find more before anybody says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from webhook.ports import Claim


class LastClaim:
    """A claim costs a write, and most ends of attempts make nothing due; see ``may_find_more``."""

    def __init__(self, per_endpoint_held: Callable[[], Mapping[str, int]]) -> None:
        self._per_endpoint_held = per_endpoint_held
        self._found_nothing = False
        self._due_at: int | None = None
        self._share = 0
        self._with_share: list[str] = []

    def begin(self) -> None:
        """Take it that there is more while the next one is under way."""
        self._found_nothing = False

    def end(
        self, claim: Claim, in_flight: Mapping[str, int], share: int, due_at: int | None
    ) -> None:
        """Note what it came to; ``due_at`` is when it knew something to fall due."""
        self._found_nothing = not claim.claimed
        self._due_at = due_at
        self._share = share
        self._with_share = [endpoint for endpoint, held in in_flight.items() if held >= share]

    def may_find_more(self, due_at: int | None) -> bool:
        """Whether a claim may find what the last one did not, though no hint has come.

        What was settled may be due again, at ``due_at``; an endpoint that had its share may take
        more. All else comes with a hint, or when its time comes.
        """
        if not self._found_nothing:
            return True
        if due_at is not None and (self._due_at is None or due_at < self._due_at):
            return True
        if not self._with_share:
            return False
        held = self._per_endpoint_held()
        return any(held[endpoint] < self._share for endpoint in self._with_share)
