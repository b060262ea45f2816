"""What the commands say and how they end. Colours on a terminal only, and not with NO_COLOR."""

from __future__ import annotations

import os
from enum import IntEnum
from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text


class ExitCode(IntEnum):
    """How a command ended; 2, wrong usage, is typer's."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4


def stdout() -> Console:
    """Return where results go. Lines are not wrapped, so that they can be pasted."""
    return _console(to_stderr=False)


def stderr() -> Console:
    """Return where warnings and errors go."""
    return _console(to_stderr=True)


def coloured() -> bool:
    """Whether a terminal may be given colours; see https://no-color.org."""
    return not os.environ.get("NO_COLOR")


def _console(*, to_stderr: bool) -> Console:
    return Console(
        stderr=to_stderr,
        # Rich itself would still print bold and dim.
        color_system="auto" if coloured() else None,
        soft_wrap=True,
        highlight=False,
        markup=False,
        emoji=False,
    )


def warn(sentence: str) -> None:
    """Say what may be wrong."""
    stderr().print(Text.assemble(("Warning: ", "yellow"), sentence))


def complain(sentence: str) -> None:
    """Say what went wrong."""
    stderr().print(Text.assemble(("Error: ", "bold red"), sentence))


def fail(sentence: str, code: ExitCode = ExitCode.FAILED) -> NoReturn:
    """Say what went wrong and end the command."""
    complain(sentence)
    raise typer.Exit(code)
