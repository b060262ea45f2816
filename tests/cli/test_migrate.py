"""`webhook migrate`: applies what is missing, says what it did, and only looks when asked to."""

import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from webhook.adapters.sql.migrations import MIGRATIONS
from webhook.cli.app import app

NAMES = [name for name, _ in MIGRATIONS]
runner = CliRunner()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEBHOOK_STORE", raising=False)
    return tmp_path


def migrate(*arguments: str) -> list[str]:
    done = runner.invoke(app, ["migrate", *arguments])
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_it_applies_what_is_missing_and_then_has_nothing_to_do() -> None:
    assert migrate() == [f"applied  {name}" for name in NAMES]
    assert migrate() == ["sqlite:///webhook.db: nothing to do."]


def test_a_dry_run_prints_what_is_missing_and_makes_no_file(folder: Path) -> None:
    assert migrate("--dry-run") == [f"missing  {name}" for name in NAMES]
    assert list(folder.iterdir()) == []


def test_a_dry_run_leaves_a_file_as_it_is(folder: Path) -> None:
    file = folder / "webhook.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE d1_migrations (id INTEGER PRIMARY KEY, name TEXT)")
    connection.commit()
    connection.close()
    before = file.read_bytes()
    assert migrate("--dry-run") == [f"missing  {name}" for name in NAMES]
    assert file.read_bytes() == before
    assert list(folder.iterdir()) == [file]


def test_a_dry_run_of_a_complete_store_has_nothing_to_do() -> None:
    migrate("--store", "sqlite:///other.db")
    assert migrate("--store", "sqlite:///other.db", "--dry-run") == [
        "sqlite:///other.db: nothing to do."
    ]


def test_the_store_comes_from_the_environment_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK_STORE", f"sqlite:///{folder}/there.db")
    migrate()
    assert (folder / "there.db").exists()


def test_memory_has_nothing_to_migrate() -> None:
    assert migrate("--store", "memory://") == ["memory://: nothing to do, memory has no schema."]


@pytest.mark.parametrize("arguments", [[], ["--dry-run"]])
def test_another_programs_file_is_refused(folder: Path, arguments: list[str]) -> None:
    (folder / "webhook.db").write_text("notes\n" * 200)
    done = runner.invoke(app, ["migrate", *arguments])
    assert done.exit_code == 1
    assert "no usable SQLite database" in done.stderr


def test_a_file_that_this_user_may_not_write_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate()
    # The superuser, whom tests may run as, may write everything.
    monkeypatch.setattr("os.access", lambda path, _: path != folder / "webhook.db")
    monkeypatch.setenv("WEBHOOK_STORE", f"sqlite:///{folder}/webhook.db")
    done = runner.invoke(app, ["migrate"])
    assert done.exit_code == 1
    assert "This user may not write to" in done.stderr
