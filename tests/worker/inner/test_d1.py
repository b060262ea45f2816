"""D1 behind its port: limits that the simulation does not keep, errors, and weather."""

from __future__ import annotations

import os
from typing import Any

import pytest
from workers import env

from tests.worker.inner.weather import LOST, OVERLOADED, Weather, When
from webhook import (
    DeliveryQuery,
    DeliveryStatus,
    EndpointInput,
    InvalidInput,
    StoreUnavailable,
    WebhookConfig,
    WebhookError,
    WebhookEvent,
    WebhookRuntimeService,
)
from webhook.adapters.cloudflare import create_d1_webhook_persistence
from webhook.adapters.cloudflare.d1 import D1Database
from webhook.adapters.sql.database import ConstraintFailed
from webhook.domain.errors import StoreFull

RECEIVER = os.environ.get("WEBHOOK_TEST_RECEIVER", "")
INSERT = "INSERT INTO names (tenant, name, key, content_hash) VALUES (?1, ?2, ?3, ?4)"
TABLES = ("deliveries", "events", "names", "subscriptions", "endpoints")


async def cleaned() -> Any:
    await env.DB.batch([env.DB.prepare(f"DELETE FROM {table}") for table in TABLES])
    return env.DB


async def test_rows_come_back_as_they_went_in() -> None:
    database = D1Database(env.DB)
    values = (None, "h\u00e9\U0001f600", 2**52, 1.5)
    [rows] = await database.batch([("SELECT ?1 AS a, ?2 AS b, ?3 AS c, ?4 AS d", values)])
    assert [rows[0][name] for name in "abcd"] == list(values)


async def test_a_constraint_undoes_the_batch_and_is_told_apart() -> None:
    await cleaned()
    database = D1Database(env.DB)
    row = (INSERT, ("t", "n", "k", "h"))
    with pytest.raises(ConstraintFailed):
        await database.batch([row, row])
    assert await database.read([("SELECT * FROM names", ())]) == [[]]


async def test_a_check_is_a_constraint_too() -> None:
    with pytest.raises(ConstraintFailed, match="name_conflict"):
        await D1Database(env.DB).batch([(INSERT, ("t", "n", "k", ""))])


async def test_more_than_a_hundred_parameters_are_refused_by_us() -> None:
    binding = Weather(env.DB)
    with pytest.raises(WebhookError, match="101 parameters"):
        await D1Database(binding).batch([("SELECT 1", tuple(range(101)))])
    assert binding.batches == 0


@pytest.mark.parametrize("text", ["x" * 2_000_001, "\u00e9" * 1_000_001, "\U0001f600" * 500_001])
async def test_a_value_over_two_megabytes_is_refused_by_us(text: str) -> None:
    binding = Weather(env.DB)
    with pytest.raises(InvalidInput, match="does not fit D1"):
        await D1Database(binding).batch([("SELECT ?1", (text,))])
    assert binding.batches == 0


async def test_a_value_of_two_megabytes_passes() -> None:
    [[row]] = await D1Database(env.DB).read([("SELECT length(?1) AS n", ("x" * 2_000_000,))])
    assert row["n"] == 2_000_000


@pytest.mark.parametrize("sql", ["SELEC", "SELECT * FROM no_such_table", "SELECT ?1"])
async def test_a_statement_that_is_wrong_is_a_fault_and_no_weather(sql: str) -> None:
    parameters = ("a", "b") if "?1" in sql else ()
    with pytest.raises(WebhookError) as caught:
        await D1Database(env.DB).batch([(sql, parameters)])
    assert not isinstance(caught.value, StoreUnavailable)


@pytest.mark.parametrize("text", [OVERLOADED, LOST, "D1_ERROR: storage caused object to be reset."])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_weather_is_a_store_that_is_unavailable(when: When, text: str) -> None:
    database = D1Database(Weather(env.DB, (when, text)))
    with pytest.raises(StoreUnavailable):
        await database.batch([("SELECT 1", ())])


@pytest.mark.parametrize(
    "text",
    ["D1_ERROR: Exceeded maximum DB size", "D1_ERROR: database or disk is full: SQLITE_FULL"],
)
async def test_a_database_that_is_full_says_so(text: str) -> None:
    with pytest.raises(StoreFull):
        await D1Database(Weather(env.DB, ("before", text))).batch([("SELECT 1", ())])


