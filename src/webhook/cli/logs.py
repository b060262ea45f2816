"""The log of a server: one line each, on standard error."""

from __future__ import annotations

import logging
import sys
import time

from webhook.adapters.log_text import LogText
from webhook.cli.terminal import coloured

_RED, _YELLOW, _DIM, _END = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"


def set_up_logs(level: str) -> None:
    """Send the log to standard error: short lines on a terminal, whole ones elsewhere."""
    terminal = sys.stderr.isatty()
    handler = logging.StreamHandler(sys.stderr)
    if not terminal:
        handler.setFormatter(_Whole("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    else:
        handler.setFormatter(_Short(colour=coloured()))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # What it says below a warning, our own lines say already.
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, logging.root.level))
    logging.getLogger("asyncio").setLevel(max(logging.WARNING, logging.root.level))


class _Whole(LogText):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


class _Short(LogText):
    def __init__(self, *, colour: bool) -> None:
        super().__init__("%(asctime)s %(message)s", "%H:%M:%S")
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if not self._colour:
            return text
        if record.levelno >= logging.ERROR:
            return f"{_RED}{text}{_END}"
        if record.levelno >= logging.WARNING:
            return f"{_YELLOW}{text}{_END}"
        clock, _, rest = text.partition(" ")
        return f"{_DIM}{clock}{_END} {rest}"
