"""Governor limits of the org's triggers and flows: learns from rejections how many records fit in one transaction.

Salesforce runs the triggers of a request for up to 200 records of an object in one transaction. It rejects all of them
if a trigger (often of a package such as NPSP) needs more queries, rows or time than allowed. Fewer records need less.

Source: Apex Developer Guide, "Execution Governors and Limits"; SalesforceFoundation/NPSP issues 1268, 2095, 2381.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from connector.crm.salesforce.write.requests import RECORDS, Item, RecordBatch
from connector.model.outcome import Outcome, Reason, Rejected, Retry

TRIGGER = re.compile(r"\b(?:(\w+)\.)?([A-Za-z]\w*): (?:execution of|[\w.]*Exception\b)")
GROWTH = 10  # a batch that met no limit adds one tenth, at least one record: the limit may have been temporary
# Requests without a delivered record, after which the rest of the batch waits. Bisecting 200 records to the first one
# takes eight steps, and five such requests may be sent together.
MAX_REQUESTS_WITHOUT_DELIVERY = 60
MAX_SINGLE_LOCKS = 5  # consecutive records that a trigger cannot lock; then the others wait too, to save API calls


class TransactionSizes:
    """The maximum number of records per transaction and object, since the process started."""

    def __init__(self) -> None:
        self.limits: dict[str, int] = {}  # by object; objects that met no limit are not in it
        self._refused_now: set[str] = set()  # in this batch
        self._at_limit: set[str] = set()  # the same: the maximum number was delivered

    def max_records(self, object_name: str) -> int:
        """The maximum number of records of an object."""
        return self.limits.get(object_name, RECORDS)

    def note_refused(self, object_name: str, records: int) -> None:
        """Record that this number was too many for a trigger."""
        self._refused_now.add(object_name)
        self.limits[object_name] = max(1, min(self.max_records(object_name), records // 2))

    def note_delivered(self, items: Iterable[Item]) -> None:
        """Record that these were delivered together."""
        for name, records in Counter(item.object for item in items).items():
            if name in self.limits and records >= self.limits[name]:
                self.limits[name] = records
                self._at_limit.add(name)

    def end(self) -> None:
        """End a batch: if it met no limit, the next one may have slightly larger transactions."""
        for name in self._at_limit - self._refused_now:
            self.limits[name] += max(1, self.limits[name] // GROWTH)
            if self.limits[name] >= RECORDS:
                del self.limits[name]
        self._refused_now, self._at_limit = set(), set()

    def fit(self, record_batches: Sequence[RecordBatch]) -> Sequence[RecordBatch]:
        """The record batches, split to the size of a transaction."""
        return [piece for record_batch in record_batches for piece in self._pieces(record_batch)]

    def _pieces(self, record_batch: RecordBatch) -> list[RecordBatch]:
        pieces: list[list[Item]] = [[]]
        counts: Counter[str] = Counter()
        for item in record_batch.items:
            if counts[item.object] == self.max_records(item.object):
                pieces.append([])
                counts.clear()
            counts[item.object] += 1
            pieces[-1].append(item)
        return [record_batch] if len(pieces) == 1 else [RecordBatch(piece) for piece in pieces]


def is_for_request_size(outcome: Outcome) -> bool:
    """Whether a record was rejected because of others in its request: a trigger limit, or a lock met by a trigger."""
    if not isinstance(outcome, Retry):
        return False
    return outcome.reason is Reason.TRIGGER_LIMIT or (
        outcome.reason is Reason.ROW_LOCKED and outcome.code not in {"", "UNABLE_TO_LOCK_ROW", *RECORD_LOCKS}
    )


# Locks of the record itself: the other records of its request do not matter.
RECORD_LOCKS = frozenset({"ENTITY_IS_LOCKED", "RECORD_IN_USE_BY_WORKFLOW", "ALREADY_IN_PROCESS", "COLLISION_DETECTED"})


def outcome_when_alone(outcome: Outcome) -> Outcome:
    """The outcome of a record that was alone in its request: its trigger fails even then, and waiting does not help."""
    if not isinstance(outcome, Retry) or outcome.reason is not Reason.TRIGGER_LIMIT:
        return outcome
    return Rejected(
        reason=outcome.reason, detail=f"{_limited_trigger(outcome.detail)}: {outcome.detail}", code=outcome.code
    )


def _limited_trigger(detail: str) -> str:
    named = TRIGGER.search(detail.partition(": ")[2])
    if named is None:
        return "a trigger or flow of the org meets a limit with this record alone"
    package, name = named.groups()
    whose = f"of the package {package}" if package and package != "System" else "of the org"
    return f"{name} {whose} meets a limit with this record alone"


def halve(items: Sequence[tuple[Item, Retry]], sizes: TransactionSizes) -> list[RecordBatch]:
    """The items of one request again, in halves. A single item is sent alone."""
    by_object: dict[str, list[Item]] = {}
    for item, _ in items:
        by_object.setdefault(item.object, []).append(item)
    limited = {item.object for item, outcome in items if outcome.reason is Reason.TRIGGER_LIMIT}
    pieces: list[RecordBatch] = []
    for name, some in by_object.items():
        if name in limited:
            sizes.note_refused(name, len(some))
        if len(some) == 1:
            pieces.append(RecordBatch([replace(some[0], alone=True)]))
        else:
            middle = (len(some) + 1) // 2
            pieces += [RecordBatch(some[:middle]), RecordBatch(some[middle:])]
    return pieces
