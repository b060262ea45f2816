"""Files can be held in the head, and name no machine and no registry."""

import re
from pathlib import Path

from tests.project.source import ROOT, committed_files

LINES_MAX = 400
ENTRY_LINES_MAX = 100
WRITTEN_BY_HAND = frozenset({".py", ".js", ".mjs", ".ts", ".css", ".html", ".sh", ".sql"})
# A path here says why its file may be longer.
LONGER_WITH_A_REASON: dict[str, str] = {}

# Put together here, so that this file passes too.
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("index", "pyodide", "org"),
        ("registry", "npmjs", "org"),
        ("deb", "debian", "org"),
    )
)
MACHINE_PATH = re.compile(
    r"(?<![\w.:/-])/(?:root|home|Users|work)/\w|file:///(?:root|home|Users|work|tmp)\b"
)


def texts() -> list[tuple[str, str]]:
    """Every committed text file's path and content."""
    found = []
    for path in committed_files():
        content = path.read_bytes()
        if b"\0" not in content:
            found.append((path.relative_to(ROOT).as_posix(), content.decode("utf-8")))
    return found


def lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def test_no_file_is_over_400_lines_without_a_reason() -> None:
    long = {
        path.relative_to(ROOT).as_posix()
        for path in committed_files()
        if path.suffix in WRITTEN_BY_HAND
        and path.relative_to(ROOT).parts[0] in {"src", "tests", "tools", "benchmarks", "packages"}
        and lines(path) > LINES_MAX
    }
    assert long == set(LONGER_WITH_A_REASON)


def test_the_entry_of_the_worker_is_wiring_only() -> None:
    assert lines(ROOT / "src" / "entry.py") < ENTRY_LINES_MAX


def test_no_committed_file_names_a_registry() -> None:
    assert [
        f"{path} names {host}" for path, text in texts() for host in REGISTRIES if host in text
    ] == []


def test_no_committed_file_names_a_path_of_one_machine() -> None:
    assert [
        f"{path}: {match.group()}"
        for path, text in texts()
        for match in MACHINE_PATH.finditer(text)
    ] == []
