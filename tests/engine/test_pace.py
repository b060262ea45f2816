"""An endpoint that comes back gets what waited, but is not flooded with it."""

from __future__ import annotations

from bisect import bisect_left

import pytest

from tests.engine.limited import starts
from tests.engine.world import MINUTE_MS, SECOND_MS, World, add, event, statuses, url_of
from webhook.domain.model import DeliveryStatus

GOOD_RATE = 10


def most_per_second(times: list[int]) -> int:
    """Return the most of these that are within any one second."""
    return max(place + 1 - bisect_left(times, at - 999) for place, at in enumerate(times))


@pytest.mark.parametrize(("waiting", "limit"), [(10_000, None), (1_500, 15)])
async def test_what_waited_for_ten_minutes_comes_at_twice_the_good_rate_or_the_limit(
    world: World, waiting: int, limit: float | None
) -> None:
    first, second = (world.service(background=True, retry_schedule_s=(120,) * 20) for _ in range(2))
    endpoint = await add(first, rate_limit_per_second=limit)
    await second.initialize()
    for number in range(20 * GOOD_RATE):
        await (first, second)[number % 2].emit(event(number))
        await world.clock.advance(SECOND_MS / GOOD_RATE)
    good = starts(world)
    assert most_per_second(good) == GOOD_RATE

    down_at = world.clock.now_ms()
    world.sender.script(url_of("a"), 503)
    for number in range(0, waiting, waiting // 100):
        await first.emit_many([event(number + n) for n in range(waiting // 100)])
        await world.clock.advance(6 * SECOND_MS)
    assert world.clock.now_ms() - down_at == 10 * MINUTE_MS
    while_down = len(starts(world)) - len(good)
    assert while_down < 100

    world.sender.script(url_of("a"), 200)
    before = len(starts(world))
    rate = limit or 2 * GOOD_RATE
    # The circuit has its time, and so have the retries.
    await world.clock.advance(10 * MINUTE_MS + 1.1 * waiting / rate * SECOND_MS)
    found = await statuses(first)
    assert len(found) == len(good) + waiting
    assert set(found) == {DeliveryStatus.SUCCESS}
    after = starts(world)[before:]
    assert len(after) == waiting
    assert rate - 1 <= most_per_second(after) <= rate
    # Used to the full, and then it is an endpoint like any other.
    assert after[waiting - 100] - after[0] < 1.1 * waiting / rate * SECOND_MS
    assert (await first.get_endpoint(endpoint.id)).paced_since is None
