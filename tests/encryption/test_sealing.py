"""What is sealed opens in its place alone: not in another row, tenant or column, nor changed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.encryption.stores import HEADER, NEW, OLD, add, bytes_beside, opened
from webhook.domain.encryption import (
    EncryptionKey,
    make_encryption_key,
    read_encryption_keys,
)
from webhook.domain.errors import SecretsLocked


async def test_headers_and_secrets_stand_sealed_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "webhook.db"
    async with opened(path, OLD) as service:
        [made] = await add(service)
        assert await service.get_endpoint(made.id) == made
        assert (await service.list_endpoints()).items == [made]
        found = bytes_beside(path)
    for planted in (HEADER, made.secrets[0].value, made.secrets[0].value.removeprefix("whsec_")):
        assert planted.encode() not in found
        assert planted.encode() not in bytes_beside(path)
    assert b"sealed." in bytes_beside(path)


async def test_the_same_secret_never_looks_the_same_twice(tmp_path: Path) -> None:
    path = tmp_path / "webhook.db"
    async with opened(path, OLD) as service:
        await add(service, 3, secret="whsec_" + "A" * 32)
    with closing(sqlite3.connect(path)) as file:
        texts = [text for [text] in file.execute("SELECT secrets FROM endpoints")]
    assert len(set(texts)) == 3


_FROM_OTHER = "(SELECT {} FROM endpoints WHERE id = ?2)"


@pytest.mark.parametrize(
    ("column", "theft"),
    [
        # From one endpoint to another.
        ("secrets", _FROM_OTHER.format("secrets")),
        ("headers", _FROM_OTHER.format("headers")),
        # From the secrets, which are never shown, to the headers, which are sent.
        ("headers", "secrets"),
        ("tenant", "'thief'"),
        # Some letters of the ciphertext, and another key's name on it.
        ("secrets", "substr(secrets, 1, 40) || 'AAAA' || substr(secrets, 45)"),
        ("secrets", f"replace(secrets, '{OLD.id}', '{NEW.id}')"),
    ],
)
async def test_a_ciphertext_that_was_moved_or_changed_does_not_open(
    tmp_path: Path, column: str, theft: str
) -> None:
    path = tmp_path / "webhook.db"
    async with opened(path, OLD) as service:
        one, other = await add(service, 2)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute(
            f"UPDATE endpoints SET {column} = {theft} WHERE id = ?1 AND ?2 <> ''",
            (one.id, other.id),
        )
    async with opened(path, OLD, NEW) as service:
        with pytest.raises(SecretsLocked, match=one.id) as caught:
            await service.get_endpoint(one.id)
        assert HEADER not in str(caught.value)
        assert await service.get_endpoint(other.id) == other


# --- keys as they are written ---------------------------------------------------------------------


def test_keys_are_read_from_commas_and_lines_and_print_stars() -> None:
    one, other = make_encryption_key(bytes(range(32))), make_encryption_key(bytes(32))
    keys = read_encryption_keys(f" {one} ,\n{other}\n")
    assert [key.value for key in keys] == [bytes(range(32)), bytes(32)]
    assert len({key.id for key in keys}) == 2
    for text in (repr(keys), str(keys[0]), f"{keys}"):
        assert one.removeprefix("whek_")[:10] not in text
        assert "***" in text
    assert keys[0] == EncryptionKey(bytes(range(32)))


@pytest.mark.parametrize(
    "text",
    [
        "hidden",
        "whek_",
        "whek_hidden!",
        "whsec_" + "A" * 43 + "=",
        "whek_" + "A" * 40,
        "whek_" + "A" * 43 + "=,whek_" + "A" * 43 + "=",
        ",".join(make_encryption_key(bytes([n]) * 32) for n in range(11)),
    ],
)
def test_other_texts_are_refused_without_showing_them(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is no key|names a key twice|has more than)") as caught:
        read_encryption_keys(text)
    assert "hidden" not in str(caught.value)
    assert "AAAA" not in str(caught.value)
