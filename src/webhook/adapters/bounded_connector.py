"""Connections of aiohttp that take only so many bytes of an answer, whatever they are.

aiohttp bounds a header line and the number of headers, and stops reading while a body is not
wanted. It goes on for ever with what comes to nothing: informational answers, empty lines, chunk
sizes that never end. So the bytes are counted where they come out of the socket.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from aiohttp import ClientPayloadError, TCPConnector
from aiohttp.client_proto import ResponseHandler

from webhook.adapters.aiohttp_errors import AnswerTooLargeError

ANSWER_BYTES_MAX = 1024 * 1024
"""Most bytes that are taken of an answer; the last read may bring up to 256 KiB more."""


_HEAD_END = b"\r\n\r\n"


class BoundedConnector(TCPConnector):
    """A connector whose connections are cut off when an answer is longer than the bound."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - what TCPConnector takes
        super().__init__(**options)
        self._factory = functools.partial(_handler, loop=self._loop)


class BoundedHandler(ResponseHandler):
    """Reads one answer after another; each may take ``ANSWER_BYTES_MAX``."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._bytes_left = ANSWER_BYTES_MAX
        self._expects_head = False

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401 - passed on
        """Begin with an answer."""
        self._bytes_left = ANSWER_BYTES_MAX
        self._expects_head = True
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Take what the socket brought, unless it is too much by now."""
        self._bytes_left -= len(data)
        if self._bytes_left >= 0:
            self._parse(data)
            return
        self._give_up(AnswerTooLargeError())
        if self.transport is not None:
            self.transport.abort()

    def _parse(self, data: bytes) -> None:
        """Parse, the head of an answer for itself: its status counts, however its body begins."""
        end = data.find(_HEAD_END) if self._expects_head else -1
        if end >= 0:
            self._expects_head = False
            head, data = data[: end + len(_HEAD_END)], data[end + len(_HEAD_END) :]
            super().data_received(head)
        # Without data too, which is how aiohttp has its parser go on.
        if end < 0 or (data and self.exception() is None):
            super().data_received(data)
        if self.exception() is not None:
            # aiohttp tells whoever waits for the headers, and not whoever reads the body.
            self._give_up(ClientPayloadError())

    def _give_up(self, error: Exception) -> None:
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(error)
        if self.exception() is None:
            self.set_exception(error)


def _handler(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return BoundedHandler(loop)
