"""The README's Python blocks, and what a reader would do with them."""

from __future__ import annotations

import re
from pathlib import Path

RECEIVER = "http://127.0.0.1:9000/hook"
IN_MEMORY = "persistence = create_in_memory_webhook_persistence()"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_blocks(readme: Path) -> list[str]:
    """Return the Python blocks of a README, in order."""
    return _BLOCK.findall(readme.read_text("utf-8"))


def with_receiver(code: str, url: str) -> str:
    """Put another receiver's URL in the place of the README's."""
    assert RECEIVER in code
    return code.replace(RECEIVER, url)


def with_persistence(code: str, line: str, import_line: str) -> str:
    """Change the one line that chooses the persistence, and import what it names."""
    assert code.count(IN_MEMORY) == 1
    return f"{import_line}\n{code.replace(IN_MEMORY, line)}"
