"""A tenant is deleted from a file while a server runs on it, by a process that dies and another."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests import planted
from tests.integration.serving import WAIT_S, Server, clean_environment, run
from tests.integration.test_leaks import ENVIRONMENT
from tests.receiver import Answer, ThreadedReceiver

# Begins a deletion, does two pieces of it, and is killed.
KILLED = """
import asyncio, os, signal
from webhook import WebhookRuntimeService
from webhook.adapters.sqlite import create_sqlite_webhook_persistence

async def main():
    store = create_sqlite_webhook_persistence("webhook.db", encryption_keys={key!r})
    service = WebhookRuntimeService(persistence=store, auto_start=False)
    left = await service.tenants.delete("default", pieces=2, rows=1)
    assert left.rows and left.deleting_since
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
CLEAR: dict[str, str | bytes] = {**planted.ALL, **planted.URLS}


def files_of(folder: Path) -> bytes:
    """Return what stands in the database's files; the token's and the lock's are not theirs."""
    return b"\0".join(
        file.read_bytes() for file in sorted(folder.glob("webhook.db*")) if file.stem == "webhook"
    )


def test_after_a_deletion_nothing_of_the_tenant_stands_in_any_table_or_page(
    tmp_path: Path,
) -> None:
    key = ENVIRONMENT["WEBHOOK_ENCRYPTION_KEYS"]
    with (
        ThreadedReceiver([Answer(200)]) as good,
        ThreadedReceiver([Answer(500, body=b"no")]) as bad,
        Server(tmp_path, local=True, **ENVIRONMENT) as server,
    ):
        call = planted.caller(server.url)
        planted.exercise(call, good.url, bad.url)
        call("POST", "/v1/events", {"type": "a.b", "tenant": "other", "data": "kept-of-another"})
        lists = [call("GET", f"/v1/{name}", None)[1] for name in ("endpoints", "events")]
        keys = [found[-26:] for page in lists for found in planted.ids(page)]
        assert len(keys) > 5
        dead = subprocess.run(
            [sys.executable, "-c", KILLED.format(key=key)],
            cwd=tmp_path,
            env=clean_environment(),
            timeout=WAIT_S,
            check=False,
        )
        assert dead.returncode == -signal.SIGKILL
        with pytest.raises(HTTPError) as refused:
            server.emit("not taken")
        assert refused.value.code == 409
        problem = json.loads(refused.value.read())
        assert problem["errors"][0]["pointer"] == "/tenant"
        assert "default is being deleted" in problem["detail"]
        # The server goes on with its work meanwhile.
        deleted = run("tenants", "delete", "default", "--yes", cwd=tmp_path)
        assert deleted.returncode == 0, deleted.stderr
        assert re.search(r"Tenant default has .*events \d+", deleted.stdout)
        assert "nothing is left: endpoints 0, subscriptions 0, events 0" in deleted.stdout
        assert server.emit("taken again")["tenant"] == "default"
        assert server.end() == 0
        assert "Traceback" not in server.log()
    with closing(sqlite3.connect(tmp_path / "webhook.db")) as database, database:
        database.execute(
            "INSERT INTO payload_horizons (tenant, key) VALUES ('default', ?)", keys[:1]
        )
    again = run("tenants", "delete", "default", "--yes", "--vacuum", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "Tenant default has events 1, payload_horizons 1" in again.stdout
    with closing(sqlite3.connect(tmp_path / "webhook.db")) as database:
        text = "\n".join(database.iterdump())
        audited = database.execute(
            "SELECT action, actor, tenant, target, detail FROM audit_log"
            " WHERE target = 'default' ORDER BY id"
        ).fetchall()
    assert "kept-of-another" in text
    zeros = (
        "nothing is left: endpoints 0, subscriptions 0, events 0, names 0, deliveries 0, "
        "recoveries 0, notices 0, api_tokens 0, audit_log 0, payload_horizons 0"
    )
    # Nobody has said who the first one was that died.
    assert audited == [
        ("tenant.deleted", "cli", "", "default", zeros),
        ("tenant.delete", "cli", "", "default", None),
        ("tenant.deleted", "cli", "", "default", zeros),
    ]
    for data in (text.encode(), files_of(tmp_path)):
        assert planted.searched(data, **CLEAR) == []
        assert [key for key in keys if key.encode() in data] == []
        assert b"kept-of-another" in data
