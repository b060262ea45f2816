"""A program on each store that can be an outbox, and a service beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.outbox.programs import KINDS, Program
from tests.postgres.servers import fresh_address
from tests.receiver import Receiver
from webhook import EndpointInput, WebhookConfig, WebhookRuntimeService


@pytest.fixture(params=list(KINDS))
async def program(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Program]:
    """A program, connected, in a database of its own."""
    kind = request.param
    place = str(tmp_path / "shop.db") if kind == "sqlite" else fresh_address()
    made: Program = KINDS[kind](place)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as found:
        yield found


@pytest.fixture
async def service(program: Program, receiver: Receiver) -> AsyncIterator[WebhookRuntimeService]:
    """A service without a loop, one endpoint in it, all events at the receiver."""
    made = WebhookRuntimeService(
        WebhookConfig(allow_http=True, allow_private_hosts=True),
        persistence=program.persistence(),
        auto_start=False,
    )
    await made.add_endpoint(EndpointInput(url=receiver.url, event_types=["*"]))
    yield made
    await made.shutdown()
