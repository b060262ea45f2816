"""A database that was written before secrets were encrypted keeps nothing of them in the clear."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.encryption.stores import HEADER, NEW, OLD, add, bytes_beside, opened
from webhook.adapters.sql.migrate import TABLE
from webhook.adapters.sql.migrations import MIGRATIONS
from webhook.domain.ids import lane_of

BEFORE = "0004"
# As many and as long as to fill pages, and free them again.
COUNT, KEPT = 600, 452


def endpoint_id(number: int) -> str:
    return f"ep_{number:026}"


def secret_of(number: int) -> str:
    return f"whsec_{number:04}" + "UExBTlRFRFNFQ1JFVA" * 2


def header_of(number: int) -> str:
    return f"{HEADER}-{number}-" + "x" * 40


def write_as_before(path: Path) -> None:
    """Write a file as the code did that came before, and leave its log as a crash would."""
    file = sqlite3.connect(path, isolation_level=None)
    file.execute("PRAGMA journal_mode = WAL")
    # Some builds of SQLite overwrite what is deleted, most do not.
    file.execute("PRAGMA secure_delete = OFF")
    file.execute(TABLE)
    for name, statements in MIGRATIONS:
        if name < BEFORE:
            for statement in statements:
                file.execute(statement)
            file.execute("INSERT INTO d1_migrations (name) VALUES (?)", (name,))
    for number in range(COUNT):
        file.execute(
            "INSERT INTO endpoints (lane, id, tenant, status, settings, headers, secrets, revision,"
            " created_at, updated_at) VALUES (?, ?, 'default', 'active', ?, ?, ?, 1, 1, 1)",
            (
                lane_of(endpoint_id(number)),
                endpoint_id(number),
                json.dumps({"url": "https://a.example/", "event_types": ["*"]}),
                json.dumps({"x-key": header_of(number)}),
                json.dumps([{"value": secret_of(number), "expires_at": None}]),
            ),
        )
    file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    # The first half leaves pages that are free now, the other one unused parts of pages.
    for doomed in (f"< {COUNT // 2}", "% 3 = 0"):
        file.execute(f"DELETE FROM endpoints WHERE CAST(substr(id, 4) AS INTEGER) {doomed}")
    file.execute(
        "UPDATE endpoints SET headers = '{}', secrets = '[]', status = 'removed'"
        " WHERE CAST(substr(id, 4) AS INTEGER) % 3 = 1"
    )
    # The last connection to be closed would put the log away; a process that is killed leaves it.
    log = Path(f"{path}-wal").read_bytes()
    whole = path.read_bytes()
    file.close()
    path.write_bytes(whole)
    Path(f"{path}-wal").write_bytes(log)


def planted_in(data: bytes) -> list[int]:
    """Return the numbers of the endpoints of which something stands in the clear."""
    return [
        number
        for number in range(COUNT)
        if secret_of(number).encode() in data or header_of(number).encode() in data
    ]


async def test_after_the_upgrade_no_page_and_no_log_holds_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "webhook.db"
    write_as_before(path)
    # There are some of endpoints that are gone, so the test would fail without the rewriting.
    assert {number % 3 for number in planted_in(bytes_beside(path))} == {0, 1, 2}
    async with opened(path, OLD) as service:
        report = await service.encrypt_all(scrub=True)
        assert (report.count, report.failed, report.clean) == (COUNT // 3, (), True)
        assert report.keys_left == (OLD.id,)
        assert planted_in(bytes_beside(path)) == []
        kept = await service.get_endpoint(endpoint_id(KEPT))
        assert kept.secrets[0].value == secret_of(KEPT)
        assert kept.headers == {"x-key": header_of(KEPT)}
        # Once is enough: nothing is rewritten again.
        inode, size = path.stat().st_mtime_ns, path.stat().st_size
        assert (await service.encrypt_all(scrub=True)).clean
        assert (path.stat().st_mtime_ns, path.stat().st_size) == (inode, size)
    assert planted_in(bytes_beside(path)) == []


async def test_encrypting_alone_would_leave_some_behind(tmp_path: Path) -> None:
    path = tmp_path / "webhook.db"
    write_as_before(path)
    async with opened(path, OLD) as service:
        await service.encrypt_all(scrub=False)
    assert planted_in(bytes_beside(path)) != []
    # A process that was killed before it had rewritten the file is followed by one that does.
    async with opened(path, OLD) as service:
        assert (await service.encrypt_all(scrub=True)).clean
    assert planted_in(bytes_beside(path)) == []


async def test_what_was_stored_in_the_clear_for_a_time_is_scrubbed_too(tmp_path: Path) -> None:
    path = tmp_path / "webhook.db"
    async with opened(path) as service:
        made = await add(service, 50)
        for endpoint in made:
            await service.remove_endpoint(endpoint.id)
        assert not (await service.encrypt_all(scrub=True)).clean
        assert HEADER.encode() in bytes_beside(path)
    async with opened(path, NEW) as service:
        report = await service.encrypt_all(scrub=True)
    assert (report.count, report.clean) == (0, True)
    found = bytes_beside(path)
    assert HEADER.encode() not in found
    assert [e for e in made if e.secrets[0].value.encode() in found] == []


async def test_somebody_who_reads_meanwhile_delays_it_and_breaks_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "webhook.db"
    write_as_before(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM endpoints").fetchone()
        async with opened(path, OLD) as service:
            report = await service.encrypt_all(scrub=True)
    assert not report.clean
    assert "may still hold secrets" in caplog.text
    async with opened(path, OLD) as service:
        assert (await service.encrypt_all(scrub=True)).clean
    assert planted_in(bytes_beside(path)) == []
