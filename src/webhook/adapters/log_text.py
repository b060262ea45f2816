"""How a line of the log is written, so that nothing that strangers send can forge one."""

from __future__ import annotations

import logging
from types import TracebackType

from webhook.engine.access import present_actor

type _ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class LogText(logging.Formatter):
    """Escapes what cannot be printed, and names the request that a line belongs to.

    A message stays on one line; the lines of a traceback are indented, which no line of the log is.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Write a message."""
        record.message = printable(record.message)
        actor = present_actor()
        if actor is not None and actor.request_id and actor.request_id not in record.message:
            record.message += f" (request {actor.request_id})"
        return super().formatMessage(record)

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802 - logging's name
        """Write a traceback."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  {printable(line)}" for line in lines)


def printable(text: str) -> str:
    """Return a text with an escape in the place of each character that cannot be printed."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
