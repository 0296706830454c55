"""Writes in doubt that clear an opt-out flag: they may have been done, and a person may have set the flag since.

The record then looks as it did before the write. So the feed reads it before the write is sent again, and an opt-out
counts if somebody else has changed the record since the write was first tried.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from connector.consent.changes import is_opted_out, keys_of_write, possible_keys
from connector.mapping.compile.ruleset import FeedPlan
from connector.model.consent_fields import ConsentFields
from connector.model.operation import RecordWrite
from connector.model.record_number import NumberReader
from connector.model.states import UnitState
from connector.pipeline.runtime import Runtime
from connector.ports import Feed, Row
from connector.store.feeds import Seen
from connector.store.sql import moment
from connector.store.store import Store
from connector.store.units import Settlement, Unit

# How far the CRM's clock may differ from ours. A longer time would take older edits for new ones.
CLOCKS = timedelta(minutes=1)
READING = "it may have been done already: the record is read before it is sent again"
READ_AGAIN = timedelta(seconds=2)  # until a unit is claimed again whose records the feed has not read yet


def with_cleared_flags(
    shadows: Mapping[str, Mapping[str, Any]],
    rows: Iterable[Row],
    seen: Seen,
    feed: Feed,
    consent: ConsentFields | None,
    numbers: NumberReader,
) -> Mapping[str, Mapping[str, Any]]:
    """The shadows, with the cleared flag for records that somebody else has changed since a write in doubt cleared it."""
    if consent is None or not seen.clearing_in_doubt:
        return shadows
    cleared: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if row.by_us is not False or row.record_id not in shadows or not is_opted_out(row.fields, consent):
            continue
        read_at = moment(seen.records[row.record_id].seen_at)
        for write, tried_at in seen.clearing_in_doubt:
            keys = possible_keys(row, feed, consent, numbers, write.match.fields if write.match else ())
            if row.stamp > max(tried_at, read_at) - CLOCKS and not keys_of_write(write, feed.traits).isdisjoint(keys):
                cleared[row.record_id] = {**shadows[row.record_id], consent.flag: write.set.get(consent.flag)}
    return {**shadows, **cleared}


class ReadFirst:
    """Holds back units in doubt that clear a flag until the feed has read their records."""

    def __init__(
        self, store: Store, runtime: Runtime, feeds: Callable[[], Mapping[str, Mapping[str, FeedPlan]]]
    ) -> None:
        """`feeds` returns the feeds that are followed, by CRM and object."""
        self._store = store
        self._runtime = runtime
        self._feeds = feeds
        self._asked: set[int] = set()  # units for which the feed was asked to read

    async def hold(self, units: Sequence[Unit]) -> list[Unit]:
        """Put back the units that must wait, with the others of their lanes, and return the rest."""
        doubtful = [unit for unit in units if unit.in_doubt and _clearing(unit)]
        waiting = {unit.lane for unit in doubtful if await self._waits(unit)}
        if not waiting:
            return list(units)
        held = [
            Settlement(unit_id=unit.id, state=UnitState.RESTING, detail=READING, delay=READ_AGAIN, counts_attempt=False)
            for unit in units
            if unit.lane in waiting
        ]
        await self._store.outbox.settle(held, now=self._runtime.now())
        return [unit for unit in units if unit.lane not in waiting]

    async def _waits(self, unit: Unit) -> bool:
        places = self._records(unit)
        if unit.id not in self._asked:
            self._asked.add(unit.id)
            for (crm, name), record_ids in places.items():
                await self._store.change_notices.add(crm, name, record_ids)
                self._runtime.wake(f"{crm}.{name}")
            return bool(places)
        if any(self._store.change_notices.has(crm, name, ids) for (crm, name), ids in places.items()):
            return True
        self._asked.discard(unit.id)
        return False

    def _records(self, unit: Unit) -> dict[tuple[str, str], list[str]]:
        """The records whose flag the unit clears, as far as they are known and a feed reads them, by CRM and object."""
        found: dict[tuple[str, str], list[str]] = {}
        for write in _clearing(unit):
            if write.object not in self._feeds().get(write.sink, {}):
                continue
            ids = [*self._store.records.ids_by_key(write.sink, write.object, write.key_field, [write.key]).values()]
            if write.match is not None:
                matched = self._store.records.with_phone(write.sink, write.object, write.match.phone.e164)
                ids += [record_id for record_id, opted_out in matched if opted_out]
            if ids:
                found.setdefault((write.sink, write.object), []).extend(dict.fromkeys(ids))
        return found


def _clearing(unit: Unit) -> list[RecordWrite]:
    """The writes of a unit that clear a flag."""
    return [one for one in unit.operations if isinstance(one, RecordWrite) and one.clears_flag]
