"""Lists and details as people read them: on a terminal within its width, else a line an item."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

from webhook.cli.terminal import ExitCode, fail, stdout

STYLES = {
    "success": "green",
    "active": "green",
    "done": "green",
    "pending": "yellow",
    "running": "yellow",
    "inactive": "yellow",
    "canceled": "dim",
}
_AGES = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_SPANS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"([0-9]{1,6})([smhdw])")


class Row(NamedTuple):
    """One item of a list; ``reason``, or whatever tells the most, is last and may be long."""

    id: str
    cells: Sequence[str | datetime]
    reason: str = ""


def print_rows(rows: Sequence[Row]) -> None:
    """Print a list. On a terminal times are told as ages, and a line that is too long has two."""
    out = stdout()
    terminal = out.is_terminal
    texts = [[_text(cell, terminal=terminal) for cell in row.cells] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*texts, strict=True)]
    id_width = max((cell_len(row.id) for row in rows), default=0)
    for row, cells in zip(rows, texts, strict=True):
        line = Text()
        for cell, width in zip(cells, widths, strict=True):
            line.append(cell, STYLES.get(cell, "red" if cell in _BAD else ""))
            line.append(" " * (width - cell_len(cell) + 2))
        wide = id_width + 2 + cell_len(line.plain) + cell_len(row.reason)
        if terminal and wide > out.width:
            _print_hanging(line, row.reason, out.width)
            out.print(Text(f"  {row.id}", "dim"))
        else:
            head = Text(f"{row.id:<{id_width}}  ")
            out.print(_stripped(head.append_text(line).append(row.reason)))


_BAD = frozenset({"failed", "exhausted", "error", "suspended"})


def _print_hanging(line: Text, reason: str, width: int) -> None:
    """Print a line whose last cell goes on below itself."""
    indent = cell_len(line.plain)
    room = max(width - indent, 20)
    words, rest = [""], ""
    for word in reason.split():
        if words[-1] and cell_len(words[-1]) + 1 + cell_len(word) > room:
            words.append(word)
        else:
            words[-1] = f"{words[-1]} {word}".strip()
    first, *others = words
    stdout().print(_stripped(line.append(first)))
    for rest in others:
        stdout().print(" " * indent + rest)


def _stripped(line: Text) -> Text:
    line.rstrip()
    return line


def print_details(fields: Sequence[tuple[str, object]]) -> None:
    """Print one thing, a line for each field that has a value."""
    out = stdout()
    shown = [(name, value) for name, value in fields if value not in (None, "", [], {}, ())]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        text = exact(value) if isinstance(value, datetime) else str(value)
        out.print(Text.assemble((f"{name:<{width}}  ", "dim"), (text, STYLES.get(text, ""))))


def _text(cell: str | datetime, *, terminal: bool) -> str:
    if isinstance(cell, str):
        return cell
    return age(cell, datetime.now(UTC)) if terminal else exact(cell)


def exact(at: datetime) -> str:
    """Return a time as the API writes it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


def age(at: datetime, now: datetime) -> str:
    """Return how long ago a time is, or how far ahead, in its largest unit."""
    seconds = round((now - at).total_seconds())
    unit, size = next((u, s) for u, s in _AGES if abs(seconds) >= s or s == 1)
    amount = f"{abs(seconds) // size} {unit}"
    return f"in {amount}" if seconds < 0 else f"{amount} ago"


def time_of(flag: str, text: str | None) -> datetime | None:
    """Return the time that a flag means: so long ago (``2h``), or RFC 3339."""
    if text is None:
        return None
    if span := _SPAN.fullmatch(text):
        return datetime.now(UTC) - timedelta(seconds=int(span[1]) * _SPANS[span[2]])
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        sentence = f"{flag}: {text!r} is no time. Give 30m, 2h, 7d, or 2027-01-31T12:00:00Z."
        fail(sentence, ExitCode.USAGE)
    return at
