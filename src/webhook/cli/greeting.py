"""What ``webhook serve`` prints when it listens: where, with which token, and what to paste."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from webhook.cli.key_files import key_file
from webhook.settings import Settings

_LOCAL_RECEIVER = "http://127.0.0.1:9000"
_REMOTE_RECEIVER = "https://example.com/hook"


class Greeting(NamedTuple):
    """What a server that has just started knows about itself.

    ``token`` None asks no token of anybody; ``token_file`` None means that the caller gave it.
    """

    settings: Settings
    url: str
    token: str | None
    token_file: Path | None

    def __repr__(self) -> str:
        """Hide the token from logs."""
        return f"Greeting(url={self.url!r})"

    def print(self, out: Console) -> None:
        """Print it; every command stands alone on its lines, so that it can be pasted."""
        for name, value, note in self._rows(terminal=out.is_terminal):
            row = Text.assemble((f"{name:<11}", "dim"), (value, "bold"))
            if note:
                # As many blanks as fit: two at least, the notes below each other if they can be.
                row.append(" " * max(2, 36 - len(value)) + note, "dim")
            out.print(row)
        for title, command in self._commands(terminal=out.is_terminal):
            out.print()
            out.print(Text(title, "dim"))
            out.print(Text(command, "cyan"))
        out.print()
        if not self._local:
            out.print(
                Text(
                    "To deliver to this machine, start with WEBHOOK_ALLOW_PRIVATE_HOSTS=1 and\n"
                    "WEBHOOK_ALLOW_HTTP=1.",
                    "dim",
                )
            )
            out.print()

    @property
    def _local(self) -> bool:
        config = self.settings.config
        return config.allow_private_hosts and (config.allow_http or config.allow_http_for_localhost)

    def _rows(self, *, terminal: bool) -> list[tuple[str, str, str]]:
        store = self.settings.store
        rows = [("Listening", self.url, "Ctrl-C ends it" if terminal else "")]
        if self.token is None:
            rows.append(("Token", "none, --insecure", ""))
        elif self.token_file is not None:
            rows.append(("Token", self.token, f"kept in {self.token_file.name}"))
        elif not self.settings.api_token:
            rows.append(("Token", self.token, "for this run alone"))
        else:
            rows.append(("Token", "as you gave it", "WEBHOOK_API_TOKEN"))
        if store.database is not None:
            rows.append(("Data", f"schema {store.database.schema}", ""))
        elif store.path is None:
            rows.append(("Data", "in memory alone", "gone when this ends"))
        else:
            rows.append(("Data", _short(Path(store.path)), ""))
        file = key_file(store)
        if file is not None and file.exists() and not self.settings.encryption_keys:
            rows.append(("Secrets", "encrypted", f"key kept in {file.name}"))
        rows.append(("Store", str(store), ""))
        rows.append(("API", f"{self.url}/docs", ""))
        return rows

    def _commands(self, *, terminal: bool) -> list[tuple[str, str]]:
        receiver = _LOCAL_RECEIVER if self._local else _REMOTE_RECEIVER
        endpoint = {"url": receiver, "event_types": ["message.*"]}
        event = {"type": "message.sent", "data": {"text": "hello"}}
        return [
            ("Add an endpoint:", self._curl("endpoints", endpoint, terminal=terminal)),
            ("Emit an event:", self._curl("events", event, terminal=terminal)),
        ]

    def _curl(self, path: str, body: object, *, terminal: bool) -> str:
        lines = [f"curl -sS {self.url}/v1/{path}", "-H 'Content-Type: application/json'"]
        if self.token is not None:
            lines.append(f"-H {self._authorization(self.token, terminal=terminal)}")
        lines.append(f"-d '{json.dumps(body, separators=(',', ':'))}'")
        return " \\\n  ".join(lines)

    def _authorization(self, token: str, *, terminal: bool) -> str:
        # A token of the caller's own must not end up in a log.
        if self.settings.api_token and not terminal:
            return '"Authorization: Bearer $WEBHOOK_API_TOKEN"'
        return shlex.quote(f"Authorization: Bearer {token}")


def _short(path: Path) -> str:
    """Return where a file is, from the home folder where it lies there."""
    path = path.absolute()
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
