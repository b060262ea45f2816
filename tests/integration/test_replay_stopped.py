"""Ctrl-C stops what `webhook replay` follows, and what was done stays done."""

from __future__ import annotations

import re
from typing import NoReturn

import pytest
from typer.testing import CliRunner

from tests.api.server import Served
from webhook.cli.app import app
from webhook.client import Client

# More than is done at once; nothing does the rest, since the service's loop is not at work.
MISSED = 300


def test_ctrl_c_stops_a_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_seconds: float) -> NoReturn:
        raise KeyboardInterrupt

    with Served(auto_start=False) as served, Client(served.url, served.token) as client:
        endpoint = client.add_endpoint("http://127.0.0.1:9", event_types=["*"], active=False)
        for _ in range(MISSED // 100):
            client.emit_many({"type": "a.b", "data": n} for n in range(100))
        client.update_endpoint(endpoint.id, active=True)
        monkeypatch.setattr("webhook.cli.recoveries.time.sleep", interrupted)
        wish = ["replay", "--endpoint", endpoint.id, "--since", "1h", "--missed", "--yes"]
        where = ["--url", served.url, "--token", served.token]
        done = CliRunner().invoke(app, [*wish, *where])
        assert done.exit_code == 1
        found = re.fullmatch(
            r"(\S+)  canceled  0 replayed, ([\d,]+) missed ones sent.*\n", done.stdout
        )
        assert found
        assert 0 < int(found[2].replace(",", "")) < MISSED
        assert client.get_recovery(found[1]).status == "canceled"
