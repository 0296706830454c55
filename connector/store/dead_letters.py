"""Dead letters: what could not be delivered or planned, until a person retries it.

Those with the reason needs_person are parked: nothing failed, but a person must decide first.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.model.consent import Phase
from connector.model.operation import Operation, Repeat
from connector.model.outcome import Reason
from connector.model.states import EventState
from connector.store import consents
from connector.store.documents import operations_from_json
from connector.store.lanes import enqueue
from connector.store.replan import mark_for_planning
from connector.store.settle import event_states, move_events
from connector.store.sql import as_list, micros, moment, read_rows
from connector.store.writer import Writer

DISCARDED = "discarded by a person"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One dead letter; it has no unit if the event could not be planned. People name it by its event."""

    event_id: int
    event_key: str
    provider: str
    received_at: datetime
    unit_id: int | None
    sink: str | None
    reason: Reason
    detail: str | None
    attempts: int
    in_doubt: bool
    operations: tuple[Operation, ...]  # all of the unit, including those delivered
    code: str = ""  # the sink's own code; empty if it has none


LETTERS = """SELECT inbox.id, inbox.key, inbox.provider, inbox.received_at, units.id, units.sink, units.reason, units.detail,
    units.attempts, units.in_doubt, units.operations,
    coalesce((SELECT code FROM causes WHERE causes.unit_id = units.id), '') FROM units CROSS JOIN inbox ON inbox.id = units.event_id
    WHERE units.state = 'dead' AND units.replan = 0"""
UNPLANNED = """SELECT id, key, provider, received_at, NULL, NULL, reason, detail, 0, 0, '[]', '' FROM inbox
    WHERE state = 'dead' AND NOT EXISTS (SELECT 1 FROM units WHERE units.event_id = inbox.id)"""
PARKED = "units.reason = 'needs_person'"
PARKED_UNPLANNED = "inbox.reason = 'needs_person'"
NO_QUESTION = "inbox.verdict <> 'maybe_stop'"  # those are answered instead: see stop_answers.py
# The conditions that select dead letters; a parameter that is NULL selects all.
CHOSEN = (
    "(:ids IS NULL OR {event} IN (SELECT value FROM json_each(:ids))) AND (:reason IS NULL OR {reason} = :reason) "
    "AND (:sink IS NULL OR {sink} = :sink) AND (:code IS NULL OR {code} = :code) "
    # A rule is named in full, or by its file only.
    "AND (:rule IS NULL OR {rule} = :rule OR substr({rule}, 1, length(:rule) + 2) = :rule || ': ')"
)
CAUSE = "coalesce((SELECT {} FROM causes WHERE causes.unit_id = units.id), '')"
CHOSEN_UNITS = CHOSEN.format(
    event="units.event_id",
    reason="units.reason",
    sink="units.sink",
    rule=CAUSE.format("rule"),
    code=CAUSE.format("code"),
)
# What could not be planned has no sink, and its detail begins with the rule.
CHOSEN_EVENTS = CHOSEN.format(
    event="inbox.id", reason="inbox.reason", sink="''", rule="coalesce(inbox.detail, '')", code="''"
)
CAUSES = """SELECT units.sink, units.reason, coalesce(causes.rule, ''), coalesce(causes.code, ''), count(*), min(units.event_id)
    FROM units INDEXED BY units_dead LEFT JOIN causes ON causes.unit_id = units.id
    WHERE units.state = 'dead' AND units.replan = 0 AND units.reason <> 'needs_person' GROUP BY 1, 2, 3, 4"""
CAUSES_UNPLANNED = """SELECT '', reason, coalesce(detail, ''), '', count(*), min(id) FROM inbox WHERE state = 'dead'
    AND reason <> 'needs_person' AND NOT EXISTS (SELECT 1 FROM units WHERE units.event_id = inbox.id) GROUP BY 2, 3"""
UNITS = f"""SELECT json_group_array(json_array(id, event_id, sink, lane, urgent)) FROM units INDEXED BY units_dead
    WHERE state = 'dead' AND replan = 0 AND (reason = 'needs_person') = :parked AND {CHOSEN_UNITS}"""  # noqa: S608 - constants of this file.
MAKE_READY = """UPDATE units SET state = 'waiting', open = 1, late = 1, attempts = 0, reason = NULL, detail = NULL,
    started_at = NULL, due_at = NULL, first_try_at = NULL, settled_at = NULL
    WHERE id IN (SELECT value FROM json_each(?))"""
# Of these units: those that other mappings planned, with what must perhaps never be repeated of them.
PLANNED_OTHERWISE = """SELECT units.id, units.event_id, CASE WHEN units.in_doubt THEN units.operations END
    FROM units JOIN inbox ON inbox.id = units.event_id
    WHERE units.id IN (SELECT value FROM json_each(?)) AND (inbox.mapping IS NOT ? OR units.unmade IS NOT NULL)
    AND inbox.event IS NOT NULL"""
