"""What every test shares; a fixture that only one folder needs lives in that folder."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_WORKER = _HERE / "worker"

# In a shell's background SIGINT is ignored, and whatever the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _log_of_the_tests() -> Iterator[None]:
    """Take back how a command that ran in this process had the log written, to its own stderr."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in list(root.handlers):
        if type(handler) is logging.StreamHandler and handler not in before:
            root.removeHandler(handler)
    root.setLevel(level)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what shares a Worker in one process, where tests run in several."""
    for item in items:
        if group := _shares(item):
            item.add_marker(pytest.mark.xdist_group(group))


def _shares(item: pytest.Item) -> str | None:
    if item.path.is_relative_to(_WORKER / "inner"):
        return "inner"
    if item.path.is_relative_to(_WORKER):
        return "worker"
    if item.path.is_relative_to(_HERE / "contract") and "[d1" in item.name:
        return "d1"
    return None
