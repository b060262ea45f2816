"""Run the Worker here for a person: ``python -m tools.dev_worker``, or ``make worker``.

Settings come from the environment. ``WEBHOOK_PORT`` is the port (8788). ``WEBHOOK_DEV_CRON`` is
after how many seconds the cron fires each time (60; 0 never). ``WEBHOOK_DEV_PYODIDE`` picks
Pyodide's bundle: ``released`` is downloaded by workerd, ``development`` is made from the npm
package, ``auto`` takes the first when it can be had. Every other ``WEBHOOK_*`` reaches the Worker
as a variable, as on Cloudflare. Tests import :class:`DevWorker` from here.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from tools import CACHE, ROOT
from tools.toolchain import ToolError
from tools.worker_process import DevWorker, WorkerError, free_port

__all__ = ["DevWorker", "WorkerError", "free_port", "main"]

DAY_SECONDS = 86_400
TOKEN_FILE = CACHE / "api-token"
RELEASED_BUNDLES = "pyodide-capnp-bin.edgeworker.net"
"""Where workerd downloads the released Pyodide bundle from."""

_NOT_FOR_THE_WORKER = ("WEBHOOK_PORT", "WEBHOOK_HOST", "WEBHOOK_STORE", "WEBHOOK_DEV_")


def worker_env(environ: Mapping[str, str]) -> dict[str, str]:
    """Pick from *environ* what the Worker gets as variables and secrets."""
    return {
        name: value
        for name, value in environ.items()
        if name.startswith("WEBHOOK_") and not name.startswith(_NOT_FOR_THE_WORKER)
    }


def kept_token() -> str:
    """Return the token for local use: made once, then kept where only its owner can read it."""
    CACHE.mkdir(exist_ok=True)
    if TOKEN_FILE.exists():
        return TOKEN_FILE.read_text("ascii")
    token = secrets.token_urlsafe(24)
    TOKEN_FILE.touch(mode=0o600)
    TOKEN_FILE.write_text(token, "ascii")
    return token


def released_bundle_is_reachable(seconds: float = 3) -> bool:
    """Tell whether the host of the released bundles can be connected to within *seconds*."""
    reached = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((RELEASED_BUNDLES, 443), timeout=seconds).close()
        except OSError:
            return
        reached.set()

    # In a thread, since looking up the name has no time limit of its own.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return reached.is_set()


def wants_development_bundle(choice: str) -> bool:
    """Decide which bundle to use; that the released one cannot be had is remembered for a day."""
    if choice in ("released", "development"):
        return choice == "development"
    if choice != "auto":
        raise ToolError("WEBHOOK_DEV_PYODIDE must be auto, released or development")
    memory = CACHE / "released-bundle-unreachable"
    if memory.exists() and time.time() - memory.stat().st_mtime < DAY_SECONDS:
        return True
    if released_bundle_is_reachable():
        memory.unlink(missing_ok=True)
        return False
    CACHE.mkdir(exist_ok=True)
    memory.touch()
    return True


def _number(name: str, default: int, highest: int) -> int:
    text = os.environ.get(name, "") or str(default)
    if not text.isascii() or not text.isdigit() or int(text) > highest:
        raise ToolError(f"{name} must be a whole number from 0 to {highest}, not {text!r}")
    return int(text)


def greeting(worker: DevWorker, token: str | None) -> str:
    """Say where the Worker is and what to paste; *token* is None when the caller gave its own."""
    local = worker.env.keys() >= {"WEBHOOK_ALLOW_HTTP", "WEBHOOK_ALLOW_PRIVATE_HOSTS"}
    receiver = "http://127.0.0.1:9000/" if local else "https://example.com/webhook"
    curl = f"curl -s {worker.url}/v1/%s -H 'Content-Type: application/json' \\\n"
    curl += f"    -H \"Authorization: Bearer {token or '$WEBHOOK_API_TOKEN'}\" \\\n    -d '%s'"
    endpoint = f'{{"url":"{receiver}","event_types":["message.*"]}}'
    lines = [
        f"Worker  {worker.url}   (Ctrl-C ends it)",
        f"Token   {token or 'as in WEBHOOK_API_TOKEN'}",
        f"State   {_short(worker.state_dir)}",
        f"Log     {_short(worker.log)}",
        "",
        "Add an endpoint, then emit an event:",
        "",
        curl % ("endpoints", endpoint),
        curl % ("events", '{"type":"message.sent","data":{"text":"hi"}}'),
        "",
    ]
    if not local:
        lines.insert(4, "For receivers on this machine set WEBHOOK_ALLOW_HTTP=1 and")
        lines.insert(5, "WEBHOOK_ALLOW_PRIVATE_HOSTS=1.")
    return "\n".join(lines)


def _short(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def _follow(worker: DevWorker) -> None:
    """Print what the Worker logs until it ends."""
    with worker.log.open("r", encoding="utf-8", errors="replace") as log:
        log.seek(0, os.SEEK_END)
        while True:
            ended = not worker.is_running()
            if text := log.read():
                sys.stdout.write(text)
                sys.stdout.flush()
            if ended:
                return
            time.sleep(0.2)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def run() -> int:
    """Start the Worker, greet, show its log; return the exit status."""
    port = _number("WEBHOOK_PORT", 8788, 65_535)
    cron_seconds = _number("WEBHOOK_DEV_CRON", 60, DAY_SECONDS)
    development = wants_development_bundle(os.environ.get("WEBHOOK_DEV_PYODIDE", "auto"))
    if development:
        print("The released Pyodide bundle is not used: one made from the npm package stands in.")
    env = worker_env(os.environ)
    made_token = None if env.get("WEBHOOK_API_TOKEN") else kept_token()
    worker = DevWorker(
        port,
        env=env | ({"WEBHOOK_API_TOKEN": made_token} if made_token else {}),
        cron=cron_seconds > 0,
        cron_seconds=cron_seconds,
        development_bundle=development,
    )
    with worker:
        print(greeting(worker, made_token), flush=True)
        _follow(worker)
        print(f"dev_worker: the Worker ended by itself; see {_short(worker.log)}", file=sys.stderr)
    return 1


def main() -> int:
    """Run until SIGINT or SIGTERM."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run()
    except ToolError as error:
        print(f"dev_worker: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dev_worker: ended")
        return 0


if __name__ == "__main__":
    sys.exit(main())
