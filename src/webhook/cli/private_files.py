"""Files beside the database that are for their owner alone."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

PRIVATE = 0o600


def make_private(file: Path, line: str) -> None:
    """Make a file of one line, unless somebody quicker has made it.

    It is complete before it has its name: a crash leaves no empty one behind.
    """
    handle, name = tempfile.mkstemp(prefix=f"{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as made:
            made.write(line + "\n")
            made.flush()
            os.fsync(made.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, file)
    finally:
        Path(name).unlink()
