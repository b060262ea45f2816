"""Each bad request is told which field is wrong and what to do, and leaves nothing behind."""

from __future__ import annotations

import pytest

from tests.api.bad_input import BAD_INPUT, BadInput, stored
from tests.api.bad_ordering import BAD_ORDERING
from tests.api.bad_secrets import BAD_SECRETS
from tests.api.server import Served

CASES = [*BAD_INPUT, *BAD_SECRETS, *BAD_ORDERING]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_is_refused_with_words_and_stores_nothing(served: Served, case: BadInput) -> None:
    before = stored(served.url, served.token)
    case.check(case.send(served.url, served.token))
    assert stored(served.url, served.token) == before


def test_the_table_names_each_case_once() -> None:
    names = [case.name for case in CASES]
    assert sorted(names) == sorted(set(names))
