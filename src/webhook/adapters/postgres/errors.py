"""What an error of asyncpg means to a store."""

from __future__ import annotations

import asyncpg

from webhook.adapters.sql.database import ConstraintFailed
from webhook.domain.errors import SchemaError, StoreFull, StoreUnavailable

# The server undid everything, and asks to try again.
UNDONE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
# Nobody knows whether the transaction was committed.
LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    # The server is a standby now: another one took over.
    asyncpg.ReadOnlySQLTransactionError,
)
_UNAVAILABLE = (
    *LOST,
    *UNDONE,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidPasswordError,
)


def told(error: Exception) -> Exception:
    """Return an error in the words of the port; a mistake of ours is returned as it is."""
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return ConstraintFailed(str(error))
    if isinstance(error, asyncpg.DiskFullError):
        return StoreFull(f"PostgreSQL: the disk is full ({error}).")
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return SchemaError(
            f"PostgreSQL: {error}. The service's role needs its schema to itself: "
            "GRANT USAGE, CREATE ON SCHEMA, and to own what is in it."
        )
    if isinstance(error, TimeoutError):
        return StoreUnavailable("PostgreSQL did not answer in time.")
    if isinstance(error, _UNAVAILABLE):
        return StoreUnavailable(f"PostgreSQL: {str(error) or type(error).__name__}")
    return error
