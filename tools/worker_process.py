"""A Worker under ``wrangler dev`` as an object: the real workerd, with D1, the queue and the cron.

Several may run at once, each with its own port and state. wrangler.toml is used as it is deployed;
what development needs besides is said on wrangler's command line.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
import tomllib
import urllib.parse
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

from tools import ROOT
from tools.d1 import ensure_migrated
from tools.toolchain import (
    DEVELOPMENT_FLAGS,
    ToolError,
    clean_env,
    die_with_parent,
    quote_env_value,
    workerd_wrapper,
    wrangler_command,
)
from tools.vendor import ensure_python_modules

HOST = "127.0.0.1"
CONFIG = ROOT / "wrangler.toml"


class WorkerError(ToolError):
    """The Worker did not start, or ended by itself; the message holds the end of its log."""


def free_port() -> int:
    """Return a TCP port that nobody uses at the moment.

    Below those that systems hand out by themselves, lest a connection take it meanwhile.
    """
    while port_is_taken(port := 20_000 + secrets.randbelow(12_000)):
        pass
    return port


def port_is_taken(port: int) -> bool:
    """Tell whether something listens on *port*, or something else keeps it from being bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def children_of(pid: int) -> list[int]:
    """List the processes that *pid* started, where the system tells (Linux)."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for path in lists for word in path.read_text("ascii").split()]


def is_running(pid: int) -> bool:
    """Tell whether there is such a process that has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class DevWorker:
    """One Worker under ``wrangler dev``: start it, talk to it, end it gently or by SIGKILL.

    *state_dir* keeps the database over restarts; the queue lives in memory and is lost with the
    process. *env* becomes the Worker's variables and secrets. The kernel ends the Worker when the
    thread that started it ends, so start it from a thread that stays, such as the main one.
    """

    def __init__(
        self,
        port: int | None = None,
        state_dir: Path = ROOT / ".wrangler" / "state",
        env: Mapping[str, str] | None = None,
        *,
        cron: bool = False,
        cron_seconds: float = 60,
        config: Path = CONFIG,
        development_bundle: bool = True,
        migrate: bool = True,
        ready_path: str = "/health",
        ready_timeout: float = 60,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://{HOST}:{self.port}"
        self.state_dir = state_dir.resolve()
        self.run_dir = self.state_dir / "run" / str(self.port)
        self.log = self.run_dir / "worker.log"
        self.env = dict(env or {})
        self.config = config.resolve()
        self.development_bundle = development_bundle
        self._migrate = migrate
        self._ready = (ready_path, ready_timeout)
        self._cron_seconds = cron_seconds if cron else None
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        with self.config.open("rb") as file:
            self._settings = tomllib.load(file)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of wrangler's node; workerd's processes are its children."""
        if self._process is None:
            raise WorkerError("the Worker has not been started")
        return self._process.pid

    def start(self) -> Self:
        """Start the Worker and wait until it answers."""
        if port_is_taken(self.port):
            raise WorkerError(f"port {self.port} is taken: set WEBHOOK_PORT to another one")
        if self.config == CONFIG:
            ensure_python_modules()
        # A Worker that was killed leaves its temporary files behind.
        shutil.rmtree(self.run_dir, ignore_errors=True)
        self.run_dir.mkdir(parents=True)
        if self._migrate:
            ensure_migrated(self.state_dir, self.config)
        wrapper = workerd_wrapper(development=self.development_bundle)
        command = [*die_with_parent("TERM"), *wrangler_command(), *self._arguments()]
        env = clean_env(self.run_dir, {"MINIFLARE_WORKERD_PATH": str(wrapper)})
        self._stopping.clear()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.config.parent,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C goes to the one who started us, and we stop the Worker in good order.
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        if self._cron_seconds is not None:
            threading.Thread(target=self._fire_crons, name="cron", daemon=True).start()
        return self

    def _arguments(self) -> list[str]:
        arguments = ["dev", "--config", str(self.config), "--ip", HOST, "--port", str(self.port)]
        # Debuggers' default port would be shared by all Workers on the machine.
        arguments += ["--inspector-port", "0", "--show-interactive-dev-session=false", "--local"]
        arguments += ["--persist-to", str(self.state_dir), "--env-file", str(self._write_env())]
        if self.development_bundle:
            # On the command line the flags replace those of wrangler.toml, so repeat them. Among
            # them global_fetch_strictly_public may stay: locally it refuses no private address.
            flags = dict.fromkeys([*self._settings["compatibility_flags"], *DEVELOPMENT_FLAGS])
            arguments += ["--compatibility-flags", *flags]
        return arguments

    def _write_env(self) -> Path:
        """Put variables and secrets into a file that only its owner may read.

        Given on the command line they would be in the list of processes for everyone to see.
        """
        path = self.run_dir / "worker.env"
        lines = [f"{name}={quote_env_value(name, value)}\n" for name, value in self.env.items()]
        path.touch(mode=0o600, exist_ok=False)
        path.write_text("".join(lines), "utf-8")
        return path

    def _wait_until_ready(self) -> None:
        path, timeout = self._ready
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                raise WorkerError(f"the Worker ended while starting:\n{self.log_tail()}")
            # wrangler listens a little before workerd is there, so its own word comes first.
            if "Ready on" in self.log.read_text("utf-8", "replace"):
                try:
                    self._get(path, timeout)
                except (OSError, HTTPException):
                    time.sleep(0.05)
                    continue
                return
            time.sleep(0.05)
        raise WorkerError(f"the Worker did not answer in {timeout:g} s:\n{self.log_tail()}")

    def log_tail(self, lines: int = 40) -> str:
        """Return the end of what wrangler and the Worker printed, without colours."""
        text = self.log.read_text("utf-8", "replace")
        plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
        return "\n".join(plain.splitlines()[-lines:])

    def fire_cron(self, cron: str | None = None, at_ms: int | None = None) -> str:
        """Fire the cron once and return its outcome ("ok" when it ran without an exception).

        *cron* is the first of wrangler.toml's unless given; *at_ms* is the scheduled time.
        """
        query = {"cron": cron or self._settings["triggers"]["crons"][0], "format": "json"}
        if at_ms is not None:
            query["time"] = str(at_ms)
        path = f"/cdn-cgi/local/scheduled?{urllib.parse.urlencode(query)}"
        return str(json.loads(self._get(path, timeout=60))["outcome"])

    def _get(self, path: str, timeout: float) -> bytes:
        """Return the body of the answer to a GET, whatever its status."""
        connection = HTTPConnection(HOST, self.port, timeout=timeout)
        with closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read()

    def _fire_crons(self) -> None:
        # workerd fires no cron by itself; in production the platform does.
        while not self._stopping.wait(self._cron_seconds):
            try:
                self.fire_cron()
            except (OSError, HTTPException, ValueError, KeyError):
                # A reload is under way or the Worker is gone; whoever watches notices the latter.
                continue

    def is_running(self) -> bool:
        """Tell whether the Worker has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End the Worker at once by SIGKILL, as a crash of the machine would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the Worker; does nothing when it has ended already."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        self._stopping.set()
        process, self._process = self._process, None
        if process is None:
            return
        children = children_of(process.pid)
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        (self.run_dir / "worker.env").unlink(missing_ok=True)
        # workerd follows a moment later; a restart needs the port and the database's lock.
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and (
            any(is_running(child) for child in children) or port_is_taken(self.port)
        ):
            time.sleep(0.01)
