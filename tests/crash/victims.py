"""What is killed: the server on SQLite, three on PostgreSQL, and the Worker in workerd."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from tests.crash import says_its_life
from tests.crash.emitters import TOKEN
from tests.integration.serving import Server
from tests.postgres.servers import NEWEST, PostgresServer
from tests.worker.harness import database_files
from tools.dev_worker import DevWorker
from webhook.domain.encryption import make_encryption_key

# The shortest that there is: in the Worker nobody can know that a claimer is dead.
LEASE_MS = 40_000
CRON_S = 2.0
SIDE_BY_SIDE = 3
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
    """A service that is killed. ``timeout_ms`` is the deadline it sends by.

    ``may_refuse`` says that it may answer 503, since its database can be gone while it lives.
    """

    timeout_ms: int
    may_refuse: bool

    @property
    def urls(self) -> tuple[str, ...]:
        """Where it listens: nowhere when all of it is dead."""
        ...

    def read(self, query: str) -> Iterable[Sequence[Any]]:
        """Ask its store, when it has ended."""
        ...

    def start(self) -> None:
        """Start what is not there of it and wait until that answers."""
        ...

    def kill(self) -> int | None:
        """End some of it by SIGKILL; return which life that was, None if it was a database's."""
        ...

    def end(self) -> None:
        """End it in good order."""
        ...

    def close(self) -> None:
        """See that nothing is left of it."""
        ...


def read_file(database: Path, query: str) -> Sequence[Sequence[Any]]:
    """Ask a file that nobody else has open, and see that it is whole."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return connection.execute(query).fetchall()


class _OneProcess:
    """What is dead as a whole when it is killed; its lives are numbered from 0."""

    may_refuse = False

    def __init__(self) -> None:
        self.urls: tuple[str, ...] = ()
        self._lives = 0

    def _has_ended(self) -> int:
        self.urls = ()
        self._lives += 1
        return self._lives - 1


class SqliteServer(_OneProcess):
    """``webhook serve`` in a folder."""

    timeout_ms = 400

    def __init__(self, folder: Path) -> None:
        super().__init__()
        settings = {**_settings(self.timeout_ms), "WEBHOOK_LOG_LEVEL": "error"}
        self._server = Server(folder, local=True, **settings)
        self._database = folder / "webhook.db"

    def read(self, query: str) -> Sequence[Sequence[Any]]:
        """See ``Victim``."""
        return read_file(self._database, query)

    def start(self) -> None:
        """See ``Victim``."""
        self._server.start()
        self.urls = (self._server.url,)

    def kill(self) -> int:
        """See ``Victim``."""
        self._server.kill()
        return self._has_ended()

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

    def kill(self) -> int:
        """Send SIGTERM instead, and wait for the end."""
        began = time.monotonic()
        assert self._server.end() == 0, self._server.log()
        self.ended_s.append(time.monotonic() - began)
        return self._has_ended()


class PostgresServers:
    """Three ``webhook serve`` on one PostgreSQL, which syncs; each kill is of one of the four.

    Every tenth, or ``database_every`` th, is of the database's server. What a server sends says
    which life it is: they are numbered in the order of their starts.
    """

    timeout_ms = 1_000
    may_refuse = True

    def __init__(self, folder: Path, seed: int, *, database_every: int = 10) -> None:
        self._chance = random.Random(f"{seed}/victims")
        self._database_every = database_every
        self._kills = self._lives = 0
        self._alive: dict[Server, int] = {}
        self._database = PostgresServer(NEWEST)
        settings = {
            **_settings(self.timeout_ms),
            "WEBHOOK_LOG_LEVEL": "error",
            "WEBHOOK_STORE": self._database.address,
            "WEBHOOK_ENCRYPTION_KEYS": make_encryption_key(bytes(32)),
        }
        self._servers = []
        for number in range(SIDE_BY_SIDE):
            place = folder / f"server-{number}"
            place.mkdir()
            self._servers.append(Server(place, local=True, **settings))

    @property
    def urls(self) -> tuple[str, ...]:
        """See ``Victim``."""
        return tuple(server.url for server in self._alive)

    def read(self, query: str) -> Sequence[Sequence[Any]]:
        """See ``Victim``."""
        return asyncio.run(self._fetch(query))

    async def _fetch(self, query: str) -> Sequence[Sequence[Any]]:
        connection = await asyncpg.connect(
            self._database.address, server_settings={"search_path": "webhook"}
        )
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    def start(self) -> None:
        """See ``Victim``."""
        self._database.start()
        for server in self._servers:
            if server not in self._alive:
                server.command = [sys.executable, says_its_life.__file__, f"{self._lives}"]
                server.start()
                self._alive[server] = self._lives
                self._lives += 1

    def kill(self) -> int | None:
        """See ``Victim``."""
        self._kills += 1
        if self._kills % self._database_every == 0:
            self._database.kill()
            return None
        server = self._chance.choice([one for one in self._servers if one in self._alive])
        server.kill()
        return self._alive.pop(server)

    def end(self) -> None:
        """See ``Victim``."""
        for server in self._servers:
            assert server.end() == 0, server.log()

    def close(self) -> None:
        """See ``Victim``."""
        for server in self._servers:
            server.__exit__()
        self._database.remove()


class Worker(_OneProcess):
    """The Worker under ``wrangler dev``; its cron fires every two seconds."""

    # It shares its machine with a whole Node.
    timeout_ms = 1_000

    def __init__(self, folder: Path) -> None:
        super().__init__()
        settings = _settings(self.timeout_ms)
        self._worker = DevWorker(state_dir=folder, env=settings, cron=True, cron_seconds=CRON_S)
        self._folder = folder

    def read(self, query: str) -> Sequence[Sequence[Any]]:
        """See ``Victim``."""
        [file] = database_files(self._folder)
        return read_file(file, query)

    def start(self) -> None:
        """See ``Victim``."""
        self._worker.start()
        self.urls = (self._worker.url,)

    def kill(self) -> int:
        """See ``Victim``."""
        self._worker.kill()
        return self._has_ended()

    def end(self) -> None:
        """See ``Victim``."""
        self._worker.stop()

    def close(self) -> None:
        """See ``Victim``."""
        self._worker.stop()
