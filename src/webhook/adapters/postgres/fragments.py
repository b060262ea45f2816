"""What PostgreSQL's statements are made of.

Each statement of ``adapters/sql`` has a twin of the same name here, which takes the same parameters
and returns the same rows. A parameter is written ``$n::type`` at least once, which tells its type.
A twin that is a tuple begins with locks: those run before it and return nothing. On D1 and SQLite a
batch is alone with the database; here it takes the locks that make it alone with its rows, and each
statement sees what was committed before it began (READ COMMITTED).
"""

from __future__ import annotations

from webhook.domain.model import ATTEMPTS_FIRST_KEPT, ATTEMPTS_LAST_KEPT

NOW = "coalesce($1::bigint, (extract(epoch FROM statement_timestamp()) * 1000)::bigint)"


# PostgreSQL guesses a hundred rows of what it cannot look into, and may then rather read all of a
# small table. With these bounds it guesses one, and looks each row up by its key.
_ONE_BY_ONE = "x.place BETWEEN 1 AND 1000000000"


def rows_of(parameter: str, alias: str, columns: str) -> str:
    """Return the rows of a JSON array of objects, in order by their ``place``, from 1."""
    names = ", ".join(column.split()[0] for column in columns.split(", "))
    return (
        f"(SELECT * FROM ROWS FROM (json_to_recordset({parameter}::json) AS ({columns})) "
        f"WITH ORDINALITY AS x ({names}, place) WHERE {_ONE_BY_ONE}) AS {alias}"
    )


def texts_of(parameter: str, alias: str) -> str:
    """Return the texts of a JSON array as rows: ``value``, and ``place`` from 1."""
    return (
        f"(SELECT value, place FROM json_array_elements_text({parameter}::json) "
        f"WITH ORDINALITY AS x (value, place) WHERE {_ONE_BY_ONE}) AS {alias}"
    )


def elements_of(parameter: str, alias: str) -> str:
    """Return the elements of a JSON array as rows."""
    return texts_of(parameter, alias).replace("json_array_elements_text", "json_array_elements")


def at(place: str, key: str = "") -> str:
    """Return that delivery d is the one at another row's lane and key.

    So written, PostgreSQL can only look d up for each of those rows. By plain equality it may also
    read all of d in the order of its key and compare, which it does for a table that was empty
    when it was planned.
    """
    key = key or place.replace(".lane", ".key")
    return f"d.lane = ANY (ARRAY[{place}]) AND d.key = ANY (ARRAY[{key}])"


def with_entry(entry: str) -> str:
    """Return the log of delivery d and an entry more: of those in between the oldest goes."""
    return f"""CASE
    WHEN d.log = '[]' THEN '[' || {entry} || ']'
    WHEN json_array_length(d.log::json) < {ATTEMPTS_FIRST_KEPT + ATTEMPTS_LAST_KEPT}
      THEN left(d.log, -1) || ',' || {entry} || ']'
    ELSE (
      SELECT '[' || string_agg(a.value::text, ',' ORDER BY a.nth) || ',' || {entry} || ']'
      FROM json_array_elements(d.log::json) WITH ORDINALITY AS a (value, nth)
      WHERE a.nth <> {ATTEMPTS_FIRST_KEPT + 1}
    ) END"""


def walk(condition: str = "r.state = 'ready'", name: str = "lanes") -> str:
    """Return a walk from lane to lane, one seek each, from $2 round to $2 again.

    Who reads of it says how many lanes, and no more are sought. The bound at both ends keeps the
    last seek from reading on.
    """
    first = f"SELECT min(r.lane) FROM deliveries AS r WHERE {condition}"
    return f"""{name} (lane, lap) AS (
  SELECT ({first} AND r.lane > $2::text), 0
  UNION ALL
  SELECT
    CASE WHEN l.lane IS NULL THEN ({first} AND r.lane <= $2::text)
      ELSE (
        {first} AND r.lane > l.lane AND r.lane <= CASE WHEN l.lap = 0 THEN '~' ELSE $2::text END
      )
    END,
    l.lap + (l.lane IS NULL)::int
  FROM {name} AS l
  WHERE l.lane IS NOT NULL OR l.lap = 0
)"""


def is_erased(tenant: str, key: str) -> str:
    """Return the condition that an event's payload was erased; it reads no payload."""
    return f"""EXISTS (
    SELECT 1 FROM events AS x
    WHERE x.payload = '' AND x.tenant = {tenant} AND x.key = {key}
  )"""


def last_in_line(lane: str, ordering_key: str) -> str:
    """Return the highest number in a line as an expression, NULL where nobody stands in it."""
    return f"""(
      SELECT max(o.ordering_number) FROM deliveries AS o
      WHERE o.lane = {lane} AND o.ordering_key = {ordering_key} AND o.ordering_number IS NOT NULL
    )"""


def stops(lane: str) -> str:
    """Return whether the endpoint of a lane wants a dead letter to stop its key."""
    return f"""EXISTS (
      SELECT 1 FROM endpoints AS p
      WHERE p.lane = {lane} AND p.status <> 'removed'
        AND p.settings::json ->> 'ordering_on_failure' = 'stop'
    )"""


def lock_lines(source: str) -> str:
    """Return the lock of the lines (``lane``, ``ordering_key``) of a query, in one order."""
    return f"""
SELECT pg_advisory_xact_lock(line) FROM (
  SELECT DISTINCT line_of(lane, ordering_key) AS line FROM ({source}) AS s ORDER BY line
) AS lines"""


# Retention, and whatever brings a finished delivery back or makes one of an old event: a removal
# must not meet a delivery that has just become pending again.
LOCK_RETENTION = "SELECT pg_advisory_xact_lock(hashtextextended('webhook retention', 0))"
LOCK_REVIVAL = "SELECT pg_advisory_xact_lock_shared(hashtextextended('webhook retention', 0))"
