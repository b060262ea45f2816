"""`webhook tokens` makes, lists and revokes tokens of a store, and each is audited."""

import asyncio
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.cli.test_switch import audited
from webhook.cli.app import app
from webhook.domain.access import TOKEN_PATTERN, token_id

runner = CliRunner()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEBHOOK_STORE", raising=False)
    return tmp_path


def tokens(*arguments: str) -> Result:
    return runner.invoke(app, ["tokens", *arguments])


def test_a_token_is_made_listed_and_revoked() -> None:
    runner.invoke(app, ["migrate"])
    made = tokens(
        "create", "the shop", "--scope", "read", "--scope", "emit", "--tenant", "acme",
        "--expires", "2099-01-31T12:00:00Z",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    assert re.fullmatch(TOKEN_PATTERN, token)
    made_id = token_id(token) or ""
    assert tokens("list").stdout.splitlines() == [
        f"{made_id}  emit,read  acme  2099-01-31T12:00:00.000Z  -  the shop"
    ]
    assert tokens("revoke", made_id).stdout == f"{made_id} is revoked.\n"
    assert tokens("list").stdout == ""
    assert tokens("revoke", made_id).exit_code == 1
    entries = asyncio.run(audited())
    assert [(e.action, e.actor, e.tenant, e.target, e.detail) for e in entries] == [
        ("token.revoke", "cli", "acme", made_id, None),
        ("token.create", "cli", "acme", made_id, "emit read"),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["create", "x"], 2, "--scope"),
        (["create", "x", "--scope", "root"], 2, "emit"),
        (["create", "x", "--scope", "read", "--expires", "soon"], 2, "2027-01-31T12:00:00Z"),
        (["create", "x", "--scope", "read", "--expires", "2099-01-31"], 2, "is no time"),
        (["create", "x", "--scope", "read", "--expires", "2001-01-01T00:00:00Z"], 1, "has passed"),
        (["create", "", "--scope", "read"], 1, "1 to 256"),
        (["create", "x", "--scope", "read", "--tenant", "a b"], 1, "A tenant is"),
        (["revoke", "tok_x"], 1, "no token 'tok_x'"),
    ],
)
def test_what_cannot_be_is_said(arguments: list[str], code: int, words: str) -> None:
    runner.invoke(app, ["migrate"])
    done = tokens(*arguments)
    assert done.exit_code == code, done.output
    assert words.lower() in done.stderr.lower()
    assert asyncio.run(audited()) == []


def test_a_store_that_is_not_there_is_not_made(folder: Path) -> None:
    done = tokens("create", "x", "--scope", "read")
    assert done.exit_code == 1
    assert "no such file" in done.stderr
    assert list(folder.iterdir()) == []


def test_memory_has_no_tokens_from_outside() -> None:
    done = tokens("list", "--store", "memory://")
    assert done.exit_code == 1
    assert "/v1/tokens" in done.stderr
