"""The clients have everything that the API offers, field by field; a new route is missed here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from webhook.api.app import OPERATIONS
from webhook.api.openapi import openapi
from webhook.api.operation import Operation
from webhook.api.problems import CATALOGUE
from webhook.client import ApiError, AsyncClient, Client, Request
from webhook.client.errors import BY_STATUS
from webhook.client.operations import Operations

# A page for people.
LEFT_OUT = {"get_docs"}
# Beside the operation of the method's name.
MORE = {
    "emit_many": "emit",
    "count_recoverable": "recover_endpoint",
    "count_replayable": "replay_deliveries",
}
BY_NAME = {operation.name: operation for operation in OPERATIONS}
METHODS = {name: MORE.get(name, name) for name in vars(Operations) if not name.startswith("_")}
DOCUMENT = openapi(OPERATIONS)


def build(name: str, /, **given: Any) -> Request[Any]:
    """Build a method's request with something for each argument that it needs."""
    method: Callable[..., Request[Any]] = getattr(Client, name)
    for parameter in inspect.signature(method).parameters.values():
        if parameter.default is parameter.empty and parameter.name not in given:
            given[parameter.name] = [] if parameter.name in {"events", "endpoints"} else "x"
    return method(**given)


def sent_fields(operation: Operation) -> set[str]:
    """Name all that an operation can be told, but what stands in its path."""
    described = DOCUMENT["paths"][operation.path][operation.method.lower()]
    names = {p["name"] for p in described["parameters"] if p["in"] == "query"}
    for kind in operation.body:
        names |= {field.encode_name for field in msgspec.structs.fields(kind)}
    return names


def test_every_operation_has_a_method_and_every_method_an_operation() -> None:
    assert set(METHODS.values()) == set(BY_NAME) - LEFT_OUT


@pytest.mark.parametrize("name", METHODS)
def test_it_goes_where_the_operation_is(name: str) -> None:
    operation, request = BY_NAME[METHODS[name]], build(name)
    assert (request.method, request.path) == (operation.method, operation.path.format(id="x"))
    assert (request.body is not None) == bool(operation.body)


@pytest.mark.parametrize("name", METHODS)
def test_it_takes_all_that_the_operation_takes(name: str) -> None:
    taken = set(inspect.signature(getattr(Client, name)).parameters)
    operation = BY_NAME[METHODS[name]]
    # An id is the path's, and the two batches take their items as a whole.
    ours = {p for p in taken if not p.endswith("_id") or p in sent_fields(operation)}
    if name == "emit":
        assert ours == sent_fields(operation) - {"events"}
    elif name == "emit_many":
        assert ours == {"events"}
    else:
        assert ours == sent_fields(operation) - {"dry_run"}


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"emit_many", "add_endpoints"}))
def test_what_it_is_given_is_sent_under_its_name(name: str) -> None:
    parameters = inspect.signature(getattr(Client, name)).parameters
    given = {p: f"the {p}" for p in parameters}
    request = build(name, **given)
    body = msgspec.json.decode(request.body) if request.body else {}
    body.pop("dry_run", None)
    sent = {**request.query, **body}
    in_path = {p for p in given if p not in sent}
    assert {p: sent[p] for p in given if p in sent} == {p: given[p] for p in sent}
    assert len(in_path) == BY_NAME[METHODS[name]].path.count("{")


def test_a_batch_sends_its_items_whole() -> None:
    endpoint = {"url": "https://x", "event_types": ["*"], "timeout_ms": None}
    body = build("add_endpoints", endpoints=[endpoint]).body
    assert body is not None
    assert msgspec.json.decode(body) == {"endpoints": [endpoint]}


@pytest.mark.parametrize("name", METHODS)
def test_its_result_has_every_field_of_the_answer(name: str) -> None:
    operation, request = BY_NAME[METHODS[name]], build(name)
    answers = operation.answer
    if name == "emit_many":
        answers = answers[1:]
    if name.startswith("count_"):
        assert operation.other_answer is not None
        answers = operation.other_answer[1]
    assert outline_of(request.answer) == outline_of(answers[0] if answers else None)


def outline_of(kind: Any) -> object:
    """Name the fields of a type, and of those below."""
    schema = msgspec.json.schema(kind)
    return outline(schema, schema.get("$defs", {}))


def outline(schema: Any, components: dict[str, Any]) -> object:
    if "$ref" in schema:
        return outline(components[schema["$ref"].rpartition("/")[2]], components)
    if "anyOf" in schema:
        [kind] = [kind for kind in schema["anyOf"] if kind != {"type": "null"}] or [{}]
        return outline(kind, components)
    if "items" in schema:
        return [outline(schema["items"], components)]
    properties = schema.get("properties", {})
    return {name: outline(field, components) for name, field in properties.items()}


@pytest.mark.parametrize("problem", CATALOGUE, ids=lambda problem: problem.slug)
def test_every_problem_has_its_error(problem: Any) -> None:
    without_one = {"method-not-allowed", "too-slow", "internal"}
    assert (BY_STATUS.get(problem.status, ApiError) is ApiError) == (problem.slug in without_one)


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_every_method_says_what_it_does(client: type) -> None:
    for name in METHODS:
        assert (getattr(client, name).__doc__ or "").strip(), name


@pytest.mark.parametrize("name", METHODS)
def test_ids_cannot_leave_their_place_in_the_path(name: str) -> None:
    if "{" in BY_NAME[METHODS[name]].path:
        first = next(iter(inspect.signature(getattr(Client, name)).parameters))
        odd = build(name, **{first: "../a?b#c/ü"})
        assert "..%2Fa%3Fb%23c%2F%C3%BC" in odd.path
        with pytest.raises(ValueError, match="An id is needed"):
            build(name, **{first: ""})