# Chosen events that could not be planned, and are not parked.
UNPLANNED_CHOSEN = f"""state = 'dead' AND NOT {PARKED_UNPLANNED}
    AND NOT EXISTS (SELECT 1 FROM units WHERE units.event_id = inbox.id) AND {CHOSEN_EVENTS}"""  # noqa: S608 - constants of this file.
# What is planned again writes its own notes.
FORGET_NOTES = f"DELETE FROM notes WHERE event_id IN (SELECT id FROM inbox WHERE {UNPLANNED_CHOSEN})"  # noqa: S608 - constants of this file.
DISCARD_UNPLANNED = f"""UPDATE inbox SET state = 'ignored', reason = NULL, detail = :why WHERE state = 'dead'
    AND ({PARKED_UNPLANNED}) = :parked AND {NO_QUESTION} AND NOT EXISTS (SELECT 1 FROM units WHERE units.event_id = inbox.id)
    AND (:ids IS NULL OR id IN (SELECT value FROM json_each(:ids))) RETURNING id"""  # noqa: S608 - constants of this file.
# What a person has released belongs to no poll any more, so that it is not parked again because of its poll's size.
REPLAN_PARKED = f"""UPDATE inbox SET state = 'pending', reason = NULL, detail = NULL,
    event = json_remove(event, '$.batch') WHERE state = 'dead' AND {PARKED_UNPLANNED}
    AND {NO_QUESTION} AND NOT EXISTS (SELECT 1 FROM units WHERE units.event_id = inbox.id)
    AND (:ids IS NULL OR id IN (SELECT value FROM json_each(:ids)))"""  # noqa: S608 - constants of this file.
# Of these units: those of people for whom a later change, which is planned now, takes an opt-out back.
TAKEN_BACK_SINCE = """SELECT units.id, units.event_id FROM json_each(?) AS each CROSS JOIN units ON units.id = each.value
    CROSS JOIN inbox AS mine ON mine.id = units.event_id
    WHERE mine.event IS NOT NULL AND EXISTS (SELECT 1 FROM inbox AS later INDEXED BY inbox_phone
        WHERE later.msisdn = mine.msisdn AND later.id > mine.id AND later.state = 'pending' AND later.verdict = 'opt_in')"""
OF_NO_POLL = "UPDATE inbox SET event = json_remove(event, '$.batch') WHERE id IN (SELECT value FROM json_each(?))"
DISCARD_UNREADABLE = """UPDATE inbox SET state = 'ignored', detail = :why WHERE state = 'unreadable'
    AND id IN (SELECT value FROM json_each(:ids))"""
DISCARD = "UPDATE units SET state = 'discarded', in_doubt = 0 WHERE id IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Dead letters that failed for one cause. Without a sink they could not be planned, and `rule` is the whole detail."""

    sink: str
    reason: Reason
    rule: str  # file: rule; empty if unknown
    code: str  # the sink's own code; empty if it has none
    count: int
    first: int  # the oldest event


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """How many dead letters a retry concerned."""

    as_planned: int  # sent as they were planned
    planned_again: int  # by the mappings in use
    may_be_done: tuple[int, ...]  # events left as they are: what was tried may have been done, and must not be repeated

    @property
    def count(self) -> int:
        """How many dead letters are retried."""
        return self.as_planned + self.planned_again


