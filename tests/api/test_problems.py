"""One place makes every error, in one shape, and it tells the caller nothing that is not theirs."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tests.api.bad_input import PROBLEM, check_shape
from tests.api.client import Api, opened
from webhook import (
    Conflict,
    EventQuery,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    SchemaError,
    StoreFull,
    StoreUnavailable,
    WebhookError,
    create_in_memory_webhook_persistence,
)
from webhook.api.app import OPERATIONS
from webhook.api.operation import Operation
from webhook.api.problems import CATALOGUE, PROBLEMS, problem_response

SECRET = "postgresql://user:password@db"


class Mishap(Exception):  # noqa: N818 - named after what it stands for
    """Nobody foresaw this."""


class BrokenStore:
    """Stands before a store and raises in its place, whatever is asked."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        async def broken(*_: object, **__: object) -> None:
            raise self.error

        return broken

    def beside(self, _entries: object) -> AbstractAsyncContextManager[None]:
        raise self.error


async def broken(error: Exception) -> AsyncIterator[Api]:
    persistence = create_in_memory_webhook_persistence()
    persistence.endpoint_store = BrokenStore(error)
    persistence.delivery_store = BrokenStore(error)
    persistence.recovery_store = BrokenStore(error)
    persistence.access_store = BrokenStore(error)
    persistence.tenant_store = BrokenStore(error)
    async with opened(persistence=persistence, auto_start=False) as api:
        yield api


@pytest.fixture
async def unavailable() -> AsyncIterator[Api]:
    async for api in broken(StoreUnavailable(SECRET)):
        yield api


@pytest.fixture
async def buggy() -> AsyncIterator[Api]:
    async for api in broken(Mishap(SECRET)):
        yield api


EVENT_ID, ENDPOINT_ID, DELIVERY_ID = "evt_1", f"ep_{'0' * 26}", f"dlv_{'0' * 52}"


def request_of(operation: Operation) -> dict[str, Any]:
    """Return a good request of an operation."""
    thing = {
        "endpoints": ENDPOINT_ID,
        "deliveries": DELIVERY_ID,
        "recoveries": f"rcv_{'0' * 26}",
        "tokens": f"tok_{'0' * 26}",
    }
    collection = operation.path.removeprefix("/v1").split("/")[1]
    path = operation.path.replace("{id}", thing.get(collection, EVENT_ID))
    return {"method": operation.method, "url": path, "content": operation.example}


def named(operation: Operation) -> str:
    return operation.name


GUARDED = [operation for operation in OPERATIONS if operation.scope is not None]
WITHOUT_STORE = {"/openapi.json", "/docs", "/v1/event-types"}
STORING = [one for one in OPERATIONS if one.path not in WITHOUT_STORE]


@pytest.mark.parametrize("operation", GUARDED, ids=named)
async def test_every_guarded_route_asks_for_the_token(api: Api, operation: Operation) -> None:
    answer = await api.client.request(**request_of(operation), headers={"authorization": ""})
    assert answer.headers["content-type"] == PROBLEM
    check_shape(answer.json(), 401)


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
async def test_every_route_refuses_unknown_parameters(api: Api, operation: Operation) -> None:
    answer = await api.client.request(**request_of(operation), params={"nonsense": "1"})
    assert answer.headers["content-type"] == PROBLEM
    check_shape(answer.json(), 422)
    assert answer.json()["errors"][0]["pointer"] == "?nonsense"


@pytest.mark.parametrize("operation", STORING, ids=named)
async def test_every_route_says_when_the_store_does_not_answer(
    unavailable: Api, operation: Operation
) -> None:
    answer = await unavailable.client.request(**request_of(operation))
    assert answer.headers["content-type"] == PROBLEM
    assert answer.headers["retry-after"] == "1"
    check_shape(answer.json(), 503)
    assert SECRET not in answer.text


@pytest.mark.parametrize("operation", STORING, ids=named)
async def test_no_route_lets_a_traceback_or_message_out(
    buggy: Api, operation: Operation, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await buggy.client.request(**request_of(operation))
    assert answer.headers["content-type"] == PROBLEM
    problem = answer.json()
    check_shape(problem, 500)
    assert SECRET not in answer.text
    assert "Mishap" not in answer.text
    [error_id] = re.findall("[0-9a-f]{12}", problem["detail"])
    [record] = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert error_id in record.getMessage()
    assert SECRET in caplog.text


async def test_every_path_refuses_other_methods(api: Api) -> None:
    taken: dict[str, set[str]] = {}
    for operation in OPERATIONS:
        taken.setdefault(request_of(operation)["url"], set()).add(operation.method)
    for path, methods in taken.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} - methods:
            answer = await api.client.request(method, path)
            # The ids of these paths are free, so that a path may be another one's as well.
            if answer.status_code != 405:
                assert path == "/v1/endpoints/batch"
                continue
            check_shape(answer.json(), 405)
            assert methods <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInput.at("/a", "Is wrong."), 422),
        (PayloadTooLarge.at("/a", "Is long."), 413),
        (NotFound(), 404),
        (Conflict(), 409),
        (StoreUnavailable(), 503),
        (StoreFull(), 507),
        (SchemaError(), 500),
        (WebhookError(), 500),
        (RecursionError(), 500),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_is_found_along_its_class_hierarchy(error: Exception, status: int) -> None:
    kind = type(f"Special{type(error).__name__}", (type(error),), {})
    assert problem_response(error).status_code == status
    assert problem_response(kind(*error.args)).status_code == status


def test_a_pointer_that_is_no_text_still_makes_a_problem() -> None:
    response = problem_response(InvalidInput.at("/\ud800", "\udfff"))
    assert b'"/?"' in bytes(response.body)


def test_every_problem_is_in_the_catalogue_once_and_has_a_remedy() -> None:
    slugs = [problem.slug for problem in CATALOGUE]
    assert len(slugs) == len(set(slugs))
    assert set(PROBLEMS.values()) < set(CATALOGUE)
    assert all(problem.title and problem.remedy for problem in CATALOGUE)


async def test_an_unopened_store_answers_as_soon_as_it_can(api: Api) -> None:
    # Guards the fixtures above: the same calls succeed on a store that works.
    assert (await api.service.list_events(EventQuery(tenant="default", limit=1))).items == []
    assert (await api.client.get("/health")).json() == {"status": "ok"}
