"""No table with rows of a tenant is forgotten when the tenant is deleted."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

import pytest

from webhook.adapters.sql import tenant_statements
from webhook.adapters.sql.migrate import build_webhook_schema_sql
from webhook.domain.tenant import TenantRows

# What is deleted and counted, table by table.
DELETED = set(TenantRows.__struct_fields__)
# Of these no row is a tenant's, but for the mark that goes in the end.
OTHERS = {"switches", "d1_migrations", "sqlite_sequence", "tenant_deletions"}


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    for statement in build_webhook_schema_sql():
        connection.execute(statement)
    yield connection
    connection.close()


def test_every_table_of_the_schema_is_deleted_from_or_has_nothing_of_a_tenant(
    database: sqlite3.Connection,
) -> None:
    """A new table fails this: give it a statement, a count, and a line of the trigger."""
    tables = {
        name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    assert tables == DELETED | OTHERS
    of_tenants = {
        table
        for table in tables
        if "tenant" in {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
    }
    assert of_tenants == DELETED | {"tenant_deletions"}


def test_every_such_table_has_its_statement() -> None:
    deleting = {
        found[1]
        for name, text in vars(tenant_statements).items()
        if name.startswith("TENANT_") and (found := re.match(r"\s*DELETE FROM (\w+)", str(text)))
    }
    assert deleting == DELETED | {"tenant_deletions"}


def test_the_end_is_refused_while_a_table_has_a_row(database: sqlite3.Connection) -> None:
    [[trigger]] = database.execute(
        "SELECT sql FROM sqlite_master WHERE name = 'tenant_deletions_proof'"
    )
    # Deliveries have no index by tenant; each has its endpoint's row, which goes after them.
    assert set(re.findall(r"FROM (\w+) WHERE", trigger)) == DELETED - {"deliveries"}


@pytest.mark.parametrize("table", ["endpoints", "events", "names", "recoveries", "api_tokens"])
def test_what_others_put_in_is_refused_by_the_schema(
    database: sqlite3.Connection, table: str
) -> None:
    """Whoever writes, a release before this one too."""
    columns = [
        (name, kind)
        for _, name, kind, not_null, default, _ in database.execute(f"PRAGMA table_info({table})")
        if not_null and default is None
    ]
    known = {"tenant": "acme", "status": "active" if table == "endpoints" else "running"}
    known["kind"] = "failed"
    values = [known.get(name, 1 if kind == "INTEGER" else "x") for name, kind in columns]
    names = ", ".join(name for name, _ in columns)
    if table == "api_tokens":
        names, values = f"{names}, tenant", [*values, "acme"]
    places = ", ".join("?" * len(values))
    insert = f"INSERT INTO {table} ({names}) VALUES ({places})"
    database.execute("INSERT INTO tenant_deletions (tenant, since) VALUES ('acme', 0)")
    with pytest.raises(sqlite3.IntegrityError, match="the tenant is being deleted"):
        database.execute(insert, values)
    database.execute("DELETE FROM tenant_deletions")
    database.execute(insert, values)
