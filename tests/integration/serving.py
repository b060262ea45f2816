"""``webhook serve`` as a real process, started and ended as a person would.

with Server(tmp_path, WEBHOOK_RETRY_SCHEDULE="0.2,0.2") as server:
    server.post("/v1/events", {"type": "message.sent", "data": 1})
    assert server.end() == 0                 # SIGTERM, and the exit code
"""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

WAIT_S = 60.0
# A machine that is far too busy takes a minute and more to start a Python.
START_S = 300.0
ALLOW_LOCAL = {"WEBHOOK_ALLOW_PRIVATE_HOSTS": "1", "WEBHOOK_ALLOW_HTTP": "1"}
COMMAND = [sys.executable, "-m", "webhook"]


def clean_environment(**settings: str) -> dict[str, str]:
    """Return this environment without the settings that a person may have set, and with these."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WEBHOOK_")}
    return {**kept, "PYTHONUNBUFFERED": "1", **settings}


def run(*arguments: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=clean_environment(**settings),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


class Server:
    """``webhook serve`` in ``folder`` on a free port; receivers on this machine are allowed."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        local: bool = True,
        command: Sequence[str] = COMMAND,
        **settings: str,
    ) -> None:
        self.folder = folder
        self.command = command
        self.arguments = arguments
        self.settings = {**(ALLOW_LOCAL if local else {}), **settings}
        self.output = ""
        self.url = ""
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._reader is not None:
            self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def process(self) -> subprocess.Popen[str]:
        """The process."""
        assert self._process is not None
        return self._process

    def start(self, *, ready: bool = True) -> None:
        """Start it and, with ``ready``, wait until it has said all that it says at the start."""
        self._close()
        self.output = ""
        self._lines = queue.Queue()
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [*self.command, "serve", "--port", "0", *self.arguments],
                cwd=self.folder,
                env=clean_environment(**self.settings),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._reader = threading.Thread(
            target=self._read, args=(self._process, self._lines), daemon=True
        )
        self._reader.start()
        if ready:
            self.wait_for_line(r"Emit an event:", START_S)
            self.wait_for_line(r"^$", START_S)
            found = re.search(r"Listening +(http://\S+)", self.output)
            assert found is not None
            self.url = found[1]

    def wait_for_line(self, pattern: str, timeout_s: float = WAIT_S) -> str:
        """Return the next line of standard output that matches."""
        end = time.monotonic() + timeout_s
        while True:
            line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            assert line is not None, f"ended without {pattern!r}: {self.output}{self.log()}"
            self.output += line
            if re.search(pattern, line.rstrip("\n")):
                return line

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self.process.kill()
        self.process.wait(WAIT_S)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait for the end and return the exit code; ``output`` is complete then."""
        code = self.process.wait(WAIT_S)
        while (line := self._lines.get(timeout=WAIT_S)) is not None:
            self.output += line
        return code

    def end(self) -> int:
        """Send SIGTERM, wait for the end, and return the exit code."""
        self.terminate()
        return self.wait()

    def log(self) -> str:
        """Return what it wrote to standard error, over all its starts."""
        return (self.folder / "log.txt").read_text("utf-8")

    @property
    def token(self) -> str:
        """The token that it has made."""
        return (self.folder / "webhook.db.token").read_text("ascii").strip()

    def get(self, path: str) -> Any:
        """Return a GET's answer."""
        return self.call("GET", path)

    def post(self, path: str, body: object) -> Any:
        """Return a POST's answer."""
        return self.call("POST", path, body)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return a request's answer, parsed; raises ``HTTPError``."""
        token = self.settings.get("WEBHOOK_API_TOKEN") or self.token
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=WAIT_S) as response:
            return json.loads(response.read())

    def add_endpoint(self, url: str, **fields: object) -> Any:
        """Add an endpoint for all events."""
        return self.post("/v1/endpoints", {"url": url, "event_types": ["*"], **fields})

    def emit(self, data: object = None, event_type: str = "message.sent") -> Any:
        """Emit an event."""
        return self.post("/v1/events", {"type": event_type, "data": data})

    def wait_for_status(self, event_id: str, status: str, *, tenant: str = "default") -> list[Any]:
        """Ask until all deliveries of an event have a status, and return them.

        The receiver's answer comes a moment before it is written down, and nothing tells when.
        """
        end = time.monotonic() + WAIT_S
        while True:
            path = f"/v1/events/{event_id}/deliveries?tenant={tenant}"
            deliveries: list[Any] = self.get(path)["data"]
            if deliveries and all(delivery["status"] == status for delivery in deliveries):
                return deliveries
            assert time.monotonic() < end, deliveries
            time.sleep(0.02)

    def wait_for_attempts(self, tenant: str, count: int) -> None:
        """Ask until the only delivery of a tenant has so many attempts."""
        end = time.monotonic() + WAIT_S
        while True:
            [delivery] = self.get(f"/v1/deliveries?tenant={tenant}")["data"]
            if delivery["attempt_count"] >= count:
                return
            assert time.monotonic() < end, delivery
            time.sleep(0.02)

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)
