"""Many seeds, one after the other or on two cores."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

from tests.simulation.world import Run, run

SEEDS_FILE = Path(__file__).with_name("seeds.txt")
CHUNK = 50


def recorded_seeds() -> list[int]:
    """Return the seeds that once found something."""
    lines = SEEDS_FILE.read_text("utf-8").splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


def run_all(seeds: range | list[int], *, jobs: int = 1) -> Iterator[Run]:
    """Run all seeds and give each run as it comes."""
    if jobs == 1:
        yield from _run_each(seeds)
        return
    chunks = [list(seeds[at : at + CHUNK]) for at in range(0, len(seeds), CHUNK)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs) as pool:
        for runs in pool.imap_unordered(_run_chunk, chunks):
            yield from runs


def _run_chunk(seeds: list[int]) -> list[Run]:
    return list(_run_each(seeds))


def _run_each(seeds: range | list[int]) -> Iterator[Run]:
    # A world is full of circles; collecting them once a chunk is cheaper than again and again.
    collecting = gc.isenabled()
    gc.disable()
    try:
        for count, seed in enumerate(seeds, 1):
            yield run(seed)
            if not count % CHUNK:
                gc.collect()
    finally:
        if collecting:
            gc.enable()
        gc.collect()
