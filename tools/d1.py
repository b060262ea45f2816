"""Bring a local D1 database up to date, and run SQL on it, by wrangler's own commands.

Starting wrangler for the migrations costs two seconds. So a state folder that is up to date is
left alone, and a new one starts as a copy of a database migrated before.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from tools import CACHE, ROOT
from tools.toolchain import locked, run_wrangler

STAMP = "migrated-from"


def apply_migrations(state_dir: Path, config: Path = ROOT / "wrangler.toml") -> str:
    """Run ``wrangler d1 migrations apply DB --local`` on *state_dir* and return its output."""
    return run_wrangler(
        ["d1", "migrations", "apply", "DB", "--config", str(config), *_local(state_dir)],
        run=state_dir / "run",
        cwd=config.parent,
    )


def execute_file(
    state_dir: Path, sql_file: Path, config: Path = ROOT / "wrangler.toml"
) -> list[dict[str, Any]]:
    """Run ``wrangler d1 execute DB --local --file`` and return one result for each statement."""
    return _execute(state_dir, ["--file", str(sql_file.resolve())], config)


def execute(
    state_dir: Path, sql: str, config: Path = ROOT / "wrangler.toml"
) -> list[dict[str, Any]]:
    """Run ``wrangler d1 execute DB --local --command``; the rows are under ``results``."""
    return _execute(state_dir, ["--command", sql], config)


def _execute(state_dir: Path, what: list[str], config: Path) -> list[dict[str, Any]]:
    output = run_wrangler(
        ["d1", "execute", "DB", "--config", str(config), "--json", *what, *_local(state_dir)],
        run=state_dir / "run",
        cwd=config.parent,
    )
    results: list[dict[str, Any]] = json.loads(output)
    return results


def _local(state_dir: Path) -> list[str]:
    return ["--local", "--persist-to", str(state_dir.resolve())]


def ensure_migrated(state_dir: Path, config: Path = ROOT / "wrangler.toml") -> None:
    """Make the database in *state_dir* hold every migration that lies beside *config*."""
    files = sorted((config.parent / "migrations").glob("*.sql"))
    if not files:
        return
    # The binding and its id name the database's file, so they belong to the key too.
    digest = hashlib.sha256(repr(tomllib.loads(config.read_text("utf-8"))["d1_databases"]).encode())
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    key = digest.hexdigest()
    stamp = state_dir / STAMP
    if stamp.exists() and stamp.read_text("utf-8") == key:
        return
    state_dir.mkdir(parents=True, exist_ok=True)
    if (state_dir / "v3" / "d1").exists():
        apply_migrations(state_dir, config)
    else:
        shutil.copytree(_migrated_template(key, config), state_dir / "v3", dirs_exist_ok=True)
    stamp.write_text(key, "utf-8")


def _migrated_template(key: str, config: Path) -> Path:
    template = CACHE / "migrated" / key[:16]
    with locked("migrated"):
        if not template.exists():
            # Old migrations leave old templates; one is enough.
            shutil.rmtree(template.parent, ignore_errors=True)
            template.parent.mkdir(parents=True)
            with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
                apply_migrations(Path(scratch), config)
                shutil.move(Path(scratch) / "v3", template)
    return template
