"""The collections of the store in memory stay right, and small, when much comes and goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webhook.adapters.memory.ordered import Agenda, SortedKeys

KEYS = st.text("abc", max_size=3)
STEPS = st.lists(st.tuples(st.booleans(), KEYS), max_size=300)


@given(steps=STEPS, place=KEYS)
def test_sorted_keys_walk_like_a_sorted_set(steps: list[tuple[bool, str]], place: str) -> None:
    keys, model = SortedKeys(), set[str]()
    for is_added, key in steps:
        if is_added:
            keys.add(key)
            model.add(key)
        else:
            keys.discard(key)
            model.discard(key)
        assert len(keys) == len(model)
        assert (key in keys) is is_added
    above = sorted(key for key in model if key > place)
    assert list(keys.after(place)) == above
    assert list(keys.around(place)) == above + sorted(key for key in model if "" < key <= place)
    assert list(keys.before(place)) == sorted((key for key in model if key < place), reverse=True)


@given(steps=st.lists(st.tuples(st.none() | st.integers(0, 5), KEYS), max_size=300))
def test_an_agenda_gives_the_lowest_rank_first(steps: list[tuple[int | None, str]]) -> None:
    agenda, model = Agenda[int, str](), dict[str, int]()
    for rank, item in steps:
        if rank is None:
            agenda.drop(item)
            model.pop(item, None)
        else:
            agenda.put(item, rank)
            model[item] = rank
        assert len(agenda) == len(model)
        assert agenda.first() == min(((r, i) for i, r in model.items()), default=None)


def test_keys_may_be_discarded_during_a_walk() -> None:
    keys = SortedKeys()
    for number in range(1000):
        keys.add(f"{number:04}")
    met = []
    for key in keys.after(""):
        met.append(key)
        for gone in range(int(key), int(key) + 3):
            keys.discard(f"{gone:04}")
    assert met == [f"{number:04}" for number in range(0, 1000, 3)]
    assert len(keys) == 0


def test_what_was_taken_out_takes_no_room() -> None:
    keys, agenda = SortedKeys(), Agenda[int, str]()
    for number in range(10_000):
        keys.add(f"{number:04}")
        agenda.put("item", number)
        if number >= 10:
            keys.discard(f"{number - 10:04}")
    agenda.drop("item")
    assert len(keys._keys) < 200
    assert len(agenda._heap) < 200
