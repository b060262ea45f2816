"""`webhook init cloudflare` makes a folder that `wrangler deploy` would take."""

from __future__ import annotations

import shutil
import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path

from typer.testing import CliRunner

from tools import ROOT
from tools.dry_run import dry_run
from tools.vendor import ensure_python_modules
from webhook.cli.app import app


def made(folder: Path, *arguments: str) -> Path:
    done = CliRunner().invoke(app, ["init", "cloudflare", str(folder), *arguments])
    assert done.exit_code == 0, done.output
    assert "uv run pywrangler deploy\n" in done.stdout
    return folder


def test_the_folder_passes_the_dry_run_of_a_deployment(scratch: Path) -> None:
    folder = made(scratch / "hooks", "--name", "hooks")
    # What `pywrangler deploy` brings before it calls wrangler, from the same list of packages.
    shutil.copytree(ensure_python_modules(), folder / "python_modules")
    upload = dry_run(scratch / "upload", folder / "wrangler.toml")
    own = {name for name in upload.files if not name.startswith("python_modules/")}
    assert {"entry.py", "webhook/worker/handlers.py"} <= own
    assert not any(name.startswith("webhook/cli/") for name in own)


def test_it_is_the_worker_of_the_repository_under_another_name(tmp_path: Path) -> None:
    folder = made(tmp_path / "hooks", "--name", "hooks")
    entry = folder / "src" / "entry.py"
    assert entry.read_bytes() == (ROOT / "src" / "entry.py").read_bytes()
    ours = tomllib.loads((ROOT / "wrangler.toml").read_text("utf-8"))
    theirs = tomllib.loads((folder / "wrangler.toml").read_text("utf-8"))
    assert (theirs["name"], theirs["d1_databases"][0]["database_name"]) == ("hooks", "hooks")
    assert theirs["queues"]["producers"][0]["queue"] == "hooks-wake"
    assert theirs["queues"]["consumers"][0]["queue"] == "hooks-wake"
    for changed in ("name", "d1_databases", "queues"):
        del ours[changed], theirs[changed]
    assert theirs == ours
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    released = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["dependencies"] == released["project"]["dependencies"]


def test_its_migrations_make_the_schema_that_ours_make(tmp_path: Path) -> None:
    theirs, ours = made(tmp_path / "hooks") / "migrations", ROOT / "migrations"
    assert {file.name for file in theirs.iterdir()} == {file.name for file in ours.glob("*.sql")}
    schemas = []
    for folder in (theirs, ours):
        with closing(sqlite3.connect(":memory:")) as database:
            for file in sorted(folder.glob("*.sql")):
                database.executescript(file.read_text("utf-8"))
            made_of = database.execute("SELECT type, name FROM sqlite_schema ORDER BY type, name")
            schemas.append(made_of.fetchall())
    assert schemas[0] == schemas[1] != []


def test_it_leaves_alone_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    for arguments in ([str(tmp_path)], [str(tmp_path / "mine")], ["x", "--name", "No Name"]):
        done = CliRunner().invoke(app, ["init", "cloudflare", *arguments])
        assert done.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
