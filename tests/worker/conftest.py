"""Workers that tests share, since starting one takes seconds; and the tests that run inside one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.worker.harness import LOCAL, Api, project, without_queue
from tools import CACHE
from tools.dev_worker import DevWorker


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for the state of a Worker, or for a Worker as a whole; remove it in the end."""
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix="worker-", dir=CACHE, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Such a folder, for one test."""
    with scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def worker() -> Iterator[DevWorker]:
    """The Worker as it is deployed, but for its settings; no cron fires by itself."""
    with scratch_folder() as folder, DevWorker(state_dir=folder, env=LOCAL) as running:
        yield running


@pytest.fixture(scope="session")
def worker_without_queue() -> Iterator[DevWorker]:
    """The same without a queue, so that whatever is sent was sent by ``waitUntil`` or the cron."""
    with scratch_folder() as folder:
        config = project(folder, without_queue)
        with DevWorker(state_dir=folder / "state", env=LOCAL, config=config) as running:
            yield running


@pytest.fixture
def api(worker: DevWorker) -> Api:
    """The API of the Worker, in a tenant of its own."""
    return Api(worker)


@pytest.fixture
def lonely(worker_without_queue: DevWorker) -> Api:
    """The API of the Worker that has no queue, in a tenant of its own."""
    return Api(worker_without_queue)
