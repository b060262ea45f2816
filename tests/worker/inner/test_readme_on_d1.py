"""The README's five-minute example, on D1 by the change of one line."""

from __future__ import annotations

import os
import re
import types
from pathlib import Path

import pytest
from workers import env

from tests.readme.blocks import python_blocks, with_persistence, with_receiver

README = Path(__file__).parents[3] / "README.md"


async def test_the_five_minute_example_runs_on_d1(capsys: pytest.CaptureFixture[str]) -> None:
    example, on_d1 = python_blocks(README)[:2]
    line, _, comment = on_d1.partition("#")
    assert "create_d1_webhook_persistence" in line
    source = comment.strip()
    code = with_persistence(
        example,
        line.strip().replace("self.env", "env"),
        f"{source} import create_d1_webhook_persistence",
    )
    code = with_receiver(code, os.environ["WEBHOOK_TEST_RECEIVER"] + "/ok")
    # A Worker has a loop already, and what `self.env` is in its class is `env` here.
    before, _, after = code.partition("asyncio.run(main())")
    assert after.strip() == ""
    module = types.ModuleType("readme")
    module.__dict__["env"] = env
    exec(compile(before, "README.md", "exec"), module.__dict__)  # noqa: S102 - it is our README
    await module.main()
    assert re.search(r"^dlv_\S+ success $", capsys.readouterr().out, re.MULTILINE)
