"""The vector file, read."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
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


def named(
    kind: str, where: Callable[[dict[str, Any]], bool] = lambda _: True
) -> pytest.MarkDecorator:
    """Return the vectors of a kind, or those of them that are wanted, as parameters of a test."""
    wanted = [vector for vector in VECTORS[kind] if where(vector)]
    return pytest.mark.parametrize("vector", wanted, ids=lambda vector: vector["name"])
