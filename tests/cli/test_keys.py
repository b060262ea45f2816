"""``webhook keys``: made, rotated, and asked for by name when they are missing."""

from __future__ import annotations

import asyncio
import re
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.cli.test_switch import audited
from tests.encryption.stores import NEW, OLD, add, opened
from webhook.cli.app import app
from webhook.cli.key_files import keep_key
from webhook.domain.encryption import make_encryption_key, read_encryption_keys
from webhook.domain.errors import ConfigError
from webhook.settings import read_settings

KEYS = "WEBHOOK_ENCRYPTION_KEYS"
OLD_KEY, NEW_KEY = (make_encryption_key(key.value) for key in (OLD, NEW))
FILE = Path("webhook.db")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(KEYS, raising=False)


def run(*arguments: str, keys: str | None = None) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments], prog_name="webhook", env={KEYS: keys})


def write(count: int) -> None:
    async def written() -> None:
        async with opened(FILE, OLD) as service:
            await add(service, count)

    asyncio.run(written())


def test_each_key_that_is_made_is_another_one() -> None:
    made = [run("create").stdout for _ in range(2)]
    assert made[0] != made[1]
    assert len(read_encryption_keys("".join(made))) == 2


def test_a_rotation_says_which_key_is_not_needed_any_more() -> None:
    write(3)
    done = run("rotate", keys=f"{NEW_KEY},{OLD_KEY}")
    assert done.exit_code == 0, done.output
    assert f"3 endpoints encrypted anew, with key {NEW.id}." in done.stdout
    assert f"Key {OLD.id} is not needed any more." in done.stdout
    again = run("rotate", "--vacuum", keys=NEW_KEY)
    assert again.exit_code == 0, again.output
    assert " 0 endpoints" in again.stdout
    entries = asyncio.run(audited())
    assert [(e.action, e.actor, e.detail) for e in entries] == [("keys.rotate", "cli", NEW.id)] * 2
    for key in (OLD_KEY, NEW_KEY):
        assert key not in done.output + again.output


def test_without_a_key_or_with_another_one_a_rotation_says_what_to_do() -> None:
    write(1)
    for keys, remedy in ((None, "There is no key"), (NEW_KEY, rf"\({OLD.id}\). Add that key")):
        done = run("rotate", keys=keys)
        assert done.exit_code == 1
        assert re.search(remedy, done.stderr)


@pytest.mark.parametrize("store", ["memory://", "sqlite:///none.db"])
def test_what_has_no_secrets_is_not_rotated(store: str) -> None:
    assert run("rotate", "--store", store, keys=OLD_KEY).exit_code == 1
    assert not Path("none.db").exists()


# --- the key that the server makes ---------------------------------------------------------------


def test_a_key_is_made_once_for_its_owner_alone() -> None:
    settings = read_settings({})
    [key] = keep_key(settings)
    file = Path("webhook.db.key")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    assert keep_key(settings) == (key,)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    # A key that is set comes first, and the one that was made still decrypts.
    assert keep_key(read_settings({KEYS: NEW_KEY})) == (NEW, key)


def test_no_key_is_made_where_another_one_is_missing() -> None:
    write(1)
    assert keep_key(read_settings({})) == ()
    assert keep_key(read_settings({KEYS: NEW_KEY})) == (NEW,)
    assert not Path("webhook.db.key").exists()
    assert keep_key(read_settings({"WEBHOOK_STORE": "memory://"})) == ()


@pytest.mark.parametrize("text", ["", "hidden\n"])
def test_a_file_that_holds_no_key_is_not_overwritten(text: str) -> None:
    file = Path("webhook.db.key")
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=r"webhook\.db\.key") as caught:
        keep_key(read_settings({}))
    assert "hidden" not in caught.value.message
    assert file.read_text("utf-8") == text
