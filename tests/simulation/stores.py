"""The real stores with the weather around them, and a look at what truly stands in them.

Every call of a store has its name in ``CALL`` while it runs, so that a commit knows what it is for.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from webhook.domain.ids import DeliveryRef
from webhook.domain.model import Delivery
from webhook.domain.recovery import Recovery
from webhook.domain.retry import RetryPolicy
from webhook.ports import AcceptResult, Claim, Claimed, WebhookPersistence

if TYPE_CHECKING:
    from tests.simulation.weather import Weather

type Changed = tuple[DeliveryRef, Delivery | None, Delivery | None]

# What the calls of the recovery store have before their names, and two that matter.
RECOVERY = "recovery."
ADVANCE, REMOVE_ENDED = RECOVERY + "advance", RECOVERY + "remove_ended"
CALL: contextvars.ContextVar[str] = contextvars.ContextVar("call", default="?")
REMOVED = "removed"
NOTICE = "notice:"


class StoredEvent(msgspec.Struct, frozen=True):
    """An event as it stands in the store; ``number`` is the one that its caller gave it.

    Its payload is empty once it was erased.
    """

    key: str
    tenant: str
    payload: str
    number: int
    targets: tuple[str, ...]


class StoredEndpoint(msgspec.Struct, frozen=True):
    """What decides whether an endpoint receives an event, and what it is sent."""

    id: str
    tenant: str
    url: str
    status: str
    event_types: tuple[str, ...]
    filters: dict[str, tuple[Any, ...]]
    retry: RetryPolicy | None
    timeout_ms: int | None
    concurrency_max: int | None
    # Starts per second, by its limit and its pace; and whether it failed so often that it is tried.
    rate: float | None
    failing: bool
    ordering_on_failure: str = "continue"


class SimulatedStore(Protocol):
    """One store that several processes share."""

    def persistence(self) -> WebhookPersistence:
        """Return what one process has of it."""
        ...

    def changes(self) -> list[Changed]:
        """Return what has become of the deliveries since the last call: before and after."""
        ...

    def events(self) -> dict[str, StoredEvent]:
        """Return all events by their key, but for those that the service makes itself."""
        ...

    def told(self) -> tuple[dict[str, str], set[str]]:
        """Return the events that the service made: by key the notice; and what is still noted."""
        ...

    def endpoints(self) -> list[StoredEndpoint]:
        """Return all endpoints, the removed ones as far as they are known."""
        ...

    def recoveries(self) -> dict[str, Recovery]:
        """Return all recoveries by their id."""
        ...

    def paused(self) -> bool:
        """Whether the operator has paused all sending."""
        ...


def named[T](store: T, through: Weather | None, prefix: str = "") -> T:
    """Return the store with its calls named, and sent through the weather if it is given."""
    return cast("T", _Named(store, through, prefix))


class _Named:
    def __init__(self, store: object, through: Weather | None, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._through = through

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._store, name)

        async def call(*args: Any, **options: Any) -> Any:
            token = CALL.set(self._prefix + name)
            try:
                if self._through is None:
                    answer = await method(*args, **options)
                else:
                    answer = await self._through.through(lambda: _at_once(method(*args, **options)))
                return _marked(answer) if name in ("accept", "claim") else answer
            finally:
                CALL.reset(token)

        setattr(self, name, call)
        return call


def _marked[T: (AcceptResult, Claim)](answer: T) -> T:
    """Let each request say for which claim it is made: by so many spaces behind its JSON."""
    return msgspec.structs.replace(answer, claimed=[_with_claim(one) for one in answer.claimed])


def _with_claim(claimed: Claimed) -> Claimed:
    payload = claimed.payload + " " * claimed.delivery.claim
    return msgspec.structs.replace(claimed, payload=payload)


def unmarked(body: str) -> tuple[str, int]:
    """Return the payload of a request's body, and the claim for which the request is made."""
    payload = body.rstrip(" ")
    return payload, len(body) - len(payload)


class EventReader:
    """Knows the number that its caller gave each event, also when its payload is gone."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def read(self, key: str, tenant: str, payload: str, targets: Sequence[str]) -> StoredEvent:
        """Return an event with its number."""
        if key not in self._numbers:
            self._numbers[key] = int(msgspec.json.decode(payload)["data"]["number"])
        return StoredEvent(key, tenant, payload, self._numbers[key], tuple(targets))


def _at_once[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that awaits nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    raise AssertionError("a method of the memory store waits for something")
