"""For tests of programs that use ``webhook``: time, chance and network under the test's hand."""

from webhook.testing.chance import SeededChance
from webhook.testing.clock import VirtualClock
from webhook.testing.sender import FOREVER, RecordingSender, Reply, SentRequest

__all__ = [
    "FOREVER",
    "RecordingSender",
    "Reply",
    "SeededChance",
    "SentRequest",
    "VirtualClock",
]
