"""Speaks to a Worker under ``wrangler dev`` as a caller would, and makes variants of it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPMessage
from itertools import count
from pathlib import Path
from typing import Any

from tools import ROOT
from tools.dev_worker import DevWorker
from tools.vendor import ensure_python_modules

TOKEN = "tests-only"
LOCAL = {
    "WEBHOOK_API_TOKEN": TOKEN,
    "WEBHOOK_ALLOW_HTTP": "1",
    "WEBHOOK_ALLOW_PRIVATE_HOSTS": "1",
    "WEBHOOK_RETRY_SCHEDULE": "1,1",
    "WEBHOOK_JITTER": "0",
}
WAIT_S = 120.0
_numbers = count(1)


@dataclass(frozen=True)
class Reply:
    """What the API answered."""

    status: int
    headers: HTTPMessage
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def pointers(self) -> list[str]:
        return [error["pointer"] for error in self.json["errors"]]


class Api:
    """The API of one Worker. Each has a tenant of its own, so that tests do not meet."""

    def __init__(self, worker: DevWorker, token: str | None = TOKEN) -> None:
        self.worker = worker
        self.token = token
        self.tenant = f"tenant-{next(_numbers)}"

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> Reply:
        """Send a request as it is, but for the token."""
        given = {"content-type": "application/json"} if body is not None else {}
        if self.token is not None:
            given["authorization"] = f"Bearer {self.token}"
        connection = HTTPConnection("127.0.0.1", self.worker.port, timeout=60)
        with closing(connection):
            connection.request(method, path, body, {**given, **headers})
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read().decode())

    def get(self, path: str) -> Any:
        """Return what is at a path, in this tenant."""
        reply = self.send("GET", f"{path}{'&' if '?' in path else '?'}tenant={self.tenant}")
        assert reply.status == 200, reply.text
        return reply.json

    def post(self, path: str, value: Any, headers: Mapping[str, str] = {}) -> Reply:
        """Post a value as JSON."""
        return self.send("POST", path, json.dumps(value).encode(), headers)

    def endpoint(self, url: str, **options: Any) -> Any:
        """Add an endpoint for all types; ``tests`` must not send where nobody listens."""
        given = {"url": url, "event_types": ["*"], "tenant": self.tenant, **options}
        reply = self.post("/v1/endpoints", given)
        assert reply.status == 201, reply.text
        return reply.json

    def emit(self, **options: Any) -> Any:
        """Emit an event."""
        given = {"type": "message.sent", "data": {"text": "hi"}, "tenant": self.tenant, **options}
        reply = self.post("/v1/events", given)
        assert reply.status == 202, reply.text
        return reply.json

    def deliveries(self, event: Mapping[str, Any]) -> list[Any]:
        """List an event's deliveries, with the receivers' answers."""
        page = self.get(f"/v1/events/{event['id']}/deliveries?limit=250")
        return [self.get(f"/v1/deliveries/{one['id']}") for one in page["data"]]

    def ended(self, event: Mapping[str, Any], timeout_s: float = WAIT_S) -> list[Any]:
        """Wait until no delivery of an event is pending, and list them."""

        def all_ended() -> list[Any]:
            found = self.deliveries(event)
            return [] if any(one["status"] == "pending" for one in found) else found

        return until(all_ended, timeout_s)

    def attempted(self, event: Mapping[str, Any], attempts: int = 1) -> Any:
        """Wait until the only delivery of an event has so many attempts, and return it."""

        def has_attempts() -> Any:
            [one] = self.deliveries(event)
            return one if one["attempt_count"] >= attempts else None

        return until(has_attempts)


def until[T](condition: Callable[[], T], timeout_s: float = WAIT_S) -> T:
    """Wait until a condition holds; return what it came to."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s; last: {found!r}"
        time.sleep(0.05)
    return found


def processes(worker: DevWorker) -> list[int]:
    """List wrangler's process and all that it started: two workerds, the latter ours."""
    pids = [worker.pid]
    for pid in pids:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            pids += [int(child) for child in children.read_text("ascii").split()]
    return pids


def direct_url(worker: DevWorker) -> str:
    """Return where the Worker's own workerd listens, behind wrangler's proxy.

    The proxy breaks connections off when an answer comes before the body is complete, and it
    takes a dozen megabytes on its own account before that.
    """
    listening = {}
    for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A":
            listening[f"socket:[{fields[9]}]"] = int(fields[1].partition(":")[2], 16)
    for pid in processes(worker):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            port = listening.get(_target(link))
            if port is not None and port != worker.port and _is_ours(port):
                return f"http://127.0.0.1:{port}"
    raise AssertionError("workerd listens nowhere")


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _is_ours(port: int) -> bool:
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        try:
            connection.request("GET", "/health")
            return connection.getresponse().read() == b'{"status":"ok"}'
        except (OSError, HTTPException):
            return False


def project(folder: Path, change: Callable[[str], str] = lambda text: text) -> Path:
    """Lay out the Worker in an empty folder, its configuration changed; return the latter's path.

    The folder must lie in ``CACHE``, since wrangler looks for its packages upwards.
    """
    shutil.copytree(
        ROOT / "src",
        folder / "src",
        ignore=shutil.ignore_patterns("__pycache__"),
        dirs_exist_ok=True,
    )
    shutil.copytree(ROOT / "migrations", folder / "migrations")
    shutil.copytree(ensure_python_modules(), folder / "python_modules")
    config = folder / "wrangler.toml"
    config.write_text(change((ROOT / "wrangler.toml").read_text("utf-8")), "utf-8")
    return config


def without_tables(*names: str) -> Callable[[str], str]:
    """Return a change of a configuration that takes tables out of it, ``[[name]]`` and its keys."""

    def change(text: str) -> str:
        kept: list[str] = []
        keep = True
        for line in text.splitlines():
            if line.startswith("["):
                keep = line.strip("[]") not in names
            if keep:
                kept.append(line)
        return "\n".join(kept) + "\n"

    return change


def without_queue(text: str) -> str:
    """Take the queue out of a configuration: nothing will answer a hint."""
    return without_tables("queues.producers", "queues.consumers")(text)


def database_files(state_dir: Path) -> list[Path]:
    """List the databases of a local state; there is one as soon as somebody has used it."""
    folder = state_dir / "v3" / "d1" / "miniflare-D1DatabaseObject"
    return [path for path in folder.glob("*.sqlite") if path.name != "metadata.sqlite"]
