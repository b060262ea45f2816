"""``webhook init cloudflare``: a folder that ``wrangler deploy`` takes as it is."""

from __future__ import annotations

import re
import shutil
from enum import StrEnum
from importlib.metadata import requires
from pathlib import Path
from typing import Annotated

import typer

import webhook
from webhook.adapters.sql.migrations import MIGRATIONS
from webhook.cli.terminal import ExitCode, fail, stdout

_PACKAGE = Path(webhook.__file__).parent
# Beside the commands in a wheel, in the repository's root otherwise.
_TEMPLATES = {
    "wrangler.toml": (Path(__file__).with_name("wrangler.toml"), "../../wrangler.toml"),
    "entry.py": (Path(__file__).with_name("entry.txt"), "../entry.py"),
}
_NAME = re.compile("[a-z0-9][a-z0-9-]{0,62}")
_IGNORED = [
    "python_modules/",
    ".venv/",
    ".venv-workers/",
    "node_modules/",
    ".wrangler/",
    ".dev.vars",
]


class Platform(StrEnum):
    """Where a service may be deployed to."""

    CLOUDFLARE = "cloudflare"


def init(
    *,
    platform: Annotated[Platform, typer.Argument(help="Where it is to run.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="To be made, or empty.")] = Path(
        "webhook-worker"
    ),
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Of the Worker, its database and its queue.")
    ] = "webhook",
) -> None:
    """Make a folder with a Worker, its configuration and its migrations, and say what comes next.

    Nothing is sent anywhere.

    Example: webhook init cloudflare hooks --name hooks
    """
    if not _NAME.fullmatch(name):
        fail(f"--name: {name!r} is not of a-z, 0-9 and -.", ExitCode.USAGE)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail(f"{folder} is there already, and not empty. Name another one.", ExitCode.USAGE)
    try:
        _make(folder, name)
    except OSError as error:
        fail(f"{folder} cannot be made: {error.strerror}.")
    out = stdout()
    out.print(f"{folder} holds the Worker {name} for {platform.value}. Next, in there:")
    for command in (
        "uv run pywrangler deploy",
        "npx wrangler secret put WEBHOOK_API_TOKEN",
        "webhook keys create | npx wrangler secret put WEBHOOK_ENCRYPTION_KEYS",
    ):
        out.print(command, style="cyan")
    out.print(
        "The first makes the database and the queue; migrations apply themselves.", style="dim"
    )


def _make(folder: Path, name: str) -> None:
    source = folder / "src"
    shutil.copytree(
        _PACKAGE,
        source / "webhook",
        # The commands have no use there.
        ignore=shutil.ignore_patterns("__pycache__", "cli", "__main__.py"),
    )
    (source / "entry.py").write_text(_template("entry.py"), "utf-8")
    (folder / "wrangler.toml").write_text(_configuration(name), "utf-8")
    (folder / "pyproject.toml").write_text(_project(name), "utf-8")
    (folder / ".gitignore").write_text("\n".join([*_IGNORED, ""]), "utf-8")
    (folder / "migrations").mkdir()
    for file, statements in MIGRATIONS:
        text = "".join(f"{statement};\n\n" for statement in statements)
        (folder / "migrations" / file).write_text(text, "utf-8")


def _configuration(name: str) -> str:
    """Return the configuration that is deployed from the repository, under another name."""
    text = _template("wrangler.toml").replace(
        "# The Worker as it is deployed. Local development uses it unchanged (`make worker`).\n", ""
    )
    return re.sub(r'"webhook(?=["-])', f'"{name}', text)


def _project(name: str) -> str:
    packages = [text for text in requires("webhook") or () if "extra ==" not in text]
    return (
        "[project]\n"
        f'name = "{name}-worker"\n'
        'version = "0.0.0"\n'
        'requires-python = ">=3.12"\n'
        f"dependencies = {packages}\n\n"
        "[dependency-groups]\n"
        'dev = ["workers-py>=1.17", "workers-runtime-sdk>=1.9"]\n'
    ).replace("'", '"')


def _template(name: str) -> str:
    packed, here = _TEMPLATES[name]
    return (packed if packed.exists() else _PACKAGE / here).read_text("utf-8")
