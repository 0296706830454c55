"""Governor limits of the org's triggers and flows: how many records one transaction may hold, learnt from what was refused.

Salesforce runs the triggers of a request for up to 200 records of an object in one transaction, and refuses all of these where a
trigger (often one of a package such as NPSP) needs more queries, rows or time than Salesforce allows. Fewer records need less.

Source: Apex Developer Guide, "Execution Governors and Limits"; SalesforceFoundation/NPSP issues 1268, 2095, 2381.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from connector.crm.salesforce.write.requests import RECORDS, Item, RecordBatch
from connector.model.outcome import Outcome, Reason, Rejected, Retry

TRIGGER = re.compile(r"\b(?:(\w+)\.)?([A-Za-z]\w*): (?:execution of|[\w.]*Exception\b)")
GROWTH = 10  # after a batch that met no limit one more for so many: a limit may have been one of a busy day
# Requests without a record that went through, after which the rest of the batch waits: halving 200 records down to the first takes
# eight steps, and five such requests may travel together.
FRUITLESS = 60
LOCKED_ALONE = (
    5  # records in a row that a trigger cannot lock: then the others wait too, and no more calls are spent on them
)


class TransactionSizes:
    """The most records of each object in one transaction, as long as the process lives."""

    def __init__(self) -> None:
        self._most: dict[str, int] = {}
        self._limited: set[str] = set()  # in this batch
        self._full: set[str] = set()  # the same: as many as may be have gone through

    def of(self, object_name: str) -> int:
        """How many records of an object."""
        return self._most.get(object_name, RECORDS)

    def refused(self, object_name: str, records: int) -> None:
        """So many were too many for a trigger."""
        self._limited.add(object_name)
        self._most[object_name] = max(1, min(self.of(object_name), records // 2))

    def taken(self, items: Iterable[Item]) -> None:
        """These have gone through together."""
        if not self._most:
            return
        for name, records in Counter(item.object for item in items).items():
            if name in self._most and records >= self._most[name]:
                self._most[name] = records
                self._full.add(name)

    def end(self) -> None:
        """A batch has ended: where it met no limit, a little more goes together in the next one."""
        for name in self._full - self._limited:
            self._most[name] += max(1, self._most[name] // GROWTH)
            if self._most[name] >= RECORDS:
                del self._most[name]
        self._limited, self._full = set(), set()

    def fit(self, record_batches: Sequence[RecordBatch]) -> Sequence[RecordBatch]:
        """The parcels, in pieces where they hold more than one transaction may."""
        if not self._most:
            return record_batches
        return [piece for record_batch in record_batches for piece in self._pieces(record_batch)]

    def _pieces(self, record_batch: RecordBatch) -> list[RecordBatch]:
        pieces: list[list[Item]] = [[]]
        held: Counter[str] = Counter()
        for item in record_batch.items:
            if held[item.object] == self.of(item.object):
                pieces.append([])
                held.clear()
            held[item.object] += 1
            pieces[-1].append(item)
        return [record_batch] if len(pieces) == 1 else [RecordBatch(piece) for piece in pieces]


def too_many(outcome: Outcome) -> bool:
    """Whether a record was refused for what others travelled with it: a limit of a trigger, or a lock that a trigger met."""
    if not isinstance(outcome, Retry):
        return False
    return outcome.reason is Reason.TRIGGER_LIMIT or (
        outcome.reason is Reason.ROW_LOCKED and outcome.code not in {"", "UNABLE_TO_LOCK_ROW", *OF_THE_RECORD}
    )


# Locks of the record itself, whoever travels with it.
OF_THE_RECORD = frozenset({"ENTITY_IS_LOCKED", "RECORD_IN_USE_BY_WORKFLOW", "ALREADY_IN_PROCESS", "COLLISION_DETECTED"})


def alone(outcome: Outcome) -> Outcome:
    """The outcome of a record that was alone in its request: its trigger takes not even this one, and no waiting helps."""
    if not isinstance(outcome, Retry) or outcome.reason is not Reason.TRIGGER_LIMIT:
        return outcome
    return Rejected(reason=outcome.reason, detail=f"{_to_blame(outcome.detail)}: {outcome.detail}", code=outcome.code)


def _to_blame(detail: str) -> str:
    named = TRIGGER.search(detail.partition(": ")[2])
    if named is None:
        return "a trigger or flow of the org meets a limit with this record alone"
    package, name = named.groups()
    whose = f"of the package {package}" if package and package != "System" else "of the org"
    return f"{name} {whose} meets a limit with this record alone"


def divided(items: Sequence[tuple[Item, Retry]], sizes: TransactionSizes) -> list[RecordBatch]:
    """These records of one request once more, in halves; what has no half goes alone."""
    by_object: dict[str, list[Item]] = {}
    for item, _ in items:
        by_object.setdefault(item.object, []).append(item)
    limited = {item.object for item, outcome in items if outcome.reason is Reason.TRIGGER_LIMIT}
    pieces: list[RecordBatch] = []
    for name, some in by_object.items():
        if name in limited:
            sizes.refused(name, len(some))
        if len(some) == 1:
            pieces.append(RecordBatch([replace(some[0], alone=True)]))
        else:
            middle = (len(some) + 1) // 2
            pieces += [RecordBatch(some[:middle]), RecordBatch(some[middle:])]
    return pieces
