"""A database of ours that was damaged is refused in words, and stays as it is for its rescue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.serving import run
from webhook.adapters.sqlite.persistence import initialize_webhook_schema

PAGE = 4096

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "its end is missing": lambda content: content[: len(content) // 2],
    "only its first page is left": lambda content: content[:PAGE],
    "all but its first page is rubbish": lambda content: content[:PAGE].ljust(
        len(content), b"\xff"
    ),
    "its first page is rubbish": lambda content: b"\xff" * PAGE + content[PAGE:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_refused_and_left_byte_for_byte(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "webhook.db"
    asyncio.run(initialize_webhook_schema(file))
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    before = file.read_bytes()
    done = run("serve", "--port", "0", cwd=tmp_path, WEBHOOK_API_TOKEN="t")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: sqlite:///webhook.db: The file is no usable SQLite")
    assert done.stderr.endswith("It was not touched.\n")
    assert done.stderr.count("\n") == 1
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["webhook.db"]
