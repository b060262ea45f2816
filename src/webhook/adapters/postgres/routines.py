"""Makes a function of a batch: one round trip, one transaction, plans that the server keeps.

PostgreSQL takes one statement a round trip; so the statements of a batch become the body of a
function, which is named by what it does and made at its first use. Its statements are planned once
a connection, also behind a pooler that knows of no prepared statements. How they are planned is
fixed: each is written to read by index, and a table that was empty when it was planned must not
make it read everything for the rest of the day.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from webhook.adapters.postgres.twins import TWINS
from webhook.adapters.sql.database import Parameter, Statement

_PARAMETER = re.compile(r"\$(\d+)(?:::(\w+))?")
_WRITES = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM)\b")
_AS_PLANNED = """SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_material = off
SET join_collapse_limit = 1
SET random_page_cost = 1
SET cpu_operator_cost = 0.25"""
_SELECT = re.compile(r"^SELECT ")
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class Routine(NamedTuple):
    """A function: its name, the call of it, and the statement that makes it."""

    name: str
    call: str
    definition: str


class _Part(NamedTuple):
    """One statement with what it asks for: numbers and types of its parameters, in order."""

    texts: tuple[str, ...]
    parameters: tuple[tuple[int, str], ...]


def _read(text: str) -> _Part:
    texts = TWINS[text]
    types: dict[int, str] = {}
    for found in (match for each in texts for match in _PARAMETER.finditer(each)):
        number, of_type = int(found[1]), found[2]
        if of_type is not None and types.setdefault(number, of_type) != of_type:
            raise ValueError(f"${number} has two types: {text}")
    return _Part(texts, tuple(sorted(types.items())))


class Routines:
    """The functions of the batches that were met so far."""

    def __init__(self) -> None:
        self._parts: dict[str, _Part] = {}
        self._made: dict[tuple[tuple[str, tuple[int, ...]], ...], Routine] = {}

    def of(self, statements: Sequence[Statement]) -> tuple[Routine, list[Parameter]]:
        """Return the function that does a batch, and what to call it with.

        A JSON parameter that several statements share is sent once.
        """
        arguments: list[Parameter] = []
        types: list[str] = []
        seen: dict[int, int] = {}
        shape: list[tuple[str, tuple[int, ...]]] = []
        for text, values in statements:
            part = self._parts.get(text)
            if part is None:
                part = self._parts[text] = _read(text)
            places: list[int] = []
            for number, of_type in part.parameters:
                value = values[number - 1]
                place = seen.get(id(value)) if of_type == "json" and value is not None else None
                if place is None:
                    place = len(arguments)
                    arguments.append(_storable(value))
                    types.append(of_type)
                    if of_type == "json":
                        seen[id(value)] = place
                places.append(place)
            shape.append((text, tuple(places)))
        key = tuple(shape)
        routine = self._made.get(key)
        if routine is None:
            routine = self._made[key] = self._make(shape, types)
        return routine, arguments

    def _make(self, shape: Sequence[tuple[str, tuple[int, ...]]], types: Sequence[str]) -> Routine:
        body: list[str] = []
        done: set[str] = set()
        for number, (text, places) in enumerate(shape):
            part = self._parts[text]
            place_of = {p: place for (p, _), place in zip(part.parameters, places, strict=True)}
            *locks, main = (_renumbered(each, place_of) for each in part.texts)
            for lock in locks:
                if lock not in done:
                    done.add(lock)
                    body.append(f"{_SELECT.sub('PERFORM ', lock)};")
            if _WRITES.search(main) and "RETURNING" not in main:
                body.append(f"{main};")
            else:
                body.append(
                    f"FOR _row IN {main} LOOP\n"
                    f"_statement := {number}; _found := row_to_json(_row)::text; RETURN NEXT;\n"
                    "END LOOP;"
                )
        lines = "\n".join(body)
        head = f"({', '.join(types)}) RETURNS TABLE (_statement int, _found text)"
        source = (
            f"LANGUAGE plpgsql {_AS_PLANNED}\nAS $body$\n#variable_conflict use_column\n"
            f"DECLARE _row record;\nBEGIN\n{lines}\nEND $body$"
        )
        name = "batch_" + hashlib.sha256((head + source).encode()).hexdigest()[:20]
        holders = ", ".join(f"${place}::{of_type}" for place, of_type in enumerate(types, 1))
        return Routine(name, f"{name}({holders})", f"CREATE FUNCTION {name} {head} {source}")


def _renumbered(text: str, place_of: dict[int, int]) -> str:
    """Return a statement whose parameters are those of the function."""
    return _PARAMETER.sub(
        lambda found: f"${place_of[int(found[1])] + 1}" + (f"::{found[2]}" if found[2] else ""),
        text.strip(),
    )


def _storable(value: Parameter) -> Parameter:
    """Return what PostgreSQL can keep: in texts there is no NUL, not even escaped in JSON."""
    if not isinstance(value, str):
        return value
    if "\\u0000" in value:
        value = _NUL.sub(r"\1\\ufffd", value)
    return value.replace("\0", "\ufffd")
