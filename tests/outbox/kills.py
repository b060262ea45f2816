"""Kills programs before and after their commits, and counts what there is of both halves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

from tests.outbox.programs import KINDS, Program
from tests.outbox.victims import MOMENTS
from tests.receiver import Receiver
from tools import ROOT
from webhook import EndpointInput, EventQuery, WebhookConfig, WebhookEvent, WebhookRuntimeService


@dataclass
class Report:
    """What a run came to, by the names that programs had."""

    committed: list[str]
    broken_off: list[str]
    orders: list[str]
    events: list[str]
    arrived: list[str]

    def __str__(self) -> str:
        """Tell a person."""
        return (
            f"{len(self.broken_off)} killed before their commit, {len(self.committed)} after it: "
            f"{len(self.orders)} orders, {len(self.events)} events, {len(self.arrived)} delivered; "
            f"{len({*self.orders} ^ {*self.events})} with one half only"
        )


async def kill_again_and_again(kind: str, place: str, kills: int) -> Report:
    """Kill so many programs, each at its moment, one after the other."""
    program: Program = KINDS[kind](place)
    await program.open()
    victims = _start()
    committed: list[str] = []
    broken_off: list[str] = []
    try:
        async with (
            Receiver() as receiver,
            WebhookRuntimeService(
                WebhookConfig(allow_http=True, allow_private_hosts=True),
                persistence=program.persistence(),
                auto_start=False,
            ) as service,
        ):
            await service.add_endpoint(EndpointInput(url=receiver.url, event_types=["*"]))
            for number in range(kills):
                name, moment = f"order-{number}", MOMENTS[number % len(MOMENTS)]
                await program.gone(_kill_one(victims, f"{kind} {place} {moment} {name}"))
                (committed if moment == "committed" else broken_off).append(name)
                # At once, not at the end only: neither half is there, or both are.
                found = await service.get_event(name) if moment == "committed" else None
                assert (found is not None) == (moment == "committed")
            await service.flush()
            report = Report(
                committed=committed,
                broken_off=broken_off,
                orders=await program.orders(),
                events=await _events(service),
                arrived=[body["data"] for body in receiver.bodies()],
            )
            # A name whose event was never committed is free, the others are taken.
            for name in [*committed, *broken_off]:
                again = await service.emit(WebhookEvent(type="order", data=name, id=name))
                assert again.duplicate == (name in committed), name
    finally:
        victims.kill()
        victims.communicate()
        await program.close()
    return report


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.outbox.victims"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def _kill_one(victims: subprocess.Popen[bytes], line: str) -> int:
    """Have one started, and kill it at its moment; return what its session was."""
    assert victims.stdin is not None
    assert victims.stdout is not None
    victims.stdin.write(line.encode())
    victims.stdin.flush()
    pid, session = map(int, victims.stdout.readline().split())
    os.kill(pid, signal.SIGKILL)
    assert int(victims.stdout.readline()) == -signal.SIGKILL
    return session


async def _events(service: WebhookRuntimeService) -> list[str]:
    found: list[str] = []
    query = EventQuery(limit=100)
    while True:
        page = await service.list_events(query)
        found += [event.id for event in page.items]
        if page.after is None:
            return found
        query = EventQuery(limit=100, after=page.after)
