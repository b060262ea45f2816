"""Makes ``schema.sql`` and the migrations module; ``--check`` proves them fresh.

``migrations/NNNN_name.sql`` are the history, ``schema.sql`` is what they add up to, read back from
a database that they were applied to; the module carries the history into the Worker, which has no
files. ``migrations/postgres/`` are PostgreSQL's own, and have a module too.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "schema.sql"
LINE_CHARS_MAX = 100
ADAPTERS = ROOT / "src" / "webhook" / "adapters"
MODULE = ADAPTERS / "sql" / "migrations.py"
POSTGRES_MODULE = ADAPTERS / "postgres" / "migrations.py"
# To the letter what wrangler creates; see adapters/sql/migrate.py, which a test compares.
MIGRATIONS_TABLE = """CREATE TABLE IF NOT EXISTS "d1_migrations"(
\t\tid         INTEGER PRIMARY KEY AUTOINCREMENT,
\t\tname       TEXT UNIQUE,
\t\tapplied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)"""


def split_statements(text: str) -> Iterator[str]:
    """Yield the statements of an SQL script, without the comments between them."""
    statement = ""
    for line in text.splitlines(keepends=True):
        if not statement and (not line.strip() or line.lstrip().startswith("--")):
            continue
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip().removesuffix(";")
            statement = ""
    if statement.strip():
        raise SystemExit(f"A statement has no end: {statement.strip()[:60]}")


def migrations() -> list[tuple[str, list[str]]]:
    """Return each migration's file name and statements, in order."""
    files = sorted((ROOT / "migrations").glob("*.sql"))
    return [(file.name, list(split_statements(file.read_text("utf-8")))) for file in files]


def whole_schema(history: list[tuple[str, list[str]]]) -> list[str]:
    """Return the statements that make in one go what the history makes."""
    with sqlite3.connect(":memory:") as database:
        for _, statements in history:
            for statement in statements:
                database.execute(statement)
        made = database.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
        ).fetchall()
    database.close()
    names = ", ".join(f"('{name}')" for name, _ in history)
    record = f"INSERT INTO d1_migrations (name) VALUES {names}"  # noqa: S608 - file names of ours
    return [*(sql for (sql,) in made), MIGRATIONS_TABLE, record]


def schema_file(schema: list[str]) -> str:
    """Return the text of ``schema.sql``."""
    head = "-- The whole schema, for an empty database; made from migrations/ by `make schema`.\n\n"
    return head + "\n\n".join(f"{statement};" for statement in schema) + "\n"


def module_file(history: list[tuple[str, list[str]]]) -> str:
    """Return the text of the migrations module."""
    lines = [
        '"""The migrations as statements, made by `make schema`."""',
        "",
        "MIGRATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (",
    ]
    for name, statements in history:
        lines += ["    (", f'        "{name}",']
        alone = f'        ("""{statements[0]}""",),'
        if len(statements) == 1 and "\n" not in alone and len(alone) <= LINE_CHARS_MAX:
            lines += [alone, "    ),"]  # as the formatter has it
            continue
        lines += ["        ("]
        lines += [f'            """{statement}""",' for statement in statements]
        lines += ["        ),", "    ),"]
    return "\n".join([*lines, ")", ""])


def postgres_module_file() -> str:
    """Return the text of PostgreSQL's migrations module: each migration in one piece."""
    lines = [
        '"""The migrations, made by `make schema`."""',
        "",
        "MIGRATIONS: tuple[tuple[str, str], ...] = (",
    ]
    for file in sorted((ROOT / "migrations" / "postgres").glob("*.sql")):
        lines += ["    (", f'        "{file.name}",', f'        """{file.read_text("utf-8")}""",']
        lines += ["    ),"]
    return "\n".join([*lines, ")", ""])


def main() -> int:
    """Write the files, or with ``--check`` say which are stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if stale")
    check = parser.parse_args().check
    history = migrations()
    schema = whole_schema(history)
    stale = False
    for path, text in (
        (SCHEMA, schema_file(schema)),
        (MODULE, module_file(history)),
        (POSTGRES_MODULE, postgres_module_file()),
    ):
        if path.exists() and path.read_text("utf-8") == text:
            continue
        stale = True
        if check:
            print(f"{path.relative_to(ROOT)} is stale: run `make schema`", file=sys.stderr)
        else:
            path.write_text(text, "utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return int(check and stale)


if __name__ == "__main__":
    sys.exit(main())
