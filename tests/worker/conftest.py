"""Workers that tests share, since starting one takes seconds; and the tests that run inside one."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from tests.api.server import Nowhere, Served
from tests.receiver import ThreadedReceiver
from tests.worker.harness import LOCAL, Api, project, without_queue
from tests.worker.routes import answer
from tools import CACHE, ROOT
from tools.dev_worker import DevWorker
from tools.worker_tests import MirroredTests

INNER = Path(__file__).parent / "inner"
# What the tests inside are told of how they are run.
PASSED_ON = ("WEBHOOK_TEST_MANY",)
CARRIED = (
    ROOT / "README.md",
    ROOT / "tests" / "readme" / "blocks.py",
    ROOT / "tests" / "unit" / "corpus.py",
    ROOT / "tests" / "unit" / "hostile_urls.txt",
)
_mirror = pytest.StashKey[MirroredTests]()


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


# --- tests inside workerd ------------------------------------------------------------------------


class _Nothing(ModuleType):
    """Stands for a module that only a Worker has, so that a file of its tests can be read here."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class _InnerModule(pytest.Module):
    """A file of tests for workerd: read here for their names, run there."""

    def collect(self) -> Iterable[pytest.Item]:
        """Put an item in the place of each test."""
        absent = [name for name in ("js", "workers") if name not in sys.modules]
        sys.modules.update((name, _Nothing(name)) for name in absent)
        try:
            tests = list(super().collect())
        finally:
            for name in absent:
                del sys.modules[name]
        return [_InnerTest.from_parent(self, name=test.name) for test in tests]


class _InnerTest(pytest.Item):
    """Ends as the test of the same name inside workerd did; they all run when the first is due."""

    def runtest(self) -> None:
        """Look the outcome up."""
        stash = self.config.stash
        if _mirror not in stash:
            receiver = ThreadedReceiver(answer)
            receiver.__enter__()
            self.config.add_cleanup(lambda: receiver.__exit__(None, None, None))
            service = Served(sender=Nowhere())
            service.__enter__()
            self.config.add_cleanup(lambda: service.__exit__(None, None, None))
            environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
            environ["WEBHOOK_TEST_RECEIVER"] = f"http://127.0.0.1:{receiver.port}"
            environ["WEBHOOK_TEST_SERVICE"] = service.url
            environ["WEBHOOK_TEST_TOKEN"] = service.token
            stash[_mirror] = MirroredTests([INNER], carried=CARRIED, environ=environ)
        stash[_mirror].settle(self.nodeid)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Say where it stands."""
        return self.path, None, self.name


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    """Read the files of ``inner`` in their own way."""
    if module_path.parent != INNER:
        return None
    module: pytest.Module = _InnerModule.from_parent(parent, path=module_path)
    return module
