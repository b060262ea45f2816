"""How long the fuzzers go on: seconds, and the same examples each time, unless asked for more.

``FUZZ_EXAMPLES=100000 pytest tests/fuzz`` looks for new ones.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_ASKED = os.environ.get("FUZZ_EXAMPLES")
_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
bounded = settings(_COMMON, max_examples=int(_ASKED or 300), derandomize=_ASKED is None)
"""For what takes microseconds."""
few = settings(_COMMON, max_examples=int(_ASKED or 100), derandomize=_ASKED is None)
"""For what passes through the whole application."""
