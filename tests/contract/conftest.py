"""Gives each test of the contract its store, unopened.

Every fixture is synchronous, and so is making a store: where the suite runs inside the Worker,
nothing can await before the test itself does. So a test opens its store: ``opened(maker)``.

Outside the Worker, the suite runs in it once, as a whole, when the first of the D1 tests is due;
each of those then ends as the inner one did.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from .stores import IN_WORKER, Maker, store_kinds

if not IN_WORKER:
    from tools.worker_tests import MirroredTests

    _INNER = MirroredTests([Path(__file__).parent])

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
        """End a D1 test as the inner one did; leave the others to pytest."""
        makers = [value for name, value in _parameters(pyfuncitem) if name.endswith("maker")]
        if not any(str(maker).startswith("d1") for maker in makers):
            return None
        _INNER.settle(pyfuncitem.nodeid)
        return True

    def _parameters(test: pytest.Function) -> list[tuple[str, object]]:
        return list(test.callspec.params.items()) if hasattr(test, "callspec") else []


_KINDS = store_kinds()
_JOINT = [name for name, kind in _KINDS.items() if kind.joint]
_SEPARATE = [name for name, kind in _KINDS.items() if not kind.joint]


def _maker(request: pytest.FixtureRequest) -> Maker:
    kind = _KINDS[request.param]
    return lambda: kind.make(lambda: cast("Path", request.getfixturevalue("tmp_path")))


@pytest.fixture(params=[name for name, kind in _KINDS.items() if kind.whole])
def maker(request: pytest.FixtureRequest) -> Maker:
    """Makes any store."""
    return _maker(request)


@pytest.fixture(params=_JOINT)
def joint_maker(request: pytest.FixtureRequest) -> Maker:
    """Makes a store that keeps endpoints and deliveries together."""
    return _maker(request)


@pytest.fixture(params=_SEPARATE)
def separate_maker(request: pytest.FixtureRequest) -> Maker:
    """Makes a delivery store that knows of no endpoint, beside an endpoint store."""
    return _maker(request)
