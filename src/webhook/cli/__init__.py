"""The command line. ``webhook.cli:main`` is its entry; it imports nothing until it is called."""

from __future__ import annotations

import sys

_INSTALL = "{name} is not installed. The commands need it: pip install 'webhook[server]'"
_EXTRAS = frozenset({"aiohttp", "h11", "rich", "typer", "uvicorn"})


def main() -> None:
    """Run the command that the arguments name."""
    try:
        from webhook.cli.app import app  # noqa: PLC0415 - its packages are an extra

        app(prog_name="webhook")
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in _EXTRAS:
            raise
        print(_INSTALL.format(name=name), file=sys.stderr)
        sys.exit(1)
