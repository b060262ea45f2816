"""Check that the Worker's memory can be snapshotted, as Cloudflare does at every upload.

A snapshot is taken after the top level of entry.py has run. It fails when a module keeps what
cannot be frozen, such as an object of JavaScript; production would refuse the upload. Here plain
workerd saves one from the very files that a deployment would upload, and a second workerd starts
from it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tools import CACHE, ROOT
from tools.dry_run import dry_run
from tools.pyodide_bundle import ensure_bundle
from tools.toolchain import DEVELOPMENT_FLAGS, ToolError, die_with_parent, find_workerd
from tools.worker_process import HOST, free_port

CONFIG = ROOT / "wrangler.toml"


@dataclass(frozen=True)
class Snapshot:
    """How saving a snapshot and starting from it went."""

    size_mib: float
    cold_seconds: float
    """From nothing to the first answer without a snapshot."""
    warm_seconds: float
    """The same from the snapshot."""


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _capnp_config(files: Path, config: Path) -> str:
    """Describe the Worker for workerd: entry.py first, other Python next to it, the rest as data.

    It has no bindings: the top level must not need any, and a request that is answered with an
    error still proves that Python runs.
    """
    settings = tomllib.loads(config.read_text("utf-8"))
    flags = dict.fromkeys([*settings["compatibility_flags"], *DEVELOPMENT_FLAGS])
    main = Path(settings["main"]).name
    names = sorted(str(path.relative_to(files)) for path in files.rglob("*") if path.is_file())
    modules = []
    for name in sorted(names, key=lambda name: (name != main, name)):
        kind = "pythonModule" if name.endswith(".py") else "data"
        # The address is relative to the configuration file, which lies in *work_dir*.
        embedded = f"embed {_quote(f'upload/{files.name}/{name}')}"
        modules.append(f"      (name = {_quote(name)}, {kind} = {embedded}),")
    return "\n".join(
        [
            'using Workerd = import "/workerd/workerd.capnp";',
            "const config :Workerd.Config = (",
            '  services = [(name = "main", worker = .worker)],',
            '  sockets = [(name = "http", address = "*:0", http = (), service = "main")],',
            ");",
            "const worker :Workerd.Worker = (",
            f"  compatibilityDate = {_quote(settings['compatibility_date'])},",
            f"  compatibilityFlags = [{', '.join(map(_quote, flags))}],",
            "  modules = [",
            *modules,
            "  ],",
            ");",
            "",
        ]
    )


def _first_answer(folder: Path, option: str, timeout: float) -> float:
    """Start workerd with one snapshot *option*, ask once, end it; return the seconds it took."""
    port = free_port()
    log = folder / "workerd.log"
    arguments = ["serve", "--experimental", f"--pyodide-bundle-disk-cache-dir={ensure_bundle()}"]
    arguments += [f"--python-snapshot-dir={folder / 'snapshot'}", option]
    arguments += [f"--socket-addr=http={HOST}:{port}", "config.capnp"]
    command = [*die_with_parent("KILL"), str(find_workerd()), *arguments]
    start = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    try:
        while time.monotonic() - start < timeout:
            if process.poll() is not None:
                break
            connection = HTTPConnection(HOST, port, timeout=timeout)
            try:
                connection.request("GET", "/")
                connection.getresponse().read()
            except (OSError, HTTPException):
                time.sleep(0.01)
            else:
                return time.monotonic() - start
            finally:
                connection.close()
    finally:
        process.terminate()
        process.wait()
    raise ToolError(f"workerd {option} failed:\n{log.read_text('utf-8', 'replace')}")


def check_snapshot(
    work_dir: Path = CACHE / "snapshot", config: Path = CONFIG, timeout: float = 60
) -> Snapshot:
    """Save a snapshot of the Worker and start from it; raise :class:`ToolError` if that fails."""
    shutil.rmtree(work_dir, ignore_errors=True)
    files = dry_run(work_dir / "upload", config).folder
    (work_dir / "config.capnp").write_text(_capnp_config(files, config), "utf-8")
    (work_dir / "snapshot").mkdir()
    cold = _first_answer(work_dir, "--python-save-snapshot", timeout)
    saved = work_dir / "snapshot" / "snapshot.bin"
    if not saved.exists():
        log = (work_dir / "workerd.log").read_text("utf-8", "replace")
        raise ToolError(f"the Worker's top level cannot be snapshotted:\n{log}")
    size = saved.stat().st_size / 2**20
    warm = _first_answer(work_dir, "--python-load-snapshot=snapshot.bin", timeout)
    return Snapshot(size, cold, warm)


def main() -> int:
    """Check the snapshot and print what it brings."""
    try:
        result = check_snapshot()
    except ToolError as error:
        print(f"snapshot: {error}", file=sys.stderr)
        return 1
    print(
        f"snapshot of {result.size_mib:.0f} MiB: first answer after {result.cold_seconds:.2f} s "
        f"without it, {result.warm_seconds:.2f} s with it"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
