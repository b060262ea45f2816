"""Receive webhooks: verify them, read them, handle each one once. The standard library alone.

``Verifier`` says whether a request is the sender's; ``Receiver`` calls a handler for each type of
event and drops what was handled before. The glue of a framework is a module of its name:
``starlette``, ``fastapi``, ``flask``, ``django``, ``aiohttp``, ``workers``.
"""

from webhook.receive.errors import (
    BadHeader,
    BadPayload,
    BadSecret,
    BadTimestamp,
    Expired,
    Gone,
    MissingHeader,
    NoMatch,
    VerificationError,
)
from webhook.receive.events import Event
from webhook.receive.receiver import Receiver
from webhook.receive.seen import MemorySeen, Seen
from webhook.receive.verifier import Verified, Verifier, from_env

__all__ = [
    "BadHeader",
    "BadPayload",
    "BadSecret",
    "BadTimestamp",
    "Event",
    "Expired",
    "Gone",
    "MemorySeen",
    "MissingHeader",
    "NoMatch",
    "Receiver",
    "Seen",
    "VerificationError",
    "Verified",
    "Verifier",
    "from_env",
]
