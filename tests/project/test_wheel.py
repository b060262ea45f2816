"""The wheel holds the package and nothing of the Worker, and gives the `webhook` command."""

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.project.source import PACKAGE, ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    folder: Path = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = folder.iterdir()
    return ZipFile(path)


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: ZipFile) -> None:
    ours = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    for_init = {"webhook/cli/wrangler.toml", "webhook/cli/entry.txt"}
    assert packed == ours | for_init
    for name, source in zip(sorted(for_init), ("src/entry.py", "wrangler.toml"), strict=True):
        assert wheel.read(name) == (ROOT / source).read_bytes()
    assert "webhook/py.typed" in packed


def test_the_wheel_gives_the_webhook_command(wheel: ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    entries = ConfigParser()
    entries.read_string(wheel.read(name).decode())
    assert dict(entries["console_scripts"]) == {"webhook": "webhook.cli:main"}
