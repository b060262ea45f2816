"""After a run that uses what there is, no secret stands where it does not belong."""

from __future__ import annotations

import base64
from pathlib import Path

from tests import planted
from tests.integration.serving import Server, run
from tests.receiver import Answer, ThreadedReceiver

ENVIRONMENT = {
    "WEBHOOK_API_TOKEN": planted.TOKEN,
    "WEBHOOK_ENCRYPTION_KEYS": planted.written(planted.ENCRYPTION_KEY, "whek_"),
    "WEBHOOK_LOG_LEVEL": "debug",
    "WEBHOOK_RETRY_SCHEDULE": "0.1",
}


def test_a_search_finds_each_form_wherever_it_stands() -> None:
    for before in (b"", b"x", b"xy", b"xyz"):
        for around in (
            base64.b64encode(before + planted.SECRET + b"tail"),
            base64.urlsafe_b64encode(before + planted.SECRET),
            before + planted.SECRET.hex().encode(),
            before + planted.SECRET,
        ):
            assert planted.searched(b"\0" + around, **planted.SIGNING)
    assert planted.searched(planted.written(planted.SECRET).encode(), **planted.SIGNING)
    assert planted.searched(b"planted-signing", **planted.ALL) == []


def test_no_secret_stands_in_files_logs_answers_or_the_command_line(tmp_path: Path) -> None:
    with (
        ThreadedReceiver([Answer(200)]) as good,
        ThreadedReceiver([Answer(500, body=b"no")]) as bad,
        Server(tmp_path, local=True, **ENVIRONMENT) as server,
    ):
        call = planted.caller(server.url)
        answers = planted.exercise(call, good.url, bad.url)
        command_line = Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
        while_it_runs = _files(tmp_path)
        assert any(request.headers.get("x-api-key") for request in good.requests)
        assert server.end() == 0
        output = server.output.encode()
    rotated = run("keys", "rotate", cwd=tmp_path, **ENVIRONMENT)
    assert rotated.returncode == 0, rotated.stderr
    for files in (while_it_runs, _files(tmp_path)):
        assert b"sealed." in files
        assert planted.searched(files, **planted.ALL) == []
    logs = server.log().encode() + output + (rotated.stdout + rotated.stderr).encode()
    assert b"attempt 2" in logs
    assert planted.searched(logs, **planted.ALL, **planted.URLS) == []
    assert planted.searched(command_line, **planted.ALL) == []
    planted.check(answers)


def _files(folder: Path) -> bytes:
    """Return what stands in the database's files, its log and its lock."""
    files = sorted(folder.glob("webhook.db*"))
    assert files
    return b"\0".join(file.read_bytes() for file in files)
