"""A service behind a real server for what happens on the wire, and one in the same loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.api.client import Api, opened
from tests.api.server import Served


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    with Served() as server:
        yield server


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with opened() as api:
        yield api
