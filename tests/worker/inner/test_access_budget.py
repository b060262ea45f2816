"""What tokens and the audit log ask of D1: nothing more round trips, and rows only for changes."""

from __future__ import annotations

from workers import env

from tests.worker.inner.test_budget import Bench, clock, keys
from webhook.domain.access import ApiToken, AuditEntry, Scope
from webhook.ports import AuditQuery

TABLES = ("api_tokens", "audit_log")


async def bench_with_access() -> Bench:
    bench = await Bench().clean()
    await env.DB.batch([env.DB.prepare(f"DELETE FROM {table}") for table in TABLES])
    return bench


def new_entry() -> AuditEntry:
    key = keys(clock.now_ms())
    return AuditEntry(id=f"aud_{key}", action="endpoint.create", actor="bootstrap", tenant="a")


async def test_an_entry_goes_in_the_batch_of_its_change_and_writes_2_rows() -> None:
    costs = []
    for audited in (False, True):
        bench = await bench_with_access()
        bench.db.reset()
        if audited:
            assert bench.stores.access_store is not None
            async with bench.stores.access_store.beside([new_entry()]):
                await bench.add_endpoints(1)
            assert len((await bench.stores.access_store.list_audit(AuditQuery())).items) == 1
            bench.db.round_trips -= 1  # the list's
        else:
            await bench.add_endpoints(1)
        costs.append((bench.db.round_trips, bench.db.rows_written))
    [plain, with_entry] = costs
    assert plain[0] == with_entry[0] == 1
    assert with_entry[1] - plain[1] == 2


async def test_a_token_writes_1_row_is_read_by_its_key_and_notes_its_use_with_1_row() -> None:
    bench = await bench_with_access()
    store = bench.stores.access_store
    assert store is not None
    tokens = [
        ApiToken(
            id=f"tok_{keys(clock.now_ms())}",
            hash="0" * 64,
            name="x",
            scopes=(Scope.EMIT,),
            created_at=clock.now_ms(),
        )
        for _ in range(20)
    ]
    for token in tokens:
        bench.db.reset()
        await store.add_token(token)
        assert (bench.db.round_trips, bench.db.rows_written) == (1, 1)
    bench.db.reset()
    assert await store.get_token(tokens[7].id) == tokens[7]
    assert (bench.db.round_trips, bench.db.rows_read, bench.db.rows_written) == (1, 1, 0)
    for written in (1, 0):
        bench.db.reset()
        await store.note_use(tokens[7].id, clock.now_ms())
        assert (bench.db.round_trips, bench.db.rows_written) == (1, written)


async def test_removing_old_entries_reads_what_it_removes() -> None:
    bench = await bench_with_access()
    store = bench.stores.access_store
    assert store is not None
    async with store.beside([new_entry() for _ in range(50)]):
        pass
    bench.db.reset()
    assert await store.remove_audit(0, 10) == 0
    assert (bench.db.round_trips, bench.db.rows_written) == (1, 0)
    assert bench.db.rows_read <= 4
    bench.db.reset()
    assert await store.remove_audit(clock.now_ms() + 1_000, 10) == 10
    cost = (bench.db.round_trips, bench.db.rows_read, bench.db.rows_written)
    assert cost[0] == 1
    assert cost[1] <= 50, cost
    assert cost[2] == 10, cost
