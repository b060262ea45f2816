"""Hints between the processes that share a database: ``NOTIFY`` to tell, ``LISTEN`` to hear."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import asyncpg

from webhook.adapters.postgres.database import CONNECT_TIMEOUT_S, Connection, PostgresDatabase
from webhook.adapters.postgres.errors import LOST
from webhook.domain.errors import WebhookError
from webhook.ports import WakeQueue

_log = logging.getLogger("webhook.store")
_AGAIN_AFTER_S = 1.0
# Hints that come closer together than that are one.
_TOGETHER_S = 0.002
_ALIVE_EVERY_S = 30.0


class PostgresWake:
    """``WakeQueue`` that wakes this process and, if something is due now, all others.

    A hint that is lost, since the listening connection broke or the server restarted, costs no more
    than the claimers' poll. Behind a pooler in transaction mode nobody listens, but all are told.
    """

    def __init__(self, database: PostgresDatabase, local: WakeQueue) -> None:
        self._database = database
        self._local = local
        self._channel = database.channel
        self._connection: Connection | None = None
        self._listening: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._more = False
        self._hints: set[asyncio.Task[None]] = set()

    async def wake(self, delay_ms: int) -> None:
        """Wake this process, and in the background the others."""
        await self._local.wake(delay_ms)
        if delay_ms > 0:
            return
        self._more = True
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        while self._more:
            self._more = False
            try:
                await self._notify()
            except (WebhookError, asyncpg.PostgresError, *LOST) as error:
                _log.debug("a hint was lost: %s", error)
            await asyncio.sleep(_TOGETHER_S)

    async def _notify(self) -> None:
        # Over the connection that listens, which can tell its own hints from those of others.
        connection = self._connection
        if connection is not None and not connection.is_closed():
            await connection.execute("SELECT pg_notify($1, '')", self._channel)
            return
        async with self._database.connection() as lent:
            await lent.execute("SELECT pg_notify($1, '')", self._channel)

    def listen(self) -> None:
        """Hear the hints of others from now on, in the running event loop."""
        if self._database.address.pgbouncer:
            return
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen_for_ever())

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except (asyncpg.PostgresError, *LOST) as error:
                _log.warning("hints of other processes are not heard: %s", error)
            await asyncio.sleep(_AGAIN_AFTER_S)

    async def _listen(self) -> None:
        connection: Connection = await asyncpg.connect(
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=CONNECT_TIMEOUT_S,
            **self._database.address.options(),
        )
        try:
            await connection.add_listener(self._channel, self._heard)
            self._connection = connection
            # What was told while nobody listened.
            await self._local.wake(0)
            while True:
                await asyncio.sleep(_ALIVE_EVERY_S)
                await connection.execute("SELECT 1")
        finally:
            self._connection = None
            connection.terminate()

    def _heard(self, connection: object, pid: int, channel: str, payload: object) -> None:
        del channel, payload
        present = self._connection
        if present is not None and connection is present and pid == present.get_server_pid():
            return
        hint = asyncio.ensure_future(self._local.wake(0))
        self._hints.add(hint)
        hint.add_done_callback(self._hints.discard)

    async def close(self) -> None:
        """Listen no more; what is being told is told."""
        tasks = [task for task in (self._listening, self._telling) if task is not None]
        self._listening = self._telling = None
        loop = asyncio.get_running_loop()
        for task in tasks:
            if task.get_loop() is loop:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
