"""schemathesis tries the Worker by its own OpenAPI document, with a token and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.exploring import explore
from tests.worker.conftest import scratch_folder
from tests.worker.harness import TOKEN, direct_url
from tools.dev_worker import DevWorker
from webhook.api.app import OPERATIONS


@pytest.fixture(scope="module")
def explored() -> Iterator[str]:
    """A Worker of its own, since whatever it pauses, makes and sends is nobody else's."""
    with (
        scratch_folder() as folder,
        DevWorker(state_dir=folder, env={"WEBHOOK_API_TOKEN": TOKEN}) as running,
    ):
        yield direct_url(running)


@pytest.mark.parametrize("with_token", [False, True])
def test_schemathesis_finds_no_answer_that_the_document_does_not_tell(
    explored: str, tmp_path: Path, with_token: bool
) -> None:
    ran = explore(explored, TOKEN if with_token else None, tmp_path, phases="examples,coverage")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"Tested: {len(OPERATIONS) - 1}" in ran.stdout
