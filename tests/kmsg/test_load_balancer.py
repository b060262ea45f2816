"""``LoadBalancer``: each strategy, and a circuit that can always recover."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.engine.world import World, add, url_of
from webhook import Endpoint, EndpointPatch, ErrorKind
from webhook.domain.health import CIRCUIT_MS
from webhook.testing import Reply
from webhook.toolkit import CircuitState, LoadBalancer, Strategy


async def three(world: World) -> list[Endpoint]:
    service = world.service()
    return [await add(service, name) for name in "abc"]


def balancer(world: World, strategy: Strategy | str = "round-robin") -> LoadBalancer:
    return LoadBalancer(strategy, clock=world.clock, chance=world.chance)


def pick(balancer: LoadBalancer, endpoints: list[Endpoint]) -> str:
    chosen = balancer.select_endpoint(endpoints)
    assert chosen is not None
    return chosen.id


def fail(balancer: LoadBalancer, endpoint: Endpoint, times: int = 1) -> None:
    for _ in range(times):
        balancer.on_request_complete(endpoint.id, success=False, latency_ms=1)


async def test_round_robin_takes_turns(world: World) -> None:
    endpoints = await three(world)
    made = balancer(world)
    assert [pick(made, endpoints) for _ in range(6)] == [e.id for e in endpoints] * 2


async def test_least_connections_takes_who_has_the_fewest_under_way(world: World) -> None:
    a, b, c = endpoints = await three(world)
    made = balancer(world, "least-connections")
    assert {pick(made, endpoints) for _ in range(3)} == {a.id, b.id, c.id}
    made.on_request_complete(b.id, success=True, latency_ms=5)
    assert pick(made, endpoints) == b.id


async def test_weighted_gives_shares_and_none_to_weight_zero(world: World) -> None:
    a, b, c = endpoints = await three(world)
    made = LoadBalancer(
        Strategy.WEIGHTED, weights={a.id: 3, c.id: 0}, clock=world.clock, chance=world.chance
    )
    picked = [pick(made, endpoints) for _ in range(8)]
    assert Counter(picked) == {a.id: 6, b.id: 2}
    assert picked[:4].count(b.id) == 1  # spread, not in a row at the end


async def test_random_reaches_all(world: World) -> None:
    endpoints = await three(world)
    made = balancer(world, "random")
    picked = Counter(pick(made, endpoints) for _ in range(300))
    assert len(picked) == 3
    assert min(picked.values()) > 50


def test_a_strategy_or_weight_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="fastest"):
        LoadBalancer("fastest")
    with pytest.raises(ValueError, match="weight"):
        LoadBalancer(weights={"ep_1": -1})
    with pytest.raises(ValueError, match="failures_max"):
        LoadBalancer(failures_max=0)


async def test_three_failures_in_a_row_leave_an_endpoint_alone(world: World) -> None:
    a, b, _ = endpoints = await three(world)
    made = balancer(world)
    for endpoint in endpoints:
        made.register_endpoint(endpoint)
    fail(made, a, 3)
    health = made.get_endpoint_health(a.id)
    assert health is not None
    assert (health.healthy, health.circuit) == (False, CircuitState.OPEN)
    assert a.id not in {pick(made, endpoints) for _ in range(9)}
    assert (made.get_stats().healthy_endpoints, made.get_stats().open_circuits) == (2, 1)
    assert made.get_endpoint_health("ep_unknown") is None
    assert b.id in {health.endpoint_id for health in made.get_all_endpoint_health()}


async def test_failures_that_alternate_with_successes_open_nothing(world: World) -> None:
    a, *_ = endpoints = await three(world)
    made = balancer(world)
    for endpoint in endpoints:
        made.register_endpoint(endpoint)
    for _ in range(10):
        fail(made, a)
        made.on_request_complete(a.id, success=True, latency_ms=1)
    health = made.get_endpoint_health(a.id)
    assert health is not None
    assert health.healthy


async def test_a_trial_that_fails_leaves_it_alone_for_twice_as_long_and_again_tries(
    world: World,
) -> None:
    a, *_ = endpoints = await three(world)
    made = balancer(world)
    for endpoint in endpoints:
        made.register_endpoint(endpoint)
    fail(made, a, 3)
    for wait_ms in (CIRCUIT_MS, 2 * CIRCUIT_MS, 4 * CIRCUIT_MS):
        await world.clock.advance(wait_ms - 1)
        assert pick(made, endpoints) != a.id
        await world.clock.advance(1)
        # Though all others are healthy, and once.
        assert pick(made, endpoints) == a.id
        assert pick(made, endpoints) != a.id
        fail(made, a)
    await world.clock.advance(8 * CIRCUIT_MS)
    assert pick(made, endpoints) == a.id
    made.on_request_complete(a.id, success=True, latency_ms=1)
    health = made.get_endpoint_health(a.id)
    assert health is not None
    assert (health.circuit, health.consecutive_failures) == (CircuitState.CLOSED, 0)


async def test_a_trial_of_which_nobody_tells_is_made_again(world: World) -> None:
    a, *_ = await three(world)
    made = balancer(world)
    made.register_endpoint(a)
    fail(made, a, 3)
    assert made.select_endpoint([a]) is None
    for _ in range(3):
        await world.clock.advance(CIRCUIT_MS)
        assert made.select_endpoint([a]) == a
        assert made.select_endpoint([a]) is None


async def test_who_is_not_active_gets_nothing(world: World) -> None:
    service = world.service()
    a, b = [await add(service, name) for name in "ab"]
    a = await service.update_endpoint(a.id, EndpointPatch(active=False))
    made = balancer(world)
    assert [pick(made, [a, b]) for _ in range(3)] == [b.id] * 3


async def test_checks_are_posts_that_leave_connections_alone_and_bring_back_who_recovers(
    world: World,
) -> None:
    service = world.service()
    a, b = [await add(service, name) for name in "ab"]
    world.sender.script(url_of("a"), *[Reply(error_kind=ErrorKind.REFUSED)] * 3, 200)
    made = LoadBalancer(check=service.probe_endpoint, clock=world.clock, chance=world.chance)
    assert {pick(made, [a, b]) for _ in range(2)} == {a.id, b.id}
    running = asyncio.ensure_future(made.run_checks())
    await world.clock.advance(3 * 30_000)
    unhealthy = made.get_endpoint_health(a.id)
    assert unhealthy is not None
    assert (unhealthy.healthy, unhealthy.active_connections) == (False, 1)
    await world.clock.advance(30_000)
    recovered = made.get_endpoint_health(a.id)
    assert recovered is not None
    assert (recovered.healthy, recovered.active_connections) == (True, 1)
    made.shutdown()
    await world.clock.run(running)
    assert len(world.sender.to(url_of("b"))) == 4
    assert all(sent.body for sent in world.sender.requests)


async def test_a_check_without_means_says_what_to_give() -> None:
    with pytest.raises(RuntimeError, match="probe_endpoint"):
        await LoadBalancer().check_endpoints()


async def test_a_forgotten_endpoint_is_known_no_more(world: World) -> None:
    a, *_ = await three(world)
    made = balancer(world)
    made.register_endpoint(a)
    made.unregister_endpoint(a.id)
    made.on_request_complete(a.id, success=False, latency_ms=1)
    assert made.get_all_endpoint_health() == []


async def test_latency_is_an_average_that_follows(world: World) -> None:
    a, *_ = await three(world)
    made = balancer(world)
    made.register_endpoint(a)
    for latency_ms in (100, 200):
        made.on_request_complete(a.id, success=True, latency_ms=latency_ms)
    assert made.get_stats().average_latency_ms == pytest.approx(120)
