"""``python -m tests.outbox.victims``: forks a program for each line that it reads, to be killed.

A line is ``KIND PLACE MOMENT NAME``. The program writes an order and emits an event, both of that
name, in one transaction; at the moment it prints ``PID SESSION``, and stays there. It is forked,
since most of a start is imports.
"""

from __future__ import annotations

import asyncio
import logging
import os

import webhook.adapters.aiohttp_sender  # noqa: F401 - so that those who are forked have it
from tests.outbox.programs import KINDS, Program
from webhook import WebhookEvent, WebhookRuntimeService

MOMENTS = ("written", "accepted", "committed")


async def live(kind: str, place: str, moment: str, name: str) -> None:
    """Come to the moment."""
    program: Program = KINDS[kind](place)
    service = WebhookRuntimeService(persistence=program.persistence(), auto_start=False)
    await service.initialize()
    await program.open()
    connection = await program.begin()
    await program.order(name)
    if moment != "written":
        await service.emit(WebhookEvent(type="order", data=name, id=name), connection=connection)
    if moment == "committed":
        await program.commit()
    print(os.getpid(), program.session(), flush=True)
    # Nothing comes; it ends if whoever was to kill it has gone.
    os.read(0, 1)


def main() -> None:
    """Fork, and wait for the end, line by line."""
    logging.disable(logging.WARNING)
    while line := os.read(0, 4096).decode():
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(live(*line.split()))
            finally:
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
