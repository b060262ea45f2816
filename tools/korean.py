"""Brings README.ko.md in step with README.md: `python -m tools.korean` copies the code blocks.

Words are for a person to translate; headings and code blocks can be compared, and a test does.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENGLISH, KOREAN = ROOT / "README.md", ROOT / "README.ko.md"
_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[str]:
    """Return the code blocks of a page, fences and all."""
    return _BLOCK.findall(text)


def outline(text: str) -> list[str]:
    """Return what a page is made of, in order: `#`, `##`, ... for headings, `code` for blocks."""
    bare = _BLOCK.sub("```", text)
    found = re.findall(r"^(#+|```)(?: |$)", bare, re.MULTILINE)
    return ["code" if mark == "```" else mark for mark in found]


def in_step(english: str, korean: str) -> str:
    """Return the Korean page with the English one's code blocks; both have as many."""
    ours = iter(blocks(english))
    return _BLOCK.sub(lambda _: next(ours), korean)


def main() -> None:
    """Copy the code blocks, or say where the pages part."""
    english, korean = ENGLISH.read_text("utf-8"), KOREAN.read_text("utf-8")
    if outline(english) != outline(korean):
        sys.exit(
            f"Translate first.\nREADME.md:    {outline(english)}\nREADME.ko.md: {outline(korean)}"
        )
    KOREAN.write_text(in_step(english, korean), "utf-8")


if __name__ == "__main__":
    main()
