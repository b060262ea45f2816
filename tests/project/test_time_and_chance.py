"""Domain and engine never read a clock or a random source by themselves: ports bring both.

A Worker forbids them while it starts, and the simulation needs to own them.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.project.source import modules, room, tree

# Nothing in these is of use without reading the clock or drawing lots.
FORBIDDEN_MODULES = frozenset({"random", "secrets", "time", "uuid"})
FORBIDDEN_CALLS = frozenset(
    {
        "asyncio.sleep",
        "date.today",
        "datetime.now",
        "datetime.today",
        "datetime.utcnow",
        "os.getrandom",
        "os.urandom",
    }
)
FORBIDDEN_NAMES = frozenset(call.split(".")[1] for call in FORBIDDEN_CALLS)


def offences(source: ast.AST) -> Iterator[str]:
    """Name what in a syntax tree reads clock or chance."""
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in FORBIDDEN_MODULES:
                    yield f"line {node.lineno}: import {alias.name}"
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            if node.module in FORBIDDEN_MODULES:
                yield f"line {node.lineno}: from {node.module} import ..."
            elif node.module in {"asyncio", "os"} and names & FORBIDDEN_NAMES:
                yield f"line {node.lineno}: from {node.module} import {names & FORBIDDEN_NAMES}"
        elif isinstance(node, ast.Attribute):
            call = ".".join(ast.unparse(node).split(".")[-2:])
            if call in FORBIDDEN_CALLS:
                yield f"line {node.lineno}: {call}"


@pytest.mark.parametrize("place", ["domain", "ports", "engine"])
def test_time_and_chance_come_through_ports_in(place: str) -> None:
    inside = [module for module in modules() if room(module) == place]
    assert inside
    assert [
        f"{module}, {offence}" for module in inside for offence in offences(tree(modules()[module]))
    ] == []


@pytest.mark.parametrize(
    "code",
    [
        "import time",
        "from time import monotonic",
        "import random as r",
        "import datetime; datetime.datetime.now(datetime.UTC)",
        "from datetime import date; date.today()",
        "import asyncio\nasync def f() -> None:\n    await asyncio.sleep(1)",
        "from asyncio import sleep",
        "import os; os.urandom(8)",
        "from os import urandom",
        "def f():\n    from secrets import token_bytes",
        "import uuid",
    ],
)
def test_the_check_notices(code: str) -> None:
    assert list(offences(ast.parse(code)))
