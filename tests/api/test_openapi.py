"""The OpenAPI document is valid, whole, and tells the truth about the service behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from schemathesis.core.errors import InvalidSchema

from tests.api.client import Api
from tests.api.exploring import explore
from tests.api.server import Nowhere, Served
from webhook.api.app import OPERATIONS

DIALECT = {"$schema": "https://json-schema.org/draft/2020-12/schema"}


async def document(api: Api) -> dict[str, Any]:
    return await api.get("/openapi.json")


def parts(value: object) -> Iterator[dict[str, Any]]:
    """Walk all objects of a document."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from parts(item)
    elif isinstance(value, list):
        for item in value:
            yield from parts(item)


async def test_it_is_a_valid_openapi_3_1_document(api: Api) -> None:
    whole = await document(api)
    assert whole["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(whole).validate()


async def test_the_validator_bites(api: Api) -> None:
    whole = await document(api)
    del whole["paths"]["/health"]["get"]["responses"]["200"]["description"]
    with pytest.raises((InvalidSchema, jsonschema_rs.ValidationError)):
        schemathesis.openapi.from_dict(whole).validate()


async def test_every_route_is_in_it_and_every_operation_of_it_is_a_route(api: Api) -> None:
    described = {
        (method.upper(), path)
        for path, methods in (await document(api))["paths"].items()
        for method in methods
    }
    assert described == {(operation.method, operation.path) for operation in OPERATIONS}
    for path in {path for _, path in described}:
        allow = (await api.client.options(path)).headers["allow"].split(", ")
        methods = {method for method, at in described if at == path}
        assert set(allow) - {"HEAD", "OPTIONS"} == methods


async def test_every_reference_leads_to_a_component_and_every_component_is_used(api: Api) -> None:
    whole = await document(api)
    used = {part["$ref"].rpartition("/")[2] for part in parts(whole) if "$ref" in part}
    assert used == set(whole["components"]["schemas"])


async def test_every_operation_is_described(api: Api) -> None:
    whole = await document(api)
    operations = [part for part in parts(whole["paths"]) if "operationId" in part]
    assert len(operations) == len(OPERATIONS)
    assert all(operation["summary"] and operation["description"] for operation in operations)
    assert len({operation["operationId"] for operation in operations}) == len(operations)


async def test_every_schema_is_a_schema(api: Api) -> None:
    for schema in (await document(api))["components"]["schemas"].values():
        jsonschema_rs.meta.validate(DIALECT | schema)


async def test_examples_are_what_their_schemas_allow(api: Api) -> None:
    whole = await document(api)
    examples = [part for part in parts(whole["paths"]) if "example" in part]
    assert len(examples) == sum(operation.example is not None for operation in OPERATIONS)
    for part in examples:
        schema = DIALECT | part["schema"] | {"components": whole["components"]}
        jsonschema_rs.validate(schema, part["example"])


async def test_unknown_fields_are_refused_by_the_schemas_of_bodies_too(api: Api) -> None:
    schemas = (await document(api))["components"]["schemas"]
    for name in (
        "EmitInput", "EmitBatchInput", "EndpointInput", "EndpointPatch", "RetryPolicy",
        "RecoverInput", "ReplayInput",
    ):  # fmt: skip
        assert schemas[name]["additionalProperties"] is False


@pytest.fixture
def silent() -> Iterator[Served]:
    with Served(sender=Nowhere()) as server:
        yield server


@pytest.mark.parametrize("with_token", [True, False])
def test_schemathesis_finds_no_answer_that_the_document_does_not_tell(
    silent: Served, tmp_path: Path, with_token: bool
) -> None:
    # Without a token all that can be tried is whether anything answers but 401.
    token = silent.token if with_token else None
    phases = "examples,coverage,fuzzing" if with_token else "examples,coverage"
    ran = explore(silent.url, token, tmp_path, phases=phases)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    # All but the one that serves the document itself.
    assert f"Tested: {len(OPERATIONS) - 1}" in ran.stdout
