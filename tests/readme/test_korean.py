"""README.ko.md is in step with README.md; `python -m tools.korean` copies code blocks into it."""

from __future__ import annotations

import re

from tools.korean import ENGLISH, KOREAN, blocks, in_step, outline

ENGLISH_TEXT, KOREAN_TEXT = ENGLISH.read_text("utf-8"), KOREAN.read_text("utf-8")
HANGUL = re.compile(r"[\uac00-\ud7a3]")


def test_headings_and_code_blocks_follow_each_other_alike() -> None:
    assert outline(KOREAN_TEXT) == outline(ENGLISH_TEXT)


def test_code_blocks_are_the_same() -> None:
    assert blocks(KOREAN_TEXT) == blocks(ENGLISH_TEXT)


def test_it_is_korean() -> None:
    paragraphs = re.split(r"\n{2,}", re.sub(r"^```.*?^```$", "", KOREAN_TEXT, flags=re.M | re.S))  # noqa: FURB167 - short
    without = [text for text in paragraphs if text.strip() and not HANGUL.search(text)]
    assert without == ["# webhook"]


def test_the_tool_brings_a_page_in_step_and_sees_what_it_cannot() -> None:
    english = "# A\n\n```sh\nnew\n```\n\n## B\n"
    korean = "# \uac00\n\n```sh\nold\n```\n\n## \ub098\n"
    assert in_step(english, korean) == "# \uac00\n\n```sh\nnew\n```\n\n## \ub098\n"
    assert outline(english) == outline(korean) == ["#", "code", "##"]
    assert outline(english + "```\nx\n```\n") != outline(korean)
