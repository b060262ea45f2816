"""SECURITY.md names the tests that hold its promises: they exist."""

from __future__ import annotations

import ast
import re

from tests.project.source import ROOT, committed_files

TEXT = (ROOT / "SECURITY.md").read_text("utf-8")


def functions() -> set[str]:
    found = set()
    for path in committed_files():
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] == "tests":
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    found.add(node.name)
    return found


def test_every_test_that_security_names_exists() -> None:
    named = set(re.findall(r"\btest_\w+(?!\.py)\b(?!\.)", TEXT))
    assert named
    assert named - functions() == set()


def test_every_file_of_tests_that_security_names_exists() -> None:
    named = set(re.findall(r"\btests/[\w/.]+\b", TEXT))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_a_test_named_with_its_file_stands_in_it() -> None:
    pairs = re.findall(r"(tests/[\w/]+\.py)::(test_\w+)", TEXT)
    assert pairs
    missing = [
        f"{path}::{name}"
        for path, name in pairs
        if f"def {name}(" not in (ROOT / path).read_text("utf-8")
    ]
    assert missing == []
