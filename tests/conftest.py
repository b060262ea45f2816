"""What every test shares; a fixture that only one folder needs lives in that folder."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_WORKER = _HERE / "worker"

# In a shell's background SIGINT is ignored, and whatever the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
