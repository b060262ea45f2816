"""Gives each test of the contract its store, unopened.

Every fixture is synchronous, and so is making a store: where the suite runs inside the Worker,
nothing can await before the test itself does. So a test opens its store: ``opened(maker)``.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from .stores import Maker, store_kinds

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
