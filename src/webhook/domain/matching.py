"""Who receives what: type patterns, and filters on metadata that fail closed.

Filters and metadata are compared as texts made here and only here, so that every store, in Python
or in SQL, gives the same answer: a *facet* is ``"key":value`` in canonical JSON, and a filter is a
list of groups, ANDed, each a list of facets, ORed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from webhook.domain.event_types import OPERATIONAL_TYPES
from webhook.domain.model import Endpoint, NewEvent

Scalar = str | int | float | bool
Filters = Mapping[str, Sequence[Scalar]]


def patterns_for(event_type: str) -> list[str]:
    """Return every pattern that matches a type: ``a.b`` gives itself, ``a.*`` and ``*``.

    ``*`` does not match an operational type: who wants those says so.
    """
    parts = event_type.split(".")
    groups = [".".join(parts[:length]) + ".*" for length in range(len(parts) - 1, 0, -1)]
    return [event_type, *groups, *(() if event_type in OPERATIONAL_TYPES else ("*",))]


def _facet(key: str, value: Scalar) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{json.dumps(key, ensure_ascii=False)}:{json.dumps(value, ensure_ascii=False)}"


def facets(metadata: Mapping[str, Any]) -> list[str]:
    """Return the facets of an event's metadata; a list contributes each of its scalar items."""
    found: list[str] = []
    for key, value in metadata.items():
        items = value if isinstance(value, list | tuple) else (value,)
        found.extend(_facet(key, item) for item in items if isinstance(item, Scalar))
    return found


def filter_groups(filters: Filters) -> list[list[str]]:
    """Return an endpoint's filters as groups of facets; no filter is no group."""
    return [[_facet(key, value) for value in filters[key]] for key in sorted(filters)]


def groups_match(groups: Iterable[Sequence[str]], event_facets: Iterable[str]) -> bool:
    """Whether every group has a facet among the event's; a missing key does not match."""
    present = set(event_facets)
    return all(not present.isdisjoint(group) for group in groups)


def subscription_matches(endpoint: Endpoint, event: NewEvent) -> bool:
    """Whether an endpoint receives an event: for endpoint stores that have no SQL to ask."""
    return (
        endpoint.active
        and endpoint.tenant == event.tenant
        and not set(endpoint.event_types).isdisjoint(event.patterns)
        and groups_match(filter_groups(endpoint.filters), event.facets)
    )
