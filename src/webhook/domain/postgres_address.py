"""The address of a PostgreSQL server, with what of it is for us and not for the driver."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

SCHEMA = "webhook"
POOL_MAX = 10
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_POOL_MOST = 1000
_GIVE = "Give postgresql://user:password@host:5432/name."


class PostgresAddress(NamedTuple):
    """Where the database is: ``dsn`` for the driver, and how it is to be used.

    ``schema`` holds all that is ours. At most ``pool_max`` connections are opened, and one more
    that listens. ``pgbouncer`` says that a pooler in transaction mode is in between: then nothing
    is prepared in a session, nothing set at its start, and nobody listens.
    """

    dsn: str
    schema: str = SCHEMA
    pool_max: int = POOL_MAX
    pgbouncer: bool = False

    @classmethod
    def read(cls, text: str) -> PostgresAddress:
        """Read an address. A ``ValueError`` says what is wrong and what to give."""
        try:
            parts = urlsplit(text)
        except ValueError:  # which would repeat user and password
            raise ValueError(f"is no URL. {_GIVE}") from None
        if parts.scheme not in {"postgres", "postgresql"}:
            raise ValueError(f"is no PostgreSQL. {_GIVE}")
        try:
            _ = parts.port
        except ValueError:
            raise ValueError("has a port that is none. Give a number after the host.") from None
        own: dict[str, str] = {}
        others: list[tuple[str, str]] = []
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            if name in {"schema", "pool_max", "pgbouncer"}:
                own[name] = value
            else:
                others.append((name, value))
        schema = own.get("schema", SCHEMA)
        if re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema) is None:
            raise ValueError("has a schema that is no name. Give lower-case letters, digits and _.")
        pool_max = own.get("pool_max", str(POOL_MAX))
        if re.fullmatch(r"[0-9]{1,4}", pool_max) is None or not 1 <= int(pool_max) <= _POOL_MOST:
            raise ValueError(f"has a pool_max that is not between 1 and {_POOL_MOST}.")
        pgbouncer = own.get("pgbouncer", "false")
        if pgbouncer not in _BOOLEANS:
            raise ValueError("has a pgbouncer that is neither true nor false.")
        dsn = urlunsplit(parts._replace(query=urlencode(others)))
        return cls(dsn, schema, int(pool_max), _BOOLEANS[pgbouncer])

    @property
    def has_password(self) -> bool:
        """Whether the address tells a password."""
        parts = urlsplit(self.dsn)
        return parts.password is not None or "password" in dict(parse_qsl(parts.query))

    def options(self) -> dict[str, Any]:
        """Return how the driver is to connect."""
        if self.pgbouncer:
            return {"dsn": self.dsn, "statement_cache_size": 0}
        settings = {
            "application_name": "webhook",
            # What was committed is seen by the next statement: the locks of a batch need it so.
            "default_transaction_isolation": "read committed",
            # Who breaks off must not hold its locks for long.
            "idle_in_transaction_session_timeout": "60s",
        }
        return {"dsn": self.dsn, "server_settings": settings}

    def __repr__(self) -> str:
        """Hide a password from logs."""
        return f"PostgresAddress({self.shown()!r})"

    def shown(self) -> str:
        """Return the address without its password, and without anything that may hold one."""
        parts = urlsplit(self.dsn)
        host = parts.hostname or "localhost"
        user = f"{quote(unquote(parts.username))}@" if parts.username else ""
        port = f":{parts.port}" if parts.port else ""
        return f"postgresql://{user}{host}{port}{parts.path}"
