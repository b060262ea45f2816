"""One server for all tests of the clients, and each kind of client to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.server import Nowhere, Served
from tests.client.kinds import KINDS, Calls
from webhook.client import Client


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    with Served(sender=Nowhere()) as server:
        yield server


@pytest.fixture(params=KINDS)
def client(request: pytest.FixtureRequest, served: Served) -> Iterator[Calls]:
    with KINDS[request.param](served.url, served.token) as calls:
        yield calls


@pytest.fixture
def blocking(served: Served) -> Iterator[Client]:
    with Client(served.url, served.token) as client:
        yield client
