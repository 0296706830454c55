"""Finds records that make Salesforce reply 500 to the whole request, by bisection, and then sends them separately.

After the first such response everything is sent again, because it may be an incident. After the second one the request
is split. Nothing is sent or decoded here.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from connector.crm.salesforce.write.requests import Item, Request
from connector.crm.salesforce.write.writes import Write
from connector.model.operation import RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Retry

Record = tuple[str, str, str]

# Consecutive failures without a success. Bisecting a thousand records takes at most eleven; if there are more,
# Salesforce itself is down.
IN_A_ROW = 14
IN_ALL = 60  # per batch: more failures need a person, and would use up API calls
REMEMBERED = 1000  # records; a working org has far fewer


class CrashBisection:
    """The search in one batch, from its first such response on.

    `splitting`: the previous batch failed in the same way. `answered`: Salesforce has accepted a request of this batch.
    """

    def __init__(self, *, splitting: bool, answered: bool) -> None:
        self.failed = False  # a request failed and was not divided
        self.found: list[int] = []  # positions of records that failed alone
        self._splitting = splitting
        self._answered = answered
        self._in_a_row = 0
        self._in_all = 0

    def answered(self) -> None:
        """Record that a request succeeded: Salesforce works."""
        self._answered = True
        self._in_a_row = 0

    def should_split(self, request: Request) -> bool:
        """Whether to split a failed request. A single record in it is recorded as found."""
        items = [item for record_batch in request for item in record_batch.items]
        if not self._splitting and not all(item.alone for item in items):
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
        """The outcome of a record that failed alone. It is the cause if Salesforce has accepted other records meanwhile."""
        if not self._answered or not isinstance(outcome, Retry):
            return outcome
        return replace(
            outcome, reason=Reason.UNKNOWN, detail=f"this record alone makes Salesforce fail: {outcome.detail}"
        )


class KnownCrashers:
    """The records that were found since the process started, and whether the previous batch failed."""

    def __init__(self) -> None:
        self.records: dict[Record, None] = {}
        self.failed = False

    def start_bisection(self, *, answered: bool) -> CrashBisection:
        """Start the search in a batch."""
        return CrashBisection(splitting=self.failed, answered=answered)

    def isolate(self, item: Item, record_write: RecordWrite) -> Item:
        """Mark the item to be sent in a request of its own if its record is a known crasher."""
        return replace(item, alone=True) if record_write.record in self.records else item

    def end(self, bisection: CrashBisection | None, writes: Sequence[Write]) -> None:
        """Classify and remember the records that were found; forget those that were delivered."""
        self.failed = bisection is not None and bisection.failed
        if bisection is not None:
            for write in [writes[index] for index in bisection.found]:
                classified = write.outcome = bisection.classify(write.result)
                if (
                    isinstance(classified, Retry)
                    and classified.reason is Reason.UNKNOWN
                    and len(self.records) < REMEMBERED
                ):
                    self.records[write.record_write.record] = None
        for write in writes:
            if isinstance(write.outcome, Delivered):
                self.records.pop(write.record_write.record, None)
