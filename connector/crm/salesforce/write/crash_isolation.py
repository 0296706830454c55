"""Finds records that make Salesforce reply 500 to the whole request, by bisection, and then sends them separately.

The first such response may be an incident, and everything is sent again. After the second one the request is divided.
Nothing is sent or decoded here.
"""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from connector.crm.salesforce.write.requests import Item, Request
from connector.model.operation import RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Retry

Record = tuple[str, str, str]

# Consecutive failures without a success. Bisecting a thousand records takes at most eleven; if there are more,
# Salesforce itself is down.
IN_A_ROW = 14
IN_ALL = 60  # per batch: more failures need a person, and would use up API calls
REMEMBERED = 1000  # records; a working org has far fewer


class CrashBisection:
    """The search in one batch. `dividing`: the previous batch failed in the same way."""

    def __init__(self, *, dividing: bool) -> None:
        self.failed = False  # a request failed and was not divided
        self.found: list[int] = []  # positions of records that failed alone
        self._dividing = dividing
        self._answered = False
        self._in_a_row = 0
        self._in_all = 0

    def answered(self) -> None:
        """Record that a request succeeded: Salesforce works."""
        self._answered = True
        self._in_a_row = 0

    def should_split(self, request: Request) -> bool:
        """Whether to divide a failed request. A single record in it is recorded as found."""
        items = [item for record_batch in request for item in record_batch.items]
        if not self._dividing and not all(item.alone for item in items):
            self.failed = True
            return False
        self._in_a_row += 1
        self._in_all += 1
        if self._in_a_row > IN_A_ROW or self._in_all > IN_ALL:
            return False
        if len(items) == 1:
            self.found.append(items[0].index)
        return True

    def classify(self, outcome: Outcome) -> Outcome:
        """The outcome of a record that failed alone: its own fault if Salesforce has accepted others meanwhile."""
        if not self._answered or not isinstance(outcome, Retry):
            return outcome
        return replace(
            outcome, reason=Reason.UNKNOWN, detail=f"this record alone makes Salesforce fail: {outcome.detail}"
        )


class KnownCrashers:
    """The records that were found since the process started, and whether the previous batch failed."""

    def __init__(self) -> None:
        self._records: dict[Record, None] = {}
        self._failed = False

    def start_bisection(self) -> CrashBisection:
        """Start the search for the next batch."""
        return CrashBisection(dividing=self._failed)

    def isolate(self, item: Item, write: RecordWrite) -> Item:
        """Mark the item to be sent in a request of its own if its record is a suspect."""
        return replace(item, alone=True) if self._records and write.record in self._records else item

    def end(self, bisection: CrashBisection, outcomes: dict[int, Outcome], writes: Mapping[int, RecordWrite]) -> None:
        """Classify and remember the records that were found; forget those that were delivered."""
        for index in bisection.found:
            judged = outcomes[index] = bisection.classify(outcomes[index])
            if isinstance(judged, Retry) and judged.reason is Reason.UNKNOWN and len(self._records) < REMEMBERED:
                self._records[writes[index].record] = None
        self._forget(writes[index].record for index, outcome in outcomes.items() if isinstance(outcome, Delivered))
        self._failed = bisection.failed

    def _forget(self, records: Iterable[Record]) -> None:
        if self._records:
            for record in records:
                self._records.pop(record, None)