async def test_a_fault_of_ours_in_python_stays_what_it_is() -> None:
    class Broken:
        def prepare(self, sql: str) -> Any:
            raise KeyError(sql)

        async def batch(self, _statements: Any) -> None:
            raise AssertionError

    with pytest.raises(KeyError):
        await D1Database(Broken()).batch([("SELECT 1", ())])


# --- the service in bad weather -------------------------------------------------------------------


class Stormy:
    """A service on D1 with an endpoint, before the weather turns."""

    def __init__(self) -> None:
        self.binding = Weather(env.DB)
        self.service = WebhookRuntimeService(
            WebhookConfig(allow_http=True, allow_private_hosts=True, retry_schedule_s=(0,)),
            persistence=create_d1_webhook_persistence(self.binding),
        )

    async def ready(self, path: str = "/ok") -> Stormy:
        await cleaned()
        given = EndpointInput(url=f"{RECEIVER}{path}", event_types=["*"])
        await self.service.add_endpoint(given)
        return self

    def expect(self, *forecast: tuple[When, str]) -> None:
        self.binding.forecast = list(forecast)
        self.binding.batches = 0

    async def stored(self) -> tuple[int, int]:
        found = await D1Database(env.DB).read(
            [("SELECT count(*) AS n FROM events", ()), ("SELECT count(*) AS n FROM deliveries", ())]
        )
        return found[0][0]["n"], found[1][0]["n"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("times", [1, 2])
async def test_an_accept_of_unknown_outcome_is_repeated_and_is_no_duplicate(
    when: When, times: int
) -> None:
    stormy = await Stormy().ready()
    stormy.expect(*[(when, LOST)] * times)
    accepted = await stormy.service.emit(WebhookEvent(type="message.sent", data=1, id="once"))
    assert (accepted.duplicate, accepted.delivery_count) == (False, 1)
    assert stormy.binding.batches == times + 1
    assert await stormy.stored() == (1, 1)


async def test_an_accept_that_fails_three_times_says_so_and_may_be_repeated_by_its_caller() -> None:
    stormy = await Stormy().ready()
    event = WebhookEvent(type="message.sent", data=1, id="once")
    stormy.expect(("before", OVERLOADED), ("after", LOST), ("after", LOST))
    with pytest.raises(StoreUnavailable):
        await stormy.service.emit(event)
    # It was stored after all; the caller's repeat finds it by its name.
    assert (await stormy.service.emit(event)).duplicate
    assert await stormy.stored() == (1, 1)
    await stormy.service.flush()
    page = await stormy.service.list_deliveries(DeliveryQuery(tenant="default"))
    assert [delivery.status for delivery in page.items] == [DeliveryStatus.SUCCESS]


async def test_a_first_attempt_goes_out_though_the_answer_to_its_accept_was_lost() -> None:
    stormy = await Stormy().ready()
    stormy.expect(("after", LOST))
    [delivery] = await stormy.service.emit_sync(WebhookEvent(type="message.sent", data=1))
    assert (delivery.status, delivery.attempts_made) == (DeliveryStatus.SUCCESS, 1)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_settle_of_unknown_outcome_is_repeated_and_counts_once(when: When) -> None:
    stormy = await Stormy().ready()
    stormy.expect(("not", ""), (when, OVERLOADED))
    [delivery] = await stormy.service.emit_sync(WebhookEvent(type="message.sent", data=1))
    assert (delivery.status, delivery.attempts_made) == (DeliveryStatus.SUCCESS, 1)
    assert len(delivery.attempts) == 1


async def test_a_claim_in_bad_weather_is_tried_again() -> None:
    stormy = await Stormy().ready()
    await stormy.service.emit(WebhookEvent(type="message.sent", data=1))
    stormy.expect(("before", OVERLOADED))
    await stormy.service.flush()
    page = await stormy.service.list_deliveries(DeliveryQuery(tenant="default"))
    assert [delivery.status for delivery in page.items] == [DeliveryStatus.SUCCESS]
    await cleaned()
