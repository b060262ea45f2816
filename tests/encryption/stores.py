"""SQLite files under keys, and a service on them whose receivers take everything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.domain.config import WebhookConfig
from webhook.domain.encryption import EncryptionKey, make_encryption_key, read_encryption_keys
from webhook.domain.endpoint import EndpointInput
from webhook.domain.model import Endpoint, Outcome
from webhook.runtime import WebhookRuntimeService

OLD, NEW, OTHER = (read_encryption_keys(make_encryption_key(bytes([n]) * 32))[0] for n in (1, 2, 3))
HEADER = "planted-header-value"


class Receivers:
    """A ``Sender`` that reaches everybody at once."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    async def send(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_ms: int
    ) -> Outcome:
        assert timeout_ms
        self.requests.append((url, {k.lower(): v for k, v in headers.items()}, body))
        return Outcome(started_at=0, latency_ms=0, status_code=200)

    async def close(self) -> None:
        """Nothing is open."""


@asynccontextmanager
async def opened(
    path: Path, *keys: EncryptionKey, background: bool = False, sender: Receivers | None = None
) -> AsyncIterator[WebhookRuntimeService]:
    """Open a service on a file."""
    service = WebhookRuntimeService(
        WebhookConfig(batch_timeout_ms=50),
        persistence=create_sqlite_webhook_persistence(
            path, synchronous="OFF", encryption_keys=keys
        ),
        sender=sender or Receivers(),
        auto_start=background,
    )
    try:
        await service.initialize()
        yield service
    finally:
        await service.shutdown()


async def add(
    service: WebhookRuntimeService, count: int = 1, secret: str | None = None
) -> list[Endpoint]:
    """Add endpoints with a header of their own."""
    headers = {"x-key": HEADER}
    given = [
        EndpointInput(
            url=f"https://a{n}.example/hook", event_types=["*"], headers=headers, secret=secret
        )
        for n in range(count)
    ]
    return await service.add_endpoints(given)


def bytes_beside(path: Path) -> bytes:
    """Return all that stands in a database's files, its log included."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))
