"""`webhook pause` and `webhook resume` turn the operator's switch of a store, and say so."""

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.cli.app import app
from webhook.domain.access import AuditEntry
from webhook.ports import AuditQuery

runner = CliRunner()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEBHOOK_STORE", raising=False)
    return tmp_path


def run(*arguments: str) -> str:
    done = runner.invoke(app, arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


async def paused_since() -> int | None:
    persistence = create_sqlite_webhook_persistence("webhook.db")
    assert persistence.close is not None
    since = await persistence.delivery_store.sending_paused_since()
    await persistence.close()
    return since


async def audited() -> list[AuditEntry]:
    persistence = create_sqlite_webhook_persistence("webhook.db")
    assert persistence.access_store is not None
    assert persistence.close is not None
    page = await persistence.access_store.list_audit(AuditQuery())
    await persistence.close()
    return page.items


def test_a_pause_holds_until_it_is_resumed(folder: Path) -> None:
    run("migrate")
    assert "sending is paused" in run("pause")
    since = asyncio.run(paused_since())
    assert since is not None
    assert "sending is paused" in run("pause")
    assert asyncio.run(paused_since()) == since
    assert "sending goes on" in run("resume")
    assert asyncio.run(paused_since()) is None
    assert (folder / "webhook.db").exists()


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_store_that_is_not_there_is_not_made(folder: Path, command: str) -> None:
    done = runner.invoke(app, [command])
    assert done.exit_code == 1
    assert "no such file" in done.stderr
    assert list(folder.iterdir()) == []


def test_the_audit_log_says_that_it_was_done_at_the_store() -> None:
    run("migrate")
    run("pause")
    run("resume")
    entries = asyncio.run(audited())
    assert [(e.action, e.actor, e.tenant, e.source) for e in entries] == [
        ("sending.resume", "cli", None, None),
        ("sending.pause", "cli", None, None),
    ]


def test_memory_has_no_switch_from_outside() -> None:
    done = runner.invoke(app, ["pause", "--store", "memory://"])
    assert done.exit_code == 1
    assert "/v1/sending/pause" in done.stderr
