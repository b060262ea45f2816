"""``Seen``: one contract for memory, SQLite, Django's cache; Workers KV: tests/receive/inner."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.receive.django_project import configure
from webhook.receive import MemorySeen, Seen
from webhook.receive.seen import State
from webhook.receive.sqlite import SqliteSeen

TTL = 120.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "django"])
def seen(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Seen]:
    if request.param == "memory":
        yield MemorySeen(clock=clock)
    elif request.param == "sqlite":
        made = SqliteSeen(tmp_path / "seen.db", clock=clock)
        yield made
        made.close()
    else:
        configure()
        from django.core.cache import cache  # noqa: PLC0415 - needs settings
        from django.core.cache.backends import base, locmem  # noqa: PLC0415 - as above

        from webhook.receive.django import DjangoCacheSeen  # noqa: PLC0415 - as above

        cache.clear()
        for module in (base.time, locmem.time):
            monkeypatch.setattr(module, "time", clock)
        yield DjangoCacheSeen()


def test_the_first_one_begins_and_others_see_it_running(seen: Seen) -> None:
    assert seen.begin("evt_1", TTL) == "new"
    assert seen.begin("evt_1", TTL) == "running"
    assert seen.begin("evt_2", TTL) == "new"


def test_what_is_done_stays_done(seen: Seen, clock: Clock) -> None:
    assert seen.begin("evt_1", TTL) == "new"
    seen.done("evt_1")
    assert seen.begin("evt_1", TTL) == "done"
    clock.now += 3.8 * 86_400  # longer than our retries, with their jitter
    assert seen.begin("evt_1", TTL) == "done"
    clock.now += 86_400
    assert seen.begin("evt_1", TTL) == "new"


def test_what_is_aborted_begins_again(seen: Seen) -> None:
    assert seen.begin("evt_1", TTL) == "new"
    seen.abort("evt_1")
    assert seen.begin("evt_1", TTL) == "new"


def test_what_another_has_done_is_not_aborted(seen: Seen) -> None:
    # One that outlived its mark fails after all, when its successor has handled the event.
    assert seen.begin("evt_1", TTL) == "new"
    seen.done("evt_1")
    seen.abort("evt_1")
    assert seen.begin("evt_1", TTL) == "done"


def test_a_mark_of_one_that_never_came_back_ends(seen: Seen, clock: Clock) -> None:
    assert seen.begin("evt_1", TTL) == "new"
    clock.now += TTL - 1
    assert seen.begin("evt_1", TTL) == "running"
    clock.now += 2
    assert seen.begin("evt_1", TTL) == "new"
    assert seen.begin("evt_1", TTL) == "running"


def test_what_was_never_begun_can_be_aborted(seen: Seen) -> None:
    seen.abort("evt_1")
    assert seen.begin("evt_1", TTL) == "new"


def test_ids_of_every_length_are_told_apart(seen: Seen) -> None:
    ids = ["e" * 255, "e" * 256, "E" * 255, "evt:1", "evt-1"]
    assert [seen.begin(each, TTL) for each in ids] == ["new"] * len(ids)


def test_of_many_threads_one_begins(seen: Seen) -> None:
    threads_count, found = 8, Counter[Any]()
    gate = threading.Barrier(threads_count)

    def begin() -> None:
        gate.wait(30)
        for number in range(20):
            found[number, seen.begin(f"evt_{number}", TTL)] += 1

    threads = [threading.Thread(target=begin) for _ in range(threads_count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {key: count for key, count in found.items() if "new" in key} == {
        (number, "new"): 1 for number in range(20)
    }


def begin_all(path: Path, results: multiprocessing.Queue[list[State]]) -> None:
    seen = SqliteSeen(path)
    results.put([seen.begin(f"evt_{number}", TTL) for number in range(50)])
    seen.close()


def test_of_two_processes_one_begins(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    path = tmp_path / "seen.db"
    processes = [context.Process(target=begin_all, args=(path, results)) for _ in range(2)]
    for process in processes:
        process.start()
    first, second = (results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(60)
    assert [sorted(pair) for pair in zip(first, second, strict=True)] == [["new", "running"]] * 50


def test_sqlite_remembers_over_a_restart_and_by_scope(tmp_path: Path) -> None:
    one = SqliteSeen(tmp_path / "seen.db", scope="one")
    assert one.begin("evt_1", TTL) == "new"
    one.done("evt_1")
    one.close()
    again, other = (SqliteSeen(tmp_path / "seen.db", scope=scope) for scope in ("one", "other"))
    assert again.begin("evt_1", TTL) == "done"
    assert other.begin("evt_1", TTL) == "new"
    again.close()
    other.close()


def test_sqlite_forgets_what_is_over(tmp_path: Path, clock: Clock) -> None:
    import sqlite3  # noqa: PLC0415 - only here

    seen = SqliteSeen(tmp_path / "seen.db", keep_s=10, clock=clock)
    for number in range(30):
        seen.begin(f"evt_{number}", TTL)
        seen.done(f"evt_{number}")
    clock.now += 11
    for number in range(30, 34):
        seen.begin(f"evt_{number}", TTL)
    seen.close()
    with sqlite3.connect(tmp_path / "seen.db") as database:
        assert database.execute("SELECT count(*) FROM webhook_seen").fetchone() == (4,)
    database.close()


def test_memory_forgets_what_is_over_and_what_is_too_much(clock: Clock) -> None:
    seen = MemorySeen(ids_max=3, keep_s=10, clock=clock)
    for number in range(5):
        seen.begin(f"evt_{number}", TTL)
        seen.done(f"evt_{number}")
    assert seen.begin("evt_5", TTL) == "new"
    assert [seen.begin(f"evt_{number}", TTL) for number in (0, 1, 4)] == ["new", "new", "done"]
    clock.now += 11
    assert seen.begin("evt_4", TTL) == "new"


def test_a_seen_is_a_seen() -> None:
    made: Callable[..., Seen] = MemorySeen
    assert made().begin("evt_1", TTL) == "new"
