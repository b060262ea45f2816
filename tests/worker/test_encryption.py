"""What a Worker keeps in D1 is sealed, and the same bytes open on CPython."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import httpx2

from tests import planted
from tests.receiver import Answer, ThreadedReceiver
from tests.worker.harness import LOCAL, database_files
from tools.dev_worker import DevWorker
from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.api.problems import INTERNAL

KEY = planted.written(planted.ENCRYPTION_KEY, "whek_")
SETTINGS = {
    **LOCAL,
    "WEBHOOK_API_TOKEN": planted.TOKEN,
    "WEBHOOK_ENCRYPTION_KEYS": KEY,
    "WEBHOOK_LOG_LEVEL": "debug",
    "WEBHOOK_RETRY_SCHEDULE": "0.1",
}


async def test_no_secret_stands_in_d1_s_file_and_cpython_opens_what_does(
    scratch: Path, tmp_path: Path
) -> None:
    with (
        ThreadedReceiver([Answer(200)]) as good,
        ThreadedReceiver([Answer(500, body=b"no")]) as bad,
        DevWorker(state_dir=scratch, env=SETTINGS) as worker,
    ):
        call = planted.caller(f"http://127.0.0.1:{worker.port}")
        answers = planted.exercise(call, good.url, bad.url)
        _, shown = call("GET", "/v1/endpoints", None)
        while_it_runs = _files(scratch)
        log = worker.log_tail(1_000_000).encode()
    planted.check(answers)
    for files in (while_it_runs, _files(scratch)):
        assert b"sealed." in files
        assert planted.searched(files, **planted.ALL) == []
    assert planted.searched(log, **planted.SIGNING, header=planted.HEADER, seed=planted.SEED) == []
    assert planted.searched(log, **planted.URLS) == []
    _check_that_it_refuses_without_the_key(scratch)
    # The rows of D1, opened by the store on SQLite with the same key.
    copy = tmp_path / "copy.db"
    [d1] = [file for file in database_files(scratch) if b"sealed." in _with_log(file)]
    with closing(sqlite3.connect(d1)) as file, closing(sqlite3.connect(copy)) as target:
        file.backup(target)
    persistence = create_sqlite_webhook_persistence(copy, encryption_keys=KEY)
    assert persistence.init is not None
    assert persistence.close is not None
    await persistence.init()
    ids = planted.ids(shown)
    opened = await persistence.endpoint_store.get_many(ids)
    await persistence.close()
    assert len(opened) == len(ids) >= 2
    secrets = {secret.value for endpoint in opened for secret in endpoint.secrets}
    headers = {value for endpoint in opened for value in endpoint.headers.values()}
    assert secrets >= {
        planted.written(planted.SECRET),
        planted.written(planted.SECRET_ROTATED),
        planted.written(planted.SEED + planted.SEED_PUBLIC, "whsk_"),
    }
    assert headers == {planted.HEADER, planted.HEADER_CHANGED, f"Bearer {planted.HEADER}"}


def _check_that_it_refuses_without_the_key(state_dir: Path) -> None:
    settings = {name: value for name, value in SETTINGS.items() if value != KEY}
    with DevWorker(state_dir=state_dir, env=settings) as worker:
        answer = httpx2.post(
            f"http://127.0.0.1:{worker.port}/v1/events",
            headers={"authorization": f"Bearer {planted.TOKEN}"},
            json={"type": "message.sent", "data": 1},
            timeout=120,
        )
        assert answer.status_code == 500
        # The caller cannot mend it; who can reads how in the log.
        assert answer.json()["title"] == INTERNAL.title
        assert "WEBHOOK_ENCRYPTION_KEYS does not hold" in worker.log_tail(1_000_000)


def _with_log(file: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in sorted(file.parent.glob(f"{file.name}*")))


def _files(state_dir: Path) -> bytes:
    return b"\0".join(map(_with_log, database_files(state_dir)))
