"""A Python Worker that receives: ``tests/receive/test_workers.py`` deploys it as entry.py.

It holds the receivers' package and nothing of the engine. ``/signed`` and ``/receiver`` are as in
``tests.receive.apps``; ``/vectors`` says what the verifier makes of the vectors that are posted.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import Any

from workers import Request, Response, WorkerEntrypoint

from webhook.receive import BadPayload, Event, Gone, Receiver, VerificationError, Verifier
from webhook.receive.workers import KVSeen, event

CALLS: Counter[str] = Counter()
HANDLED: list[Any] = []


async def handle(received: Event[Any]) -> None:
    """Do what the data of the event say; see ``tests.receive.apps.Handler``."""
    CALLS[received.id] += 1
    if received.data.get("gone"):
        raise Gone
    if CALLS[received.id] <= received.data.get("fail", 0):
        raise RuntimeError("planted")
    HANDLED.append([received.id, received.type, received.data])


class Default(WorkerEntrypoint):
    """Receives."""

    async def fetch(self, request: Request) -> Response:
        """Answer one request."""
        path = request.url.rpartition("/")[2]
        verifier = Verifier(self.env.WEBHOOK_SECRET)
        if path == "receiver":
            receiver = Receiver(verifier, KVSeen(self.env.SEEN))
            receiver.on("*")(handle)
            answered: Response = await receiver.workers(request)
            return answered
        if path == "signed":
            try:
                await handle(await event(request, verifier))
            except (VerificationError, BadPayload):
                return Response(status=400)
            return Response(status=204)
        if path == "vectors":
            return Response(json.dumps([answer(each) for each in await request.json()]))
        if path == "handled":
            found, HANDLED[:] = json.dumps(HANDLED), []
            return Response(found)
        return Response("ready")


def answer(vector: Any) -> str:
    """Say what the verifier makes of a vector: ok, or the name of the error."""
    body = base64.b64decode(vector["body_base64"])
    headers = [(name, value) for name, value in vector["headers"]]
    try:
        Verifier(vector["secrets"], clock=lambda: vector["now"]).verify(body, headers)
    except (VerificationError, ValueError) as error:
        return type(error).__name__
    return "ok"
