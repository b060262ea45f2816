"""What is killed: the server on SQLite, and the Worker in workerd."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

from tests.crash.emitters import TOKEN
from tests.integration.serving import Server
from tests.worker.harness import database_files
from tools.dev_worker import DevWorker

# The shortest that there is: in the Worker nobody can know that a claimer is dead.
LEASE_MS = 40_000
CRON_S = 2.0
_SETTINGS = {
    "WEBHOOK_API_TOKEN": TOKEN,
    "WEBHOOK_ALLOW_HTTP": "1",
    "WEBHOOK_ALLOW_PRIVATE_HOSTS": "1",
    "WEBHOOK_LEASE_MS": f"{LEASE_MS}",
    "WEBHOOK_RETRY_SCHEDULE": "0.1,0.2,0.4,0.8" + ",1" * 12,
}


def _settings(timeout_ms: int) -> dict[str, str]:
    return {**_SETTINGS, "WEBHOOK_TIMEOUT_MS": f"{timeout_ms}"}


class Victim(Protocol):
    """A service that keeps what it knows in a file. ``timeout_ms`` is the deadline it sends by."""

    timeout_ms: int

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    @property
    def database(self) -> Path:
        """Its file, to be read when it has ended."""
        ...

    def start(self) -> None:
        """Start it and wait until it answers."""
        ...

    def kill(self) -> None:
        """End it by SIGKILL."""
        ...

    def end(self) -> None:
        """End it in good order."""
        ...

    def close(self) -> None:
        """See that nothing is left of it."""
        ...


class SqliteServer:
    """``webhook serve`` in a folder."""

    timeout_ms = 400

    def __init__(self, folder: Path) -> None:
        settings = {**_settings(self.timeout_ms), "WEBHOOK_LOG_LEVEL": "error"}
        self._server = Server(folder, local=True, **settings)
        self.database = folder / "webhook.db"

    @property
    def url(self) -> str:
        """See ``Victim``."""
        return self._server.url

    def start(self) -> None:
        """See ``Victim``."""
        self._server.start()

    def kill(self) -> None:
        """See ``Victim``."""
        self._server.kill()

    def end(self) -> None:
        """See ``Victim``."""
        assert self._server.end() == 0, self._server.log()
        assert self._server.log() == ""

    def close(self) -> None:
        """See ``Victim``."""
        self._server.__exit__()


class EndedServer(SqliteServer):
    """The same, which is asked to end instead of killed; ``ended_s`` is how long each time took."""

    grace_s = 2.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server.settings["WEBHOOK_GRACE_S"] = f"{self.grace_s}"
        self.ended_s: list[float] = []

    def kill(self) -> None:
        """Send SIGTERM instead, and wait for the end."""
        began = time.monotonic()
        assert self._server.end() == 0, self._server.log()
        self.ended_s.append(time.monotonic() - began)


class Worker:
    """The Worker under ``wrangler dev``; its cron fires every two seconds."""

    # It shares its machine with a whole Node.
    timeout_ms = 1_000

    def __init__(self, folder: Path) -> None:
        settings = _settings(self.timeout_ms)
        self._worker = DevWorker(state_dir=folder, env=settings, cron=True, cron_seconds=CRON_S)
        self._folder = folder

    @property
    def url(self) -> str:
        """See ``Victim``."""
        return self._worker.url

    @property
    def database(self) -> Path:
        """See ``Victim``."""
        [file] = database_files(self._folder)
        return file

    def start(self) -> None:
        """See ``Victim``."""
        self._worker.start()

    def kill(self) -> None:
        """See ``Victim``."""
        self._worker.kill()

    def end(self) -> None:
        """See ``Victim``."""
        self._worker.stop()

    def close(self) -> None:
        """See ``Victim``."""
        self._worker.stop()
