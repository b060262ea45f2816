"""The vector file, read."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[1] / "vectors" / "standard_webhooks.json"
VECTORS: dict[str, Any] = json.loads(FILE.read_text("utf-8"))


def body_of(vector: dict[str, Any]) -> bytes:
    """Return the body of a vector."""
    if "body" in vector:
        return str(vector["body"]).encode()
    return base64.b64decode(vector["body_base64"])


def named(kind: str) -> pytest.MarkDecorator:
    """Return the vectors of a kind as parameters of a test."""
    return pytest.mark.parametrize("vector", VECTORS[kind], ids=lambda vector: vector["name"])
