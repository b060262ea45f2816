"""The planner reads what we meant it to read: no growing table is scanned, nothing large sorted.

``PLANS`` names for each statement the keys and indexes by which it finds rows of our tables, and
why it sorts where it does. What is not listed there is not allowed.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from webhook.adapters.sql import (
    encryption,
    ordering_statements,
    payload_statements,
    read_statements,
    recovery_statements,
    settle_statements,
    statements,
    sweep_statements,
    tenant_statements,
)
from webhook.adapters.sql.migrate import build_webhook_schema_sql

EVENT = "PRIMARY KEY (tenant=? AND key=?)"
EVENT_RANGE = "PRIMARY KEY (tenant=? AND key>? AND key<?)"
# An index of nothing but events without their payloads.
ERASED = "INDEX events_erased (tenant=? AND key=?)"
DELIVERY = "PRIMARY KEY (lane=? AND key=?)"
ENDPOINT = "PRIMARY KEY (lane=?)"
NAME = "PRIMARY KEY (tenant=? AND name=?)"
SUBSCRIPTION = "PRIMARY KEY (tenant=? AND pattern=? AND lane=?)"
PATTERN = "PRIMARY KEY (tenant=? AND pattern=?)"
EXTERNAL = "INDEX endpoints_external (tenant=? AND external_id=?)"
OF_TENANT = "INDEX endpoints_list (tenant=?)"
# The removed ones; what is being deleted, or of any table that begins with the tenant.
GONE = "INDEX endpoints_gone (tenant=?)"
DELETING = IN_TENANT = "PRIMARY KEY (tenant=?)"
LISTED = "INDEX endpoints_list (tenant=? AND id>?)"
WALK = {
    "INDEX deliveries_ready (lane>?)",
    "INDEX deliveries_ready (lane<?)",
    "INDEX deliveries_ready (lane=?)",
}
LANE_RANGE = "PRIMARY KEY (lane=? AND key>? AND key<?)"
# Ends after so many rows.
LANE_BEFORE = "PRIMARY KEY (lane=? AND key<?)"
DEAD = "INDEX deliveries_dead (tenant=? AND key>? AND key<?)"
DUE = "INDEX deliveries_waiting (due_at<?)"
UNDER_WAY = "INDEX deliveries_gated (lane=? AND due_at>?)"
LINE = "INDEX deliveries_ordered (lane=? AND ordering_key=? AND ordering_number>?)"
SWITCH = "PRIMARY KEY (name=?)"
RECOVERY = "PRIMARY KEY (id=?)"
# Made by one tenant, not long ago.
RECENT = "INDEX recoveries_list (tenant=? AND id>?)"
SOON_DUE = "INDEX deliveries_waiting (due_at>? AND due_at<?)"
# A walk over the tenants that have events, and the oldest events of each.
TENANTS = {"PRIMARY KEY (tenant>?)"}
OLD = TENANTS | {EVENT_RANGE, DELIVERY}
# The oldest events behind each tenant's horizon; and an index of nothing but held events.
PAYLOADS_DUE = TENANTS | {EVENT_RANGE, "PRIMARY KEY (tenant=?)", DELIVERY}
HELD = "INDEX events_held (key>? AND key<?)"

# Why a statement may sort: what it sorts has a bound.
OF_THE_CALL = "the rows that this call brings, or the deliveries that it makes"
OF_ONE_EVENT = "the targets of one event at a time"
OF_A_PIECE = "at most as many rows as a piece of the sweep takes"
OF_A_SCAN = "at most as many rows as a scan may read"


class Plan(NamedTuple):
    """How a statement finds rows, and why each of its sorts is small."""

    finds: set[str]
    sorts: tuple[str, ...] = ()
    # Ranges without a lower end, and min(): they begin at an index's first entry and end soon.
    first_entries: int = 0


PLANS: dict[str, Plan] = {
    # accept
    "ACCEPT_NAMES": Plan(set()),  # an insert finds its conflicts by the primary key
    "CONFLICTING_NAMES": Plan({NAME}, (OF_THE_CALL,)),
    "ACCEPT_EVENTS": Plan({NAME, PATTERN}, (OF_THE_CALL,)),
    "ACCEPT_DELIVERIES": Plan({EVENT, ENDPOINT, SWITCH}, (OF_THE_CALL,)),
    "ACCEPT_ORDERED": Plan({EVENT, LINE}, (OF_THE_CALL,)),
    "ACCEPT_RESULT": Plan({NAME, EVENT}, (OF_THE_CALL,)),
    "ACCEPT_LEASED": Plan({EVENT, DELIVERY, ENDPOINT}),
    # claim
    "CLAIM_DUE": Plan({DUE, DELIVERY}),
    "END_LEASES": Plan({SOON_DUE}),
    "CLAIM_READY": Plan(
        WALK | {DELIVERY, ENDPOINT, EVENT, UNDER_WAY, SWITCH},
        first_entries=1,
    ),
    "CLAIM_REST": Plan(
        WALK - {"INDEX deliveries_ready (lane=?)"}
        | {ENDPOINT, DUE, "INDEX deliveries_waiting", UNDER_WAY, SWITCH},
        first_entries=3,
    ),
    "TAKE_START": Plan({ENDPOINT}),
    "NEXT_START": Plan({ENDPOINT}),
    # settle
    "SETTLE": Plan({DELIVERY, ENDPOINT}),
    "DISABLE_UNSUBSCRIBE": Plan({SUBSCRIPTION, DELIVERY, ENDPOINT}, (OF_THE_CALL,)),
    "DISABLE": Plan({DELIVERY, ENDPOINT, EVENT}, (OF_THE_CALL,)),
    "COUNT_FAILURES": Plan({DELIVERY, ENDPOINT, LANE_BEFORE}, (OF_THE_CALL,)),
    "FORGET_FAILURES": Plan({DELIVERY, ENDPOINT, EVENT, "INDEX deliveries_ready (lane=?)"}),
    "NOTE_EXHAUSTED": Plan({DELIVERY, ENDPOINT, EVENT}),
    "NOTICES": Plan({ENDPOINT}, first_entries=1),  # a table of nothing but what is to be told
    "NOTICES_FORGET": Plan({"PRIMARY KEY (id=?)"}),
    # the operator's switch
    "SENDING_PAUSE": Plan(set()),
    "SENDING_RESUME": Plan({SWITCH}),
    "SENDING_PAUSED": Plan({SWITCH}),
    # encryption
    "KEYS_IN_USE": Plan({"INDEX endpoints_key (key_id>?)"}),
    "ROWS_OF_KEY": Plan({"INDEX endpoints_key (key_id=? AND lane>?)"}),
    "ENCRYPT_ROWS": Plan({ENDPOINT}),
    "MARK_PLAINTEXT": Plan(set()),
    "UNMARK_PLAINTEXT": Plan({SWITCH}),
    "IS_MARKED": Plan({SWITCH}),
    # endpoints
    "ENDPOINT_ADD": Plan({ENDPOINT, OF_TENANT}),
    "TENANTS_FULL": Plan({OF_TENANT}, (OF_THE_CALL,)),
    "ENDPOINT_TAKEN": Plan({EXTERNAL}, (OF_THE_CALL,)),
    "UNSUBSCRIBE": Plan({SUBSCRIPTION, ENDPOINT}),
    "ENDPOINT_UNSUBSCRIBE": Plan({SUBSCRIPTION, ENDPOINT}),
    "SUBSCRIBE": Plan({ENDPOINT}),
    "ENDPOINT_UPDATE": Plan({ENDPOINT}),
    "ENDPOINT_REMOVE": Plan({ENDPOINT}),
    "ENDPOINTS_GET": Plan({ENDPOINT}),
    "ENDPOINTS_LIST": Plan({LISTED}),
    "ENDPOINTS_SCANNED": Plan({LISTED}),
    "ENDPOINTS_MATCH": Plan({PATTERN}, (OF_THE_CALL,)),
    # events and deliveries
    "EVENT_GET": Plan({NAME, EVENT}),
    "EVENTS_LIST": Plan({EVENT_RANGE}),
    "EVENTS_SCANNED": Plan({EVENT_RANGE}),
    "DELIVERY_GET": Plan({DELIVERY, EVENT, ENDPOINT, LINE, ERASED}),
    "DELIVERIES_BY_ENDPOINT": Plan({LANE_RANGE, DELIVERY, EVENT, ENDPOINT, LINE, ERASED}),
    "DELIVERIES_BY_DEATH": Plan({DEAD, DELIVERY, EVENT, ENDPOINT, LINE, ERASED}),
    "DELIVERIES_BY_EVENT": Plan(
        {EVENT_RANGE, DELIVERY, EVENT, ENDPOINT, LINE, ERASED}, (OF_ONE_EVENT,)
    ),
    "SCANNED_BY_ENDPOINT": Plan({LANE_RANGE}, (OF_A_SCAN,)),
    "SCANNED_BY_DEATH": Plan({DEAD}, (OF_A_SCAN,)),
    "SCANNED_BY_EVENT": Plan({EVENT_RANGE}, (OF_ONE_EVENT, OF_A_SCAN)),
    "REPLAY": Plan({DELIVERY, ENDPOINT, ERASED}),
    "ENDPOINT_REMOVED": Plan({ENDPOINT}),
    "SCAN_BY_ENDPOINT": Plan({LANE_RANGE, DELIVERY, EVENT, ENDPOINT, ERASED}, (OF_A_SCAN,)),
    "SCAN_BY_DEATH": Plan({DEAD, DELIVERY, EVENT, ENDPOINT, ERASED}, (OF_A_SCAN,)),
    "SCAN_BY_EVENT": Plan(
        {EVENT_RANGE, DELIVERY, EVENT, ENDPOINT, ERASED}, (OF_ONE_EVENT, OF_A_SCAN)
    ),
    # recoveries
    "RECOVERY_START": Plan({RECENT}),
    "RECOVERY_STARTED": Plan(
        {RECOVERY, RECENT, "INDEX recoveries_once (tenant=? AND fingerprint=?)"}
    ),
    "RECOVERY_GET": Plan({RECOVERY}),
    "RECOVERIES_LIST": Plan({"INDEX recoveries_list (tenant=? AND id<?)"}),
    "RECOVERIES_RUNNING": Plan(set(), first_entries=1),  # an index of nothing but what runs
    "RECOVERY_CANCEL": Plan({RECOVERY}),
    "RECOVERIES_REMOVE": Plan({RECOVERY, "PRIMARY KEY (id<?)"}, first_entries=1),
    "SCAN_FAILED": Plan({LANE_RANGE, ERASED}, (OF_A_SCAN,)),
    "SCAN_EVENTS": Plan({EVENT_RANGE, DELIVERY, ERASED}, (OF_A_SCAN,)),
    "EVENTS_METADATA": Plan({EVENT}),
    "PIECE_REPLAY_COUNT": Plan({RECOVERY, DELIVERY, ENDPOINT, ERASED}),
    "PIECE_REPLAY": Plan({RECOVERY, DELIVERY, ENDPOINT, ERASED}),
    "PIECE_MAKE_COUNT": Plan({RECOVERY, EVENT, DELIVERY, ENDPOINT}),
    "PIECE_MAKE_TARGETS": Plan({RECOVERY, EVENT, DELIVERY, ENDPOINT}),
    "PIECE_MAKE_DELIVERIES": Plan({RECOVERY, EVENT, DELIVERY, ENDPOINT, LINE}, (OF_THE_CALL,)),
    "PIECE_END": Plan({RECOVERY}),
    # cancel
    "CANCEL": Plan({DELIVERY, ENDPOINT}),
    "SWEEP_OVERDUE_READY": Plan(
        WALK - {"INDEX deliveries_ready (lane=?)"}
        | {"INDEX deliveries_ready (lane=? AND key<?)", DELIVERY, ENDPOINT},
        first_entries=1,
    ),
    "SWEEP_OVERDUE_SCHEDULED": Plan({SOON_DUE, DELIVERY, ENDPOINT}),
    "SWEEP_OVERDUE_SEEN": Plan({SOON_DUE}),
    # one payload
    "ERASE_CANCEL": Plan({EVENT, DELIVERY, ENDPOINT}),
    "ERASE_RESPONSES": Plan({EVENT, DELIVERY}),
    "ERASE_PAYLOAD": Plan({EVENT}),
    # ordered delivery
    "RELEASE_STOPPING": Plan({DELIVERY, ENDPOINT, "INDEX deliveries_stopping (lane=?)"}),
    "SWEEP_STOPPING": Plan(
        {walk.replace("deliveries_ready", "deliveries_stopping") for walk in WALK}
        | {DELIVERY, ENDPOINT},
        first_entries=1,
    ),
    "SWEEP_BLOCKED": Plan(
        {
            "INDEX deliveries_waiting (due_at=? AND lane>?)",
            "INDEX deliveries_waiting (due_at=? AND lane<?)",
            "INDEX deliveries_waiting (due_at=? AND lane=? AND key<?)",
            DELIVERY,
            ENDPOINT,
        }
    ),
    # a tenant
    "TENANT_BEGIN": Plan(set()),
    "TENANTS_DELETING": Plan({DELETING}, (OF_THE_CALL,)),
    "TENANT_LOOK": Plan(
        {DELETING, OF_TENANT, GONE, ENDPOINT, IN_TENANT, "PRIMARY KEY (id>?)"}
        | {"INDEX recoveries_list (tenant=?)", "INDEX audit_log_list (tenant=?)"}
    ),
    "TENANT_ENDPOINTS_REMOVE": Plan({DELETING, OF_TENANT, ENDPOINT}),
    "TENANT_SUBSCRIPTIONS": Plan({DELETING, SUBSCRIPTION}),
    "TENANT_RECOVERIES": Plan({DELETING, RECOVERY, "INDEX recoveries_list (tenant=?)"}),
    "TENANT_ENDS_FROM": Plan({DELETING, "PRIMARY KEY (id>?)"}),
    "TENANT_TOKENS": Plan({DELETING, "PRIMARY KEY (id=?)", "PRIMARY KEY (id>?)"}),
    "TENANT_DELIVERIES": Plan({DELETING, GONE, DELIVERY, ENDPOINT}),
    "TENANT_ENDPOINTS": Plan({DELETING, GONE, ENDPOINT}),
    "TENANT_NOTICES": Plan({DELETING, "PRIMARY KEY (id=?)", "PRIMARY KEY (id>?)"}),
    "TENANT_NAMES": Plan({DELETING, NAME, IN_TENANT}),
    "TENANT_EVENTS": Plan({DELETING, OF_TENANT, GONE, EVENT, IN_TENANT}),
    "TENANT_AUDIT": Plan({DELETING, "PRIMARY KEY (id=?)", "INDEX audit_log_list (tenant=?)"}),
    "TENANT_HORIZONS": Plan({DELETING}),
    "TENANT_END": Plan({DELETING}),
    # sweep
    "SWEEP_REMOVED": Plan(WALK | {DELIVERY, ENDPOINT}, first_entries=1),
    "SWEEP_OLD_DELIVERIES": Plan(OLD | {EVENT}),
    "SWEEP_OLD_NAMES": Plan(OLD | {EVENT, NAME}),
    "SWEEP_OLD_EVENTS": Plan(OLD | {EVENT}),
    "SWEEP_REST": Plan(TENANTS | {EVENT_RANGE}),
    "SWEEP_TENANTS": Plan(TENANTS),
    "SWEEP_OLD_ENDPOINTS": Plan(
        {ENDPOINT, "INDEX endpoints_removed (updated_at<?)"}, first_entries=1
    ),
    "SWEEP_DUE_RESPONSES": Plan(PAYLOADS_DUE | {EVENT}),
    "SWEEP_DUE_PAYLOADS": Plan(PAYLOADS_DUE | {EVENT}),
    "SWEEP_HORIZONS": Plan(PAYLOADS_DUE - {DELIVERY}, (OF_A_PIECE,)),
    "SWEEP_HELD_REST": Plan({HELD}),
    "SWEEP_HELD_RESPONSES": Plan({HELD, DELIVERY, EVENT}),
    "SWEEP_HELD_PAYLOADS": Plan({HELD, DELIVERY, EVENT}),
}


def all_statements() -> Iterator[tuple[str, str]]:
    for module in (
        statements,
        ordering_statements,
        settle_statements,
        read_statements,
        recovery_statements,
        payload_statements,
        encryption,
        sweep_statements,
        tenant_statements,
    ):
        for name, text in vars(module).items():
            is_one = isinstance(text, str) and re.match(
                r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", text
            )
            if is_one and not name.startswith("_"):
                yield name, text


STATEMENTS = dict(all_statements())


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    for statement in build_webhook_schema_sql():
        connection.execute(statement)
    yield connection
    connection.close()


def explain(database: sqlite3.Connection, how: str, text: str) -> list[tuple[object, ...]]:
    places = max((int(n) for n in re.findall(r"\?(\d+)", text)), default=0)
    return database.execute(f"{how} {text}", [None] * places).fetchall()


def plan_of(database: sqlite3.Connection, name: str) -> list[str]:
    rows = explain(database, "EXPLAIN QUERY PLAN", STATEMENTS[name])
    return [str(row[3]).replace("COVERING INDEX", "INDEX") for row in rows]


def test_every_statement_has_its_plan_here() -> None:
    assert set(PLANS) == set(STATEMENTS)


@pytest.mark.parametrize("name", PLANS)
def test_rows_are_found_by_the_keys_and_indexes_that_are_meant(
    database: sqlite3.Connection, name: str
) -> None:
    found = {
        match.group(1)
        for line in plan_of(database, name)
        if (match := re.match(r"SEARCH \S+ USING (.*?)(?: LEFT-JOIN)?$", line))
    }
    assert found == PLANS[name].finds


@pytest.mark.parametrize("name", PLANS)
def test_nothing_is_sorted_but_what_has_a_bound(database: sqlite3.Connection, name: str) -> None:
    sorts = [line for line in plan_of(database, name) if "TEMP B-TREE" in line]
    assert len(sorts) == len(PLANS[name].sorts), sorts
    assert not [line for line in plan_of(database, name) if "AUTOMATIC" in line]


@pytest.mark.parametrize("name", PLANS)
def test_no_table_and_no_index_is_read_from_end_to_end(
    database: sqlite3.Connection, name: str
) -> None:
    """Look at the program itself: a scan goes to the first or last row of a cursor on a table.

    The plan cannot tell, since a subquery may be called like a table's alias.
    """
    tables: dict[object, str] = {}
    scans = []
    roots = dict(database.execute("SELECT rootpage, name FROM sqlite_master"))
    for _, opcode, p1, p2, *_ in explain(database, "EXPLAIN", STATEMENTS[name]):
        if opcode in {"OpenRead", "OpenWrite"} and p2 in roots:
            tables[p1] = roots[p2]
        elif opcode in {"OpenEphemeral", "OpenAutoindex", "OpenPseudo", "VOpen", "SorterOpen"}:
            tables.pop(p1, None)
        elif opcode in {"Rewind", "Last"} and p1 in tables:
            scans.append(f"{opcode} {tables[p1]}")
    assert len(scans) == PLANS[name].first_entries, scans


def test_the_check_notices_a_scan_and_a_sort(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = "SELECT d.key FROM deliveries AS d WHERE d.size > ?1 ORDER BY d.completed_at"
    monkeypatch.setitem(STATEMENTS, "BAD", bad)
    monkeypatch.setitem(PLANS, "BAD", Plan(set()))
    with pytest.raises(AssertionError, match="TEMP B-TREE"):
        test_nothing_is_sorted_but_what_has_a_bound(database, "BAD")
    with pytest.raises(AssertionError, match="Rewind deliveries"):
        test_no_table_and_no_index_is_read_from_end_to_end(database, "BAD")
