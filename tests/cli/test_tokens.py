"""The token that the server makes: kept, for its owner alone, complete or not at all."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from webhook.cli.tokens import keep_token, read_token, token_file
from webhook.domain.errors import ConfigError
from webhook.settings import StoreAddress


def test_it_lies_beside_the_database() -> None:
    assert token_file(StoreAddress("sqlite", "data/hooks.db")) == Path("data/hooks.db.token")
    assert token_file(StoreAddress("memory")) is None


def test_it_is_made_once(tmp_path: Path) -> None:
    file = tmp_path / "x.token"
    token = keep_token(file)
    assert len(token) >= 32
    assert keep_token(file) == read_token(file) == token
    assert list(tmp_path.iterdir()) == [file]


def test_without_a_file_it_is_another_each_time() -> None:
    assert keep_token(None) != keep_token(None)
    assert read_token(None) is None


def test_of_many_that_start_at_once_all_get_the_same(tmp_path: Path) -> None:
    file = tmp_path / "x.token"
    with ThreadPoolExecutor(16) as pool:
        tokens = set(pool.map(keep_token, [file] * 64))
    assert tokens == {read_token(file)}
    assert list(tmp_path.iterdir()) == [file]


def test_one_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    file = tmp_path / "x.token"
    token = keep_token(file)
    file.chmod(0o644)
    assert keep_token(file) == token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"  \n", b"two words", b"\xff\xfe"])
def test_a_file_without_a_token_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.token"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"x\.token holds no token"):
        keep_token(file)
    assert read_token(file) is None


def test_where_it_cannot_be_kept_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Set WEBHOOK_API_TOKEN instead"):
        keep_token(tmp_path / "missing" / "x.token")
