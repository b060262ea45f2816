"""Requests of every operation in the OpenAPI document, for the things with given ids.

Everything here is made from the document: an operation that is new is walked like the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

METHODS = frozenset({"get", "post", "patch", "delete", "put"})


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, and what it is about."""

    name: str
    method: str
    url: str
    params: Mapping[str, str]
    body: bytes | None

    async def send(self, client: httpx2.AsyncClient, token: str) -> tuple[int, str]:
        """Send it with a token; return status and body."""
        headers = {
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            "x-request-id": "same",
        }
        answer = await client.request(
            self.method, self.url, params=self.params, content=self.body, headers=headers
        )
        return answer.status_code, answer.text


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Walk method, path and description of every operation that asks for a token."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in METHODS and operation["security"]:
                yield method.upper(), path, operation


def asked_for(
    document: Mapping[str, Any], ids: Mapping[str, str], tenant: str | None = None
) -> list[Asked]:
    """Return a request of every operation for the things with these ids.

    ``ids`` has the id of a thing by its collection, ``/endpoints``, and those of parameters and
    fields by their names. ``tenant`` is named wherever one can be.
    """
    found = []
    for method, path, operation in operations(document):
        collection = "/" + path.removeprefix("/v1/").split("/")[0]
        params = {}
        for parameter in operation["parameters"]:
            if parameter["in"] == "query":
                if parameter["name"] in ids:
                    params[parameter["name"]] = ids[parameter["name"]]
                if parameter["name"] == "tenant" and tenant is not None:
                    params["tenant"] = tenant
        if "{id}" in path and collection not in ids:
            raise LookupError(f"Say in these tests what an id of /v1{collection} is.")
        found.append(
            Asked(
                name=operation["operationId"],
                method=method,
                url=path.replace("{id}", ids.get(collection, "")),
                params=params,
                body=_body(document, operation, ids, tenant),
            )
        )
    return found


def _body(
    document: Mapping[str, Any],
    operation: Mapping[str, Any],
    ids: Mapping[str, str],
    tenant: str | None,
) -> bytes | None:
    if "requestBody" not in operation:
        return None
    content = operation["requestBody"]["content"]["application/json"]
    body = _filled(document, content["schema"], dict(content["example"]), ids, tenant)
    return json.dumps(body).encode()


def _filled(
    document: Mapping[str, Any],
    schema: Mapping[str, Any],
    value: dict[str, Any],
    ids: Mapping[str, str],
    tenant: str | None,
) -> dict[str, Any]:
    """Put ids and the tenant into an example, wherever its schema has a place for them."""
    for one in schema.get("anyOf", (schema,)):
        properties = document["components"]["schemas"][one["$ref"].rpartition("/")[2]]["properties"]
        if not value.keys() <= properties.keys():
            continue
        value.pop("tenant", None)
        value.pop("dry_run", None)
        value |= {name: ids[name] for name in properties if name in ids}
        if "tenant" in properties and tenant is not None:
            value["tenant"] = tenant
        for name, field in properties.items():
            if name in value and "$ref" in field.get("items", {}):
                value[name] = [
                    _filled(document, field["items"], dict(item), ids, tenant)
                    if isinstance(item, dict)
                    else item
                    for item in value[name]
                ]
    return value
