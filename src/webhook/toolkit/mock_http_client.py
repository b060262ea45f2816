"""``MockHttpClient``: a sender that sends nothing."""

from __future__ import annotations

from collections.abc import Mapping

from webhook.domain.model import Outcome
from webhook.testing import RecordingSender, Reply, SentRequest, VirtualClock


class MockHttpClient:
    """Give it to a runtime as its ``sender``: it replies as it was told and remembers all requests.

    It replies 200 unless told otherwise. For delays and scripts use ``RecordingSender``, which it
    is made of.
    """

    def __init__(self) -> None:
        self._sender = RecordingSender(VirtualClock())
        self._default = Reply()
        self._told: set[str] = set()

    @property
    def requests(self) -> list[SentRequest]:
        """What would have been sent, in order."""
        return self._sender.requests

    def set_mock_response(self, url: str, reply: Reply | int) -> None:
        """Let the receiver at a URL reply so to every request."""
        self._told.add(url)
        self._sender.script(url, reply)

    def set_default_response(self, reply: Reply | int) -> None:
        """Let all other receivers reply so."""
        self._default = Reply(status_code=reply) if isinstance(reply, int) else reply

    async def send(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout_ms: int
    ) -> Outcome:
        """See ``Sender``."""
        if url not in self._told:
            self._sender.script(url, self._default)
        return await self._sender.send(url, headers, body, timeout_ms)

    async def close(self) -> None:
        """See ``Sender``."""
        await self._sender.close()
