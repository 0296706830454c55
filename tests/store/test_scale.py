"""The cost of claiming does not depend on the backlog: checked by query plans and SQLite's step counts."""

from datetime import UTC, datetime, timedelta

import pytest

from connector.model.outcome import Reason
from connector.model.states import UnitState
from connector.store import (
    dead_letters,
    enrichment_queue,
    inbox,
    lanes,
    outbox,
    overview,
    plans,
    settle,
    suspended_rules,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CRM = "salesforce"
BLOCKED = 10_000  # units that wait: a statement that looks at them takes as many steps, a claim takes hundreds
PARAMETERS = {
    "sink": CRM, "now": 1, "limit": 10, "each": 2, "lanes": "[]", "ids": "[]", "start": "s", "provider": "p", "least": 0,
}  # fmt: skip
NAMED = {
    "wake": outbox.WAKE,
    "heads": outbox.LANE_HEADS,
    "ready": overview.READY,
    "urgent due": overview.URGENT_DUE,
    "behind": outbox.NEXT_IN_LANES,
    "bound": outbox.SENT_TOGETHER,
    "take": outbox.TAKE,
    "doubtful": outbox.DOUBTFUL,
    "next due": outbox.NEXT_DUE,
    "demote": lanes.DEMOTE,
    "promote": lanes.PROMOTE,
    "occupied": lanes.OCCUPIED,
    "late": lanes.MARK_LATE,
    "overtaken": lanes.MARK_OVERTAKEN,
    "overtake": lanes.OVERTAKE,
    "due questions": enrichment_queue.DUE,
}
PLACED = {
    "held": (outbox.CLAIMED_UNITS, 1),
    "newer": (outbox.NEWER, 3),
    "claimed": (settle.CLAIMED, 1),
    "units of events": (settle.UNITS_OF, 1),
    "settle": (settle.SETTLE.replace("{rows}", "(" + ",".join("?" * 13) + ")"), 13),
    "move by unit": (settle.MOVE.replace("{rows}", "(?,?,?,?)"), 4),
    "move by plan": (plans.MOVE.replace("{rows}", "(?,?,?,?,?)"), 5),
    "events": (plans.EVENTS, 1),
    "pending": (f"SELECT {inbox.STORED} FROM inbox {inbox.PENDING}", 1),
    "urgent": (f"SELECT {inbox.STORED} FROM inbox {inbox.URGENT}", 1),
    "pending of": (f"SELECT {inbox.STORED} FROM inbox {inbox.PENDING_OF}", 1),
    "oldest pending": (f"SELECT received_at FROM inbox WHERE {inbox.PLANNABLE} ORDER BY id LIMIT 1", 0),
    "hinted": (enrichment_queue.HINTED, 1),
    "of phone": (f"SELECT {inbox.STORED} FROM inbox WHERE msisdn = ? ORDER BY id", 1),
    "make ready": (dead_letters.MAKE_READY, 1),
    "held by suspended rules": (suspended_rules.HELD, 1),
}
# Walks that are meant: over the parameters, over what a subquery has found, and over an index of nothing but what is looked for.
MEANT = (
    "VIRTUAL TABLE",
    "CONSTANT ROW",
    "SCAN (subquery",
    "USING INDEX inbox_pending",
    "USING INDEX inbox_urgent",
    "USING INDEX units_suspended",
)
FOUND = {"SCAN lane", "SCAN doubt", "SCAN new", "SCAN plan", "SCAN opt_out", "SCAN question"}


async def plan_of(scene, query, parameters):
    rows = await scene.store.writer.run(
        lambda connection: connection.execute(f"EXPLAIN QUERY PLAN {query}", parameters).fetchall()
    )
    return [row[3] for row in rows]


@pytest.mark.parametrize("name", NAMED)
async def test_no_statement_of_the_queue_scans_a_table(scene, name):
    query = NAMED[name]
    wanted = {key: value for key, value in PARAMETERS.items() if f":{key}" in query}
    steps = await plan_of(scene, query, wanted)
    assert not [step for step in steps if walks(step)], steps


@pytest.mark.parametrize("name", PLACED)
async def test_no_statement_of_the_pipeline_scans_a_table(scene, name):
    query, places = PLACED[name]
    steps = await plan_of(scene, query, ("[]",) * places)
    assert not [step for step in steps if walks(step)], steps


def walks(step):
    return step.startswith("SCAN") and not any(word in step for word in MEANT) and step not in FOUND


async def test_a_claim_takes_as_many_steps_with_very_many_waiting_units(scene):
    steps = 0

    def step():
        nonlocal steps
        steps += 1

    async def cost(name):
        nonlocal steps
        await scene.unit(name, lane="+4790000900")
        scene.store.writer._connection.set_progress_handler(step, 1)
        steps = 0
        (unit,) = await scene.claim(1)
        scene.store.writer._connection.set_progress_handler(None, 0)
        await scene.settle(unit)
        return steps

    before = await cost("before")
    await scene.unit("blocker", lane="+4790000001")
    (blocker,) = await scene.claim(1)
    await scene.settle(blocker, UnitState.RESTING, reason=Reason.TIMEOUT, delay=timedelta(days=1))
    await scene.rows(
        f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {BLOCKED}) "
        "INSERT INTO inbox (id, key, provider, shape, verdict, received_at, state) "
        "SELECT 1000 + i, 'w' || i, 'strex', 'message', 'none', 0, 'delivering' FROM n"
    )
    await scene.rows(
        "INSERT INTO units (event_id, sink, lane, state, open, urgent, alone, operations, size) "
        f"SELECT id, '{CRM}', '+4790000001', 'waiting', 1, 0, 1, '[]', 1 FROM inbox WHERE id > 1000"
    )
    await scene.rows(f"UPDATE event_totals SET n = n + {BLOCKED} WHERE state IN ('received', 'delivering')")
    assert scene.unit_states()[UnitState.WAITING] == BLOCKED
    after = await cost("after")
    assert 0 < after < 1.5 * before, (before, after)