class DeadLetters:
    """Reads and changes dead letters."""

    def __init__(self, writer: Writer, reader: sqlite3.Connection) -> None:
        self._writer = writer
        self._reader = reader

    def listing(self, reason: Reason | None = None, *, limit: int = 100, parked: bool = False) -> list[DeadLetter]:
        """Dead letters, oldest first: those that failed, or with `parked` those that wait for a person's decision.

        Texts that may be a stop wait for an answer, and are listed by stop_answers.py.
        """
        # Written out, so that SQLite sees that the index by reason fits.
        is_parked = "=" if parked else "<>"
        queries = [
            f"{LETTERS} AND units.reason {is_parked} 'needs_person' AND (:reason IS NULL OR units.reason = :reason)",
            (
                f"{UNPLANNED} AND inbox.reason {is_parked} 'needs_person' AND (NOT :parked OR {NO_QUESTION}) "
                "AND (:reason IS NULL OR reason = :reason)"
            ),
        ]
        rows = self._reader.execute(
            f"SELECT * FROM ({' UNION ALL '.join(queries)}) ORDER BY 1, 5 LIMIT :limit",  # noqa: S608 - constants of this file.
            {"parked": parked, "reason": reason, "limit": limit},
        ).fetchall()
        return [_dead_letter(row) for row in rows]

    def of_event(self, event: int | str) -> list[DeadLetter]:
        """The dead letters of one event, by its id or key, including parked ones."""
        name = "id" if isinstance(event, int) else "key"
        rows = self._reader.execute(
            f"{LETTERS} AND inbox.{name} = :event UNION ALL {UNPLANNED} AND {name} = :event", {"event": event}
        ).fetchall()
        return [_dead_letter(row) for row in rows]

    def parked_of(self, e164: str) -> list[DeadLetter]:
        """What waits for a person's decision of one number, oldest first; texts that may be a stop are not among it."""
        rows = self._reader.execute(
            f"{LETTERS} AND {PARKED} AND inbox.msisdn = :phone UNION ALL "
            f"{UNPLANNED} AND {PARKED_UNPLANNED} AND {NO_QUESTION} AND msisdn = :phone ORDER BY 1, 5",
            {"phone": e164},
        ).fetchall()
        return [_dead_letter(row) for row in rows]

    def counts_by_reason(self) -> dict[Reason, int]:
        """How many dead letters there are for each reason, needs_person included."""
        rows = self._reader.execute(
            "SELECT reason, sum(n) FROM (SELECT reason, count(*) AS n FROM units INDEXED BY units_dead "  # noqa: S608 - constants of this file.
            "WHERE state = 'dead' AND replan = 0 GROUP BY reason "
            f"UNION ALL SELECT reason, count(*) FROM ({UNPLANNED}) GROUP BY reason) GROUP BY reason"
        ).fetchall()
        return {Reason(reason): n for reason, n in rows}

    def causes(self) -> list[Cause]:
        """Failures grouped by cause, the most frequent first. Parked dead letters are not failures."""
        rows = self._reader.execute(f"{CAUSES} UNION ALL {CAUSES_UNPLANNED}").fetchall()
        found = [
            Cause(sink=sink, reason=Reason(reason), rule=rule, code=code, count=count, first=first)
            for sink, reason, rule, code, count, first in rows
        ]
        return sorted(found, key=lambda one: (-one.count, one.first))

    async def retry(
        self,
        event_ids: Sequence[int] | None = None,
        *,
        reason: Reason | None = None,
        sink: str | None = None,
        rule: str | None = None,
        code: str | None = None,
        mapping: str | None = None,
        now: datetime,
    ) -> Retried:
        """Retry dead letters, in their order by age: those that meet all conditions, or all that are not parked.

        `rule` may be a file. An event without a unit is planned again. With `mapping` (the version of the mappings in
        use) so is what other mappings planned, and that of which a part could not be planned.
        """
        chosen = {**_conditions(event_ids, reason), "sink": sink, "rule": rule, "code": code}

        def work(connection: sqlite3.Connection) -> Retried:
            units = read_rows(connection, UNITS, {**chosen, "parked": 0})
            again, doubtful = _planned_otherwise(connection, units, mapping)
            left = again.keys() | doubtful.keys()
            _make_ready(connection, [unit for unit in units if unit[0] not in left], now)
            if again:
                mark_for_planning(connection, sorted(set(again.values())), sorted(again))
            connection.execute(FORGET_NOTES, chosen)
            replanned = connection.execute(
                f"UPDATE inbox SET state = 'pending', reason = NULL, detail = NULL WHERE {UNPLANNED_CHOSEN} RETURNING id",  # noqa: S608
                chosen,
            ).fetchall()
            consents.delete_obligations(connection, [event_id for (event_id,) in replanned])
            return Retried(
                as_planned=len(units) - len(left),
                planned_again=len(again) + len(replanned),
                may_be_done=tuple(sorted(set(doubtful.values()))),
            )

        return await self._writer.run(work)

    def sinks_to_retry(
        self,
        event_ids: Sequence[int] | None = None,
        *,
        reason: Reason | None = None,
        sink: str | None = None,
        rule: str | None = None,
        code: str | None = None,
    ) -> dict[int, frozenset[str]]:
        """The events whose dead letters retry() would change, each with its sinks; none for what could not be planned."""
        chosen = {**_conditions(event_ids, reason), "sink": sink, "rule": rule, "code": code}
        found: dict[int, frozenset[str]] = {}
        for unit in read_rows(self._reader, UNITS, {**chosen, "parked": 0}):
            found[unit[1]] = found.get(unit[1], frozenset()) | {unit[2]}
        unplanned = self._reader.execute(f"SELECT id FROM inbox WHERE {UNPLANNED_CHOSEN}", chosen)  # noqa: S608 - the same.
        return found | {event_id: frozenset() for (event_id,) in unplanned}

    async def release(self, event_ids: Sequence[int] | None = None, *, now: datetime) -> int:
        """Send what is parked: of these events, or all. What could not be planned is planned again.

        So is an opt-out that a later change takes back: both are decided before anything is sent. Returns how many dead
        letters there were.
        """
        chosen = {**_conditions(event_ids, None), "parked": 1}

        def work(connection: sqlite3.Connection) -> int:
            replanned = connection.execute(REPLAN_PARKED, {"ids": chosen["ids"]}).rowcount
            units = read_rows(connection, UNITS, chosen)
            again = dict(connection.execute(TAKEN_BACK_SINCE, (as_list([unit[0] for unit in units]),)).fetchall())
            if again:
                events = sorted(set(again.values()))
                connection.execute(OF_NO_POLL, (as_list(events),))
                mark_for_planning(connection, events, sorted(again))
            _make_ready(connection, [unit for unit in units if unit[0] not in again], now)
            return replanned + len(units)

        return await self._writer.run(work)

    async def discard(self, event_ids: Sequence[int] | None = None, *, now: datetime) -> int:
        """Discard what is parked: of these events, or all. The ledger records a failure, and no obligation stays open.

        Returns how many dead letters there were, including those that had nothing to send yet.
        """
        chosen = {**_conditions(event_ids, None), "parked": 1}
        return await self._writer.run(lambda connection: _discard(connection, chosen, now))

    async def give_up(self, event_ids: Sequence[int], *, now: datetime) -> int:
        """Discard what failed of these events, because a person has fixed it otherwise. The ledger records a failure.

        So is what could not be read. Parked dead letters are not changed. Returns how many dead letters there were.
        """
        chosen = {**_conditions(event_ids, None), "parked": 0}
        unread = {"ids": chosen["ids"], "why": DISCARDED}

        def work(connection: sqlite3.Connection) -> int:
            return connection.execute(DISCARD_UNREADABLE, unread).rowcount + _discard(connection, chosen, now)

        return await self._writer.run(work)


