"""Records that make Salesforce itself fail, with a 500 for their whole request: found by halving, and then sent apart.

The first such answer may be an incident, and everything is sent again. The second time the request is divided. Nothing
is sent or decoded here.
"""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from connector.crm.salesforce.write.requests import Item, Request
from connector.model.operation import RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Retry

Record = tuple[str, str, str]

# Failures in a row without an answer in between: halving a thousand records down to the first of them takes eleven, so that more
# of them say that it is Salesforce and not a record.
IN_A_ROW = 14
IN_ALL = 60  # of one batch: what is worse than that is for a person, and costs calls that others need
REMEMBERED = 1000  # suspects; far more than an org can have and still be of use


class CrashBisection:
    """The search through one batch. `dividing`: the batch before has failed in the same way."""

    def __init__(self, *, dividing: bool) -> None:
        self.failed = False  # a request did, and was not divided
        self.found: list[int] = []  # places of records that failed alone
        self._dividing = dividing
        self._answered = False
        self._in_a_row = 0
        self._in_all = 0

    def answered(self) -> None:
        """A request was answered as it should be: Salesforce works."""
        self._answered = True
        self._in_a_row = 0

    def should_split(self, request: Request) -> bool:
        """Whether what has failed is to be divided; a record that is alone is found."""
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
        """What a record that failed alone hears: where Salesforce has taken others meanwhile, it is the record's own fault."""
        if not self._answered or not isinstance(outcome, Retry):
            return outcome
        return replace(
            outcome, reason=Reason.UNKNOWN, detail=f"this record alone makes Salesforce fail: {outcome.detail}"
        )


class KnownCrashers:
    """The records that were found, as long as the process lives, and whether the batch before has failed."""

    def __init__(self) -> None:
        self._records: dict[Record, None] = {}
        self._failed = False

    def start_bisection(self) -> CrashBisection:
        """For the next batch."""
        return CrashBisection(dividing=self._failed)

    def isolate(self, item: Item, write: RecordWrite) -> Item:
        """The item, alone in its request where the record is a suspect."""
        return replace(item, alone=True) if self._records and write.record in self._records else item

    def end(self, bisection: CrashBisection, outcomes: dict[int, Outcome], writes: Mapping[int, RecordWrite]) -> None:
        """Judge those that were found, remember them, and forget those that went through."""
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
