"""The OpenAPI 3.1 document, made of the table of operations and the structs that validate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from webhook.api.operation import JSON, Operation
from webhook.api.problems import (
    BUSY,
    CATALOGUE,
    FORBIDDEN,
    HEADERS_TOO_LARGE,
    INTERNAL,
    INVALID,
    MEDIA_TYPE,
    NO_TOKEN,
    NOT_JSON,
    STORE_FULL,
    STORE_UNAVAILABLE,
    TOO_LARGE,
    TOO_MANY_REQUESTS,
    TOO_SLOW,
    UNAUTHORIZED,
    UNSUPPORTED_MEDIA,
    Problem,
    ProblemDocument,
)
from webhook.domain.event import KEY_PATTERN

API_VERSION = "1"
_ABOUT = (
    "Accepts events and delivers each to every endpoint that is subscribed to its type, signed as "
    "Standard Webhooks says and retried until the receiver takes it.\n\n"
    "Unknown fields, names that stand twice and unknown query parameters are refused. Lists are "
    "paged by cursors, which hold for their tenant and filters only. Times are RFC 3339 in UTC. "
    "Every error is an RFC 9457 problem of one shape."
)
_ABOUT_TOKENS = (
    "The token of the settings, which may do everything, or one that an admin has made. Each "
    "operation names the scope that it needs; `admin` has all of them. A token that is bound to a "
    "tenant sees and changes nothing of others: what is theirs is to it as if it did not exist."
)
_PATH_PARAMETER = re.compile(r"{(\w+)}")
_REF = "#/components/schemas/{name}"
type _Json = dict[str, Any]


def openapi(operations: Iterable[Operation]) -> _Json:
    """Return the document; ``x-problems`` is its catalogue of problems, in answers their slugs."""
    operations = tuple(operations)
    schema_of, components = _schemas(operations)
    paths: dict[str, _Json] = {}
    for operation in operations:
        described = _operation(operation, schema_of, components)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    # The queries have become parameters.
    for operation in operations:
        components.pop(operation.query.__name__, None)
    return {
        "openapi": "3.1.0",
        "info": {"title": "webhook", "version": API_VERSION, "description": _ABOUT},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": _ABOUT_TOKENS}
            },
        },
        "x-problems": [{**msgspec.to_builtins(p), "type": p.type} for p in CATALOGUE],
    }


def _schemas(operations: Iterable[Operation]) -> tuple[dict[Any, _Json], dict[str, _Json]]:
    """Return how each type is referred to, and the components that are meant."""
    types: list[Any] = [ProblemDocument]
    for operation in operations:
        types += [*operation.body, *operation.answer, operation.query]
        if operation.other_answer is not None:
            types += operation.other_answer[1]
    types = list(dict.fromkeys(types))
    references, components = msgspec.json.schema_components(types, ref_template=_REF)
    return dict(zip(types, references, strict=True)), components


def _operation(
    operation: Operation, schema_of: Mapping[Any, _Json], components: Mapping[str, _Json]
) -> _Json:
    described: _Json = {
        "operationId": operation.name,
        "tags": [operation.path.removeprefix("/v1").split("/")[1]],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": _parameters(operation, components[operation.query.__name__]),
        "responses": _responses(operation, schema_of),
    }
    # What stands in the list is a role, which OpenAPI 3.1 lets any kind of token need.
    described["security"] = [] if operation.scope is None else [{"token": [operation.scope]}]
    if operation.body:
        content: _Json = {"schema": _any_of(operation.body, schema_of)}
        if operation.example is not None:
            content["example"] = msgspec.json.decode(operation.example)
        described["requestBody"] = {"required": True, "content": {JSON: content}}
    return described


def _parameters(operation: Operation, query: _Json) -> list[_Json]:
    found: list[_Json] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PATH_PARAMETER.findall(operation.path)
    ]
    required = query.get("required", ())
    for name, schema in query["properties"].items():
        schema = dict(schema)  # noqa: PLW2901 - the description moves out of it
        description = schema.pop("description", None)
        parameter = {"name": name, "in": "query", "required": name in required, "schema": schema}
        found.append(parameter if description is None else parameter | {"description": description})
    for name, description in operation.headers.items():
        schema = {"type": "string", "pattern": f"^{KEY_PATTERN}$"}
        found.append({"name": name, "in": "header", "schema": schema, "description": description})
    return found


def _responses(operation: Operation, schema_of: Mapping[Any, _Json]) -> _Json:
    good: _Json = {"description": operation.answer_description}
    if operation.answer:
        schema = _any_of(operation.answer, schema_of)
        good["content"] = {operation.answer_media_type: {"schema": schema}}
    found = {str(operation.status): good}
    if operation.other_answer is not None:
        status, kinds, description = operation.other_answer
        content = {JSON: {"schema": _any_of(kinds, schema_of)}}
        found[str(status)] = {"description": description, "content": content}
    by_status: dict[int, list[Problem]] = {}
    for problem in _problems(operation):
        by_status.setdefault(problem.status, []).append(problem)
    for code, problems in sorted(by_status.items()):
        found[str(code)] = {
            "description": " ".join(f"{problem.title}: {problem.remedy}" for problem in problems),
            "content": {MEDIA_TYPE: {"schema": schema_of[ProblemDocument]}},
            "x-problems": [problem.slug for problem in problems],
        }
    return found


def _problems(operation: Operation) -> list[Problem]:
    """Return what may go wrong: what the operation says, and what its kind brings with it."""
    found = [*operation.problems, INVALID, STORE_FULL, STORE_UNAVAILABLE, INTERNAL]
    found += [TOO_SLOW, HEADERS_TOO_LARGE]
    if operation.scope is not None:
        found += [UNAUTHORIZED, FORBIDDEN, TOO_MANY_REQUESTS, NO_TOKEN, BUSY]
    if operation.method in {"POST", "PATCH"}:
        found += [NOT_JSON, TOO_LARGE, UNSUPPORTED_MEDIA]
    return found


def _any_of(types: tuple[Any, ...], schema_of: Mapping[Any, _Json]) -> _Json:
    schemas = [schema_of[kind] for kind in types]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
