"""Every transition of a delivery, for every state and every kind of outcome."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.domain.lifecycle import (
    INTERRUPTIONS_MAX,
    Settlement,
    cancel,
    decide,
    give_up,
    is_transient,
    postpone,
    release,
)
from webhook.domain.model import (
    PENDING_STATES,
    Delivery,
    DeliveryState,
    DeliveryStatus,
    ErrorKind,
    Outcome,
)
from webhook.domain.retry import RetryPolicy

NOW = 1_795_530_233_000
STARTED = NOW - 120
POLICY = RetryPolicy(schedule_s=(10, 20), jitter=0)
OLDER_RULE = msgspec.structs.replace(POLICY, transient_only=True)
NO_RETRY = RetryPolicy(max_retries=0)


def delivery(state: DeliveryState = DeliveryState.LEASED, **changes: object) -> Delivery:
    made = Delivery(
        endpoint_id="ep_" + "0" * 26,
        key="1" * 26,
        tenant="default",
        event_id="evt_1",
        event_type="message.sent",
        state=state,
        claim=3,
    )
    return msgspec.structs.replace(made, **changes)


def outcome(status: int | None = None, kind: ErrorKind | None = None, **changes: object) -> Outcome:
    made = Outcome(started_at=STARTED, latency_ms=120, status_code=status, error_kind=kind)
    return msgspec.structs.replace(made, **changes)


OK = outcome(200)
OUTCOMES: dict[str, Outcome] = {"200": OK, "204": outcome(204)}
OUTCOMES |= {
    str(status): outcome(status, ErrorKind.HTTP_STATUS)
    for status in (400, 401, 404, 408, 410, 413, 422, 429, 499, 500, 502, 503, 504, 599, 999)
}
OUTCOMES["301"] = outcome(301, ErrorKind.REDIRECT)
OUTCOMES |= {
    kind.value: outcome(None, kind)
    for kind in ErrorKind
    if kind not in {ErrorKind.HTTP_STATUS, ErrorKind.REDIRECT}
}
TRANSIENT = {
    "408", "429", "500", "502", "503", "504", "599", "999", "timeout", "dns", "refused", "reset",
    "tls", "protocol", "network", "interrupted",
}  # fmt: skip


def test_every_kind_of_error_is_among_the_outcomes() -> None:
    assert {one.error_kind for one in OUTCOMES.values()} == {None, *ErrorKind}


@pytest.mark.parametrize(
    ("state", "name", "policy"),
    list(itertools.product(DeliveryState, OUTCOMES, [POLICY, OLDER_RULE, NO_RETRY])),
)
def test_every_state_and_outcome(state: DeliveryState, name: str, policy: RetryPolicy) -> None:
    """The next state depends on the outcome, never on where the delivery stands: which states may
    be left is the store's fence to say, and a late 2xx may end a delivery that is ready again.
    """
    given_delivery = delivery(state, attempts_made=4, run_start=4)
    settlement = decide(given_delivery, OUTCOMES[name], policy, NOW, 0.5)
    match name:
        case "200" | "204":
            expected = DeliveryState.SUCCESS
        case "410":
            expected = DeliveryState.FAILED
        case _ if policy.transient_only and name not in TRANSIENT:
            expected = DeliveryState.FAILED
        case _ if policy is NO_RETRY:
            expected = DeliveryState.EXHAUSTED
        case _:
            expected = DeliveryState.SCHEDULED
    assert settlement.state is expected
    check_shape(given_delivery, settlement)
    assert settlement.disable_endpoint is (name == "410")
    assert settlement.attempt is not None
    assert settlement.attempt.number == 5
    assert settlement.attempt.manual


def check_shape(given_delivery: Delivery, settlement: Settlement) -> None:
    """What holds for every settlement: the fence, and which times belong to which state."""
    assert settlement.ref == given_delivery.ref
    assert settlement.claim == given_delivery.claim
    assert settlement.attempts_before == given_delivery.attempts_made
    assert settlement.state is not DeliveryState.LEASED, "only a claim leases"
    if settlement.state in PENDING_STATES:
        assert settlement.due_at is not None
        assert settlement.due_at >= NOW
        assert settlement.completed_at is None
        assert settlement.reason is None
        assert not settlement.disable_endpoint
    else:
        assert settlement.due_at is None
        assert settlement.completed_at == NOW
        assert (settlement.reason is None) is (settlement.state is DeliveryState.SUCCESS)


@given(
    st.builds(
        Outcome,
        started_at=st.just(STARTED),
        latency_ms=st.integers(0, 30_000),
        status_code=st.none() | st.integers(100, 999),
        error_kind=st.none() | st.sampled_from(ErrorKind),
        retry_after_ms=st.none() | st.integers(1, 86_400_000),
    ),
    st.integers(0, 200),
    st.integers(0, 200),
    st.booleans(),
    st.floats(0, 1, exclude_max=True),
)
def test_the_shape_holds_whatever_comes(
    given_outcome: Outcome, made: int, start: int, older_rule: bool, chance: float
) -> None:
    given_delivery = delivery(attempts_made=max(made, start), run_start=start)
    policy = RetryPolicy(transient_only=older_rule)
    check_shape(given_delivery, decide(given_delivery, given_outcome, policy, NOW, chance))


def test_the_attempt_says_what_the_outcome_said() -> None:
    came = outcome(
        503, ErrorKind.HTTP_STATUS, error="HTTP 503", response="busy", note="cut", retry_after_ms=5
    )
    attempt = decide(delivery(attempts_made=1), came, POLICY, NOW, 0.5).attempt
    assert attempt is not None
    assert msgspec.structs.asdict(attempt) == {
        "number": 2,
        "started_at": STARTED,
        "latency_ms": 120,
        "status_code": 503,
        "error_kind": ErrorKind.HTTP_STATUS,
        "error": "HTTP 503",
        "response": "busy",
        "note": "cut",
        "manual": False,
    }


def test_a_delivery_walks_its_schedule_and_is_exhausted() -> None:
    walked = [
        decide(delivery(attempts_made=made), OUTCOMES["503"], POLICY, NOW, 0.5) for made in range(3)
    ]
    assert [one.due_at for one in walked] == [NOW + 10_000, NOW + 20_000, None]
    assert walked[-1].state is DeliveryState.EXHAUSTED
    assert walked[-1].reason == "retries used up after 3 attempts"


def test_a_replay_starts_the_schedule_again_and_counts_on() -> None:
    replayed = delivery(attempts_made=7, run_start=7)
    settlement = decide(replayed, OUTCOMES["503"], POLICY, NOW, 0.5)
    assert settlement.due_at == NOW + 10_000
    assert settlement.attempt is not None
    assert (settlement.attempt.number, settlement.attempt.manual) == (8, True)
    after = msgspec.structs.replace(replayed, attempts_made=8)
    settlement = decide(after, OUTCOMES["503"], POLICY, NOW, 0.5)
    assert settlement.attempt is not None
    assert not settlement.attempt.manual


@pytest.mark.parametrize(
    ("asked_ms", "due_in_ms"), [(None, 10_000), (1, 10_000), (10_001, 10_001), (3_600_000,) * 2]
)
def test_retry_after_pushes_the_next_attempt_back_but_never_forward(
    asked_ms: int | None, due_in_ms: int
) -> None:
    came = outcome(429, ErrorKind.HTTP_STATUS, retry_after_ms=asked_ms)
    assert decide(delivery(), came, POLICY, NOW, 0.5).due_at == NOW + due_in_ms


def test_retry_after_does_not_lengthen_the_schedule() -> None:
    came = outcome(429, ErrorKind.HTTP_STATUS, retry_after_ms=1000)
    settlement = decide(delivery(attempts_made=2), came, POLICY, NOW, 0.5)
    assert settlement.state is DeliveryState.EXHAUSTED


def test_chance_moves_the_retry_within_its_jitter() -> None:
    policy = RetryPolicy(schedule_s=(10,), jitter=0.2)
    due = [decide(delivery(), OUTCOMES["503"], policy, NOW, chance).due_at for chance in (0, 0.5)]
    assert due == [NOW + 8_000, NOW + 10_000]


def test_410_disables_the_endpoint_even_when_retries_are_left() -> None:
    settlement = decide(delivery(), OUTCOMES["410"], POLICY, NOW, 0.5)
    assert settlement.disable_endpoint
    assert settlement.reason == "the receiver answered 410 Gone"


@pytest.mark.parametrize("name", OUTCOMES)
def test_what_is_transient(name: str) -> None:
    if OUTCOMES[name].error_kind is not None:
        assert is_transient(OUTCOMES[name]) is (name in TRANSIENT)


@pytest.mark.parametrize("state", DeliveryState)
def test_giving_back_counts_nothing(state: DeliveryState) -> None:
    given_delivery = delivery(state, attempts_made=2)
    for settlement in (release(given_delivery, NOW), postpone(given_delivery, NOW, NOW + 5)):
        check_shape(given_delivery, settlement)
        assert settlement.attempt is None
    assert release(given_delivery, NOW).state is DeliveryState.READY
    assert release(given_delivery, NOW).due_at == NOW
    assert postpone(given_delivery, NOW, NOW + 5).state is DeliveryState.SCHEDULED
    assert postpone(given_delivery, NOW, NOW + 5).due_at == NOW + 5


@pytest.mark.parametrize("state", DeliveryState)
def test_canceling_keeps_its_reason(state: DeliveryState) -> None:
    settlement = cancel(delivery(state), NOW, "endpoint removed")
    check_shape(delivery(state), settlement)
    assert settlement.state is DeliveryState.CANCELED
    assert settlement.reason == "endpoint removed"
    assert settlement.attempt is None


@pytest.mark.parametrize("interruptions", range(INTERRUPTIONS_MAX + 2))
def test_the_fifth_interruption_in_a_row_is_the_last(interruptions: int) -> None:
    settlement = give_up(delivery(interruptions=interruptions), NOW)
    if interruptions < INTERRUPTIONS_MAX:
        assert settlement is None
        return
    assert settlement is not None
    check_shape(delivery(), settlement)
    assert settlement.state is DeliveryState.EXHAUSTED
    assert settlement.attempt is None


def test_each_state_has_a_status() -> None:
    statuses = {state: state.status for state in DeliveryState}
    pending = {state for state, status in statuses.items() if status is DeliveryStatus.PENDING}
    assert pending == PENDING_STATES
    assert set(statuses.values()) == set(DeliveryStatus)
