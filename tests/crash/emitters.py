"""Callers that pour events in over HTTP, log each that was answered with 2xx, and never give up.

A call without an answer is made again word for word, so that the ids in it keep its events from
being accepted twice; whether it was accepted is known to nobody before that.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from itertools import count
from typing import Any, Self
from urllib.parse import urlsplit

from tests.crash.receivers import EVENT_TYPES

TOKEN = "tests-only"
WAIT_S = 300.0
TOGETHER_MAX = 4
BEYOND_MAX = 250
"""How many events are emitted beyond those that somebody waits for: a restart may take a while."""
_PAUSE_S = 0.01


class Emitters:
    """Threads that emit while the service is ``at`` some address and ``may_go_on`` says so.

    With ``may_refuse`` a 503 is no error: the database is gone, and the call is made again.
    """

    def __init__(
        self, seed: int, threads: int, may_go_on: Callable[[], bool], *, may_refuse: bool = False
    ) -> None:
        self.accepted: dict[str, str] = {}
        """The type of each event that was answered with 2xx, by its id."""
        self.repeated = 0
        self.refused = 0
        self.errors: list[str] = []
        self._seed = seed
        self._may_go_on = may_go_on
        self._may_refuse = may_refuse
        self._up = threading.Event()
        self._stop = threading.Event()
        self._left = threading.Event()
        self._changed = threading.Condition()
        self._urls: tuple[str, ...] = ()
        self._up_to = BEYOND_MAX
        self._numbers = count()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(threads)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._left.set()
        self._up.set()
        for thread in self._threads:
            thread.join(WAIT_S)

    def at(self, urls: tuple[str, ...]) -> None:
        """Say where the service is; nowhere, if it is down."""
        self._urls = urls
        if urls:
            self._up.set()
        else:
            self._up.clear()

    def finish(self) -> None:
        """Begin nothing new, and wait until each call has its answer."""
        self._stop.set()
        for thread in self._threads:
            thread.join(WAIT_S)
            assert not thread.is_alive(), "a call was not answered"

    def wait_for(self, accepted: int) -> None:
        """Wait until so many events have been accepted in all."""
        self._up_to = accepted + BEYOND_MAX
        with self._changed:
            reached = self._changed.wait_for(
                lambda: len(self.accepted) >= accepted or self.errors, WAIT_S
            )
        assert reached, f"{len(self.accepted)} accepted, not {accepted}"
        assert not self.errors, self.errors

    def _run(self, number: int) -> None:
        chance = random.Random(f"{self._seed}/emitter/{number}")
        self._up.wait(WAIT_S)
        while not self._stop.is_set():
            if len(self.accepted) > self._up_to or not self._may_go_on():
                self._stop.wait(_PAUSE_S)
                continue
            self._emit(
                [
                    {
                        "id": f"e{next(self._numbers)}",
                        "type": chance.choice(EVENT_TYPES),
                        "data": {"text": "x" * chance.randrange(400)},
                    }
                    for _ in range(chance.randint(1, TOGETHER_MAX))
                ],
                chance,
            )

    def _emit(self, events: list[dict[str, Any]], chance: random.Random) -> None:
        body = json.dumps({"events": events}).encode()
        tries = 0
        while not self.errors and not self._left.is_set():
            self._up.wait(WAIT_S)
            if not (urls := self._urls):
                continue
            tries += 1
            try:
                status, text = call(chance.choice(urls), "POST", "/v1/events", body)
            except (OSError, HTTPException):
                self._left.wait(_PAUSE_S)
                continue
            if status == 503 and self._may_refuse:
                self.refused += 1
                self._left.wait(_PAUSE_S)
                continue
            with self._changed:
                if 200 <= status < 300:
                    self.accepted.update((event["id"], event["type"]) for event in events)
                    self.repeated += tries > 1
                else:
                    self.errors.append(f"{status}: {text}")
                self._changed.notify_all()
            return


def call(url: str, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
    """Make a call and return its status and text. Raises ``OSError`` or ``HTTPException``."""
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=WAIT_S)) as connection:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
