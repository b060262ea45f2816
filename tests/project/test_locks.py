"""The locks fix every file by its hash, agree with each other, and cover what is asked for."""

import json
import re
import tomllib
from itertools import chain, combinations
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.project.source import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
GROUPS: dict[str, list[str]] = {
    name: [text for text in wanted if isinstance(text, str)]  # the rest includes other groups
    for name, wanted in PROJECT["dependency-groups"].items()
}
RUNTIME: list[str] = PROJECT["project"]["dependencies"]
ASKED_FOR = {
    "uv": GROUPS["bootstrap"],
    "build": GROUPS["build"] + PROJECT["build-system"]["requires"],
    "run": RUNTIME + EXTRAS["server"],
    "dev": RUNTIME + [*chain(*EXTRAS.values())] + GROUPS["build"] + GROUPS["dev"],
    "worker": RUNTIME,
}


def pins(lock: str) -> dict[str, set[str]]:
    """Give the versions that a lock has for each package: one, or one for each Python."""
    found: dict[str, set[str]] = {}
    text = (ROOT / "requirements" / f"{lock}.txt").read_text("utf-8")
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_every_locked_package_has_its_hashes_and_no_address(path: Path) -> None:
    text = path.read_text("utf-8").replace("\\\n", " ")
    requirements = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert requirements
    assert [
        line for line in requirements if not re.fullmatch(r"\S+==.+ --hash=sha256:\S+", line)
    ] == []
    assert "://" not in text


@pytest.mark.parametrize("lock", ASKED_FOR)
def test_the_lock_holds_what_the_project_asks_for(lock: str) -> None:
    locked = pins(lock)
    for text in ASKED_FOR[lock]:
        wanted = Requirement(text)
        versions = locked.get(canonicalize_name(wanted.name), set())
        assert versions, text
        assert all(wanted.specifier.contains(version, prereleases=True) for version in versions), (
            text
        )


@pytest.mark.parametrize(("one", "other"), list(combinations(["run", "dev", "worker"], 2)))
def test_locks_agree_on_every_version_that_they_share(one: str, other: str) -> None:
    first, second = pins(one), pins(other)
    assert {name: first[name] for name in first.keys() & second.keys()} == {
        name: second[name] for name in first.keys() & second.keys()
    }


def test_the_worker_depends_on_starlette_and_msgspec_only() -> None:
    assert {Requirement(text).name for text in RUNTIME} == {"starlette", "msgspec"}


def test_the_worker_carries_these_packages_and_no_other() -> None:
    carried = {"anyio", "idna", "msgspec", "starlette", "typing-extensions", "workers-runtime-sdk"}
    assert pins("worker").keys() == carried


def test_the_server_needs_these_packages_and_no_other() -> None:
    asked_for = {canonicalize_name(Requirement(text).name) for text in EXTRAS["server"]}
    assert asked_for == {"aiohttp", "cryptography", "h11", "rich", "typer", "uvicorn"}


def test_every_package_of_node_is_locked_with_its_hash() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text("utf-8"))["packages"]
    locked = {name: package for name, package in packages.items() if name}
    assert locked
    assert [
        name
        for name, package in locked.items()
        if not package.get("integrity", "").startswith("sha512-")
    ] == []


def test_what_is_installed_is_what_the_locks_name() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    installing = [line for line in text.splitlines() if re.search(r"pip install", line)]
    assert installing
    assert [line for line in installing if not re.search(r"--require-hashes|--no-deps", line)] == []
    assert "npm ci" in text
    assert "npm install" not in text
