"""Programs for developers and tests: what runs the Worker here. None of it is deployed."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The repository's folder."""

CACHE = ROOT / ".wrangler"
"""Everything that the tools make and keep; git ignores it."""
