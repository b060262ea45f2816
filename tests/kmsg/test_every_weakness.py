"""Each numbered weakness of the original has a test of its number here."""

from __future__ import annotations

import re
from pathlib import Path

WEAKNESSES = 37
NAME = re.compile(r"^(?:async )?def test_(\d\d)_", re.MULTILINE)


def test_each_weakness_has_a_test() -> None:
    texts = [path.read_text("utf-8") for path in Path(__file__).parent.glob("test_weaknesses_*.py")]
    numbers = {int(number) for text in texts for number in NAME.findall(text)}
    assert numbers == set(range(1, WEAKNESSES + 1))