def _conditions(event_ids: Sequence[int] | None, reason: Reason | None) -> dict[str, Any]:
    return {
        "ids": None if event_ids is None else as_list(list(event_ids)),
        "reason": reason.value if reason else None,
        "sink": None,
        "rule": None,
        "code": None,
    }


def _planned_otherwise(
    connection: sqlite3.Connection, units: Sequence[Any], mapping: str | None
) -> tuple[dict[int, int], dict[int, int]]:
    """The units that other mappings planned, each with its event: those to plan again, and those that may be done."""
    again: dict[int, int] = {}
    doubtful: dict[int, int] = {}
    if units and mapping is not None:
        ids = as_list([unit[0] for unit in units])
        for unit_id, event_id, in_doubt in connection.execute(PLANNED_OTHERWISE, (ids, mapping)):
            never = in_doubt and any(one.repeat is Repeat.NEVER for one in operations_from_json(in_doubt))
            (doubtful if never else again)[unit_id] = event_id
    return again, doubtful


def _make_ready(connection: sqlite3.Connection, units: Sequence[Any], now: datetime) -> None:
    if units:
        ids = [unit[0] for unit in units]
        connection.execute(MAKE_READY, (as_list(ids),))
        enqueue(connection, ids, {(unit[2], unit[3]) for unit in units}, now, urgent=any(unit[4] for unit in units))
        move_events(connection, event_states(connection, {unit[1] for unit in units}))


def _discard(connection: sqlite3.Connection, chosen: dict[str, Any], now: datetime) -> int:
    unplanned = connection.execute(
        DISCARD_UNPLANNED, {"ids": chosen["ids"], "parked": chosen["parked"], "why": DISCARDED}
    ).fetchall()
    consents.close_all_obligations(connection, [event_id for (event_id,) in unplanned], now)
    units = read_rows(connection, UNITS, chosen)
    if not units:
        return len(unplanned)
    connection.execute(DISCARD, (as_list([unit[0] for unit in units]),))
    changes = event_states(connection, {unit[1] for unit in units})
    move_events(
        connection,
        {
            event_id: (state, reason, DISCARDED if state is EventState.IGNORED else detail)
            for event_id, (state, reason, detail) in changes.items()
        },
    )
    at = micros(now)
    consents.append_answers(connection, [(unit[1], unit[2], Phase.FAILED.value, DISCARDED, at) for unit in units])
    consents.close_obligations(connection, [(unit[1], unit[2], at) for unit in units])
    return len(unplanned) + len(units)


def _dead_letter(row: tuple[Any, ...]) -> DeadLetter:
    event_id, key, provider, received_at, unit_id, sink, reason, detail, attempts, in_doubt, operations, code = row
    return DeadLetter(
        event_id=event_id,
        event_key=key,
        provider=provider,
        received_at=moment(received_at),
        unit_id=unit_id,
        sink=sink,
        reason=Reason(reason),
        detail=detail,
        attempts=attempts,
        in_doubt=bool(in_doubt),
        operations=operations_from_json(operations),
        code=code,
    )
