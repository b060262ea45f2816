"""Each statement of the shared dialect has its twin, and a batch of them becomes one function."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

from webhook.adapters import sql
from webhook.adapters.postgres.routines import Routines
from webhook.adapters.postgres.twins import MODULES, TWINS, statements_of
from webhook.adapters.sql import access_statements, settle_statements
from webhook.adapters.sql import statements as shared

# What only a file needs that its dead processes had to themselves.
WITHOUT_TWIN = {shared.END_LEASES}


def test_no_module_of_statements_is_forgotten() -> None:
    found = {
        importlib.import_module(f"{sql.__name__}.{each.name}")
        for each in pkgutil.iter_modules(sql.__path__)
        if each.name.endswith("statements")
    }
    assert found <= {theirs for theirs, _ in MODULES}


def test_each_shared_statement_has_a_twin() -> None:
    texts = {text: name for theirs, _ in MODULES for name, text in statements_of(theirs)}
    assert len(texts) > 80
    missing = [name for text, name in texts.items() if text not in TWINS]
    assert missing == [texts[text] for text in WITHOUT_TWIN]


@pytest.mark.parametrize("text", TWINS, ids=lambda text: " ".join(text.split())[:40])
def test_a_twin_says_each_parameter_s_type_and_asks_for_no_more(text: str) -> None:
    given = {int(number) for number in re.findall(r"\?(\d+)", text)}
    twin = "\n".join(TWINS[text])
    typed = {int(number) for number in re.findall(r"\$(\d+)::\w+", twin)}
    assert {int(number) for number in re.findall(r"\$(\d+)", twin)} == typed
    assert typed <= given


def test_a_batch_is_one_function_and_shares_its_json() -> None:
    routines, rows = Routines(), '[{"lane":"a"}]'
    batch = [
        (settle_statements.NOTE_EXHAUSTED, (rows,)),
        (settle_statements.SETTLE, (rows,)),
    ]
    routine, arguments = routines.of(batch)
    assert arguments == [rows]
    # Locked once, before anything is written.
    assert routine.definition.count("FOR UPDATE OF d") == 1
    assert routine.definition.index("FOR UPDATE OF d") < routine.definition.index("INSERT INTO")
    again, _ = Routines().of(batch)
    assert again == routine
    other, _ = routines.of(batch[1:])
    assert other.name != routine.name


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a\0b", "a\ufffdb"),
        ('["\\u0000"]', '["\\ufffd"]'),
        ('["\\\\u0000"]', '["\\\\u0000"]'),
        ('["\\\\\\u0000"]', '["\\\\\\ufffd"]'),
    ],
)
def test_no_nul_comes_to_the_server(given: str, kept: str) -> None:
    statement = (access_statements.ACCESS_GET, (given,))
    assert Routines().of([statement])[1] == [kept]
