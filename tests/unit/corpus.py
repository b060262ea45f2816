"""Reads ``hostile_urls.txt``: which URLs are refused, which accepted, and why."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_FILE = Path(__file__).with_name("hostile_urls.txt")


class Line(NamedTuple):
    """One URL; ``called_global`` is what Python's ``ipaddress`` says of its address."""

    refused: bool
    why: str
    called_global: bool
    url: str

    @property
    def host(self) -> str:
        """What stands in the place of the host, without brackets."""
        return re.split("[/?#]", self.url.partition("://")[2])[0].strip("[]")


def _lines() -> list[Line]:
    found = []
    for text in _FILE.read_text("utf-8").splitlines():
        if not text or text.startswith("#"):
            continue
        verdict, why, mark, written = text.split()
        assert verdict in {"refused", "accepted"}
        assert mark in {"global", "-"}
        url = re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), written)
        found.append(Line(verdict == "refused", why, mark == "global", url))
    return found


CORPUS = _lines()
HOSTILE = [line for line in CORPUS if line.refused]
LEGITIMATE = [line for line in CORPUS if not line.refused]
