"""Sends a batch in dependency order, stops on outages, bisects requests to find the failing record."""

from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cached_property

from msgspec.structs import replace

from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.error_codes import missing_column, words
from connector.crm.salesforce.client.record_ids import PREFIXES, comparable
from connector.crm.salesforce.client.responses import Answer, RequestFailed
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.write import missing_parents, trigger_limits
from connector.crm.salesforce.write.crash_isolation import IN_A_ROW, CrashBisection, KnownCrashers
from connector.crm.salesforce.write.duplicate_values import is_unclear
from connector.crm.salesforce.write.duplicate_values import settled as settled_duplicate
from connector.crm.salesforce.write.existence import waits_for_parent, was_wrong
from connector.crm.salesforce.write.recovery import Recovery
from connector.crm.salesforce.write.requests import (
    COLLECTIONS,
    Item,
    RecordBatch,
    Request,
    split,
    to_batches,
    to_requests,
)
from connector.crm.salesforce.write.trigger_limits import TransactionSizes
from connector.crm.salesforce.write.writes import FailedWrite, Write
from connector.model.http import HttpCall
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry

SHORT = 16_384  # bytes of a record: any service accepts requests of this size


class Composite(StrEnum):
    """Whether upserts by external ID work inside a composite: Salesforce's documentation does not promise it."""

    UNTRIED = "untried"
    WORKS = "works"
    REFUSED = "refused"


class Sending:
    """Sends the writes of one batch. At the end each that was sent has an outcome, or its assumption was wrong."""

    def __init__(
        self,
        rest: RestClient,
        writes: Sequence[Write],
        composite: Composite,
        *,
        recovery: Callable[[], Recovery],
        known_crashers: KnownCrashers,
        sizes: TransactionSizes,
    ) -> None:
        """`writes` are all of the batch. `recovery` is called before the first recovery."""
        self._rest = rest
        self._writes = writes
        self._room = 1 if composite is Composite.REFUSED else COLLECTIONS
        self._queue: deque[Request] = deque()
        self._deferred: list[Item] = []  # children whose parents are still being isolated
        self._make_recovery = recovery
        self._failed_writes: dict[Write, FailedWrite] = {}  # waiting for recovery
        self._known_crashers = known_crashers
        self._accepted = False  # Salesforce has accepted a request
        self._sizes = sizes
        self._waiting: dict[str, Retry] = {}  # objects of which this batch sends no more records
        self._fruitless = 0  # such requests since a record was delivered
        self._locked_alone = 0  # the same: single records that a trigger could not lock
        self._refused = 0  # consecutive requests rejected with a code that may concern the whole org
        self.bisection: CrashBisection | None = None  # begun when Salesforce itself fails
        self.stopped: Retry | Rejected | None = None  # Salesforce is not available
        self.composite = composite

    @cached_property
    def recovery(self) -> Recovery:
        """The recoveries of this batch."""
        return self._make_recovery()

    async def run(self, items: Sequence[Item]) -> None:
        """Send the items. Afterwards each write has an outcome, or its assumption was wrong."""
        self._queue.extend(to_requests(to_batches(items), self._room))
        while self._queue or self._failed_writes or self._deferred:
            if not self._queue:
                if self._failed_writes:
                    again = await self._recover()
                else:
                    again, self._deferred = self._deferred, []
                self._queue.extend(to_requests(to_batches(again), self._room))
                continue
            request = self._drop_children_of_missing(self._queue.popleft())
            if self._sizes.most:
                request = self._sizes.fit(request)
            if len(request) > self._room:
                self._first(to_requests(request, self._room))
            elif request:
                await self._transmit(request)

    async def _recover(self) -> list[Item]:
        """Recover failed writes: returns the items to send; the others get their outcomes."""
        failed_writes, self._failed_writes = self._failed_writes, {}
        ways = await self.recovery.recover(list(failed_writes.values()))
        again: list[Item] = []
        for one in failed_writes.values():
            way = ways.get(one.of, one.outcome)
            if isinstance(way, Retry) and way.reason is Reason.TRIGGER_LIMIT:
                way = trigger_limits.alone(way)  # it was sent in a request of its own
            if isinstance(way, Item):
                again.append(way)
            else:
                self._settle(one.item, way)
        return again

    def _call(self, request: Request) -> HttpCall:
        if len(request) == 1:
            return self._rest.api.collection(request[0].collection)
        return self._rest.api.collections([record_batch.collection for record_batch in request])

    async def _transmit(self, request: Request) -> None:
        """Send a request and handle its answer."""
        try:
            whole = await self._rest.send(self._call(request))
        except RequestFailed as failed:
            self._stop(request, failed.outcome)
            return
        try:
            if len(request) == 1:
                self._take_results(request[0], _records(whole, request[0]))
            else:
                self._take_parts(request, responses.subanswers(whole, len(request)))
        except RequestFailed as failed:
            self._take_failure(request, failed)

    def _take_results(self, record_batch: RecordBatch, results: Sequence[Outcome]) -> None:
        """Handle the results of a request that contained nothing else."""
        if self._room == 1 and self.composite is Composite.UNTRIED and record_batch.upserted:
            # It works alone but not inside a composite: the org rejects composites, not these records.
            self.composite = Composite.REFUSED
        self._answered()
        self._first(to_requests(self._settle_results(record_batch, results, alone=True), self._room))

    def _take_parts(self, request: Request, parts: Sequence[Answer | RequestFailed]) -> None:
        results = [_results(part, record_batch) for record_batch, part in zip(request, parts, strict=True)]
        upserts = [result for record_batch, result in zip(request, results, strict=True) if record_batch.upserted]
        if self.composite is Composite.UNTRIED and upserts:
            if all(isinstance(result, RequestFailed) and result.no_such_path for result in upserts):
                self._room = 1
            elif not all(isinstance(result, RequestFailed) for result in upserts):
                self.composite = Composite.WORKS
        first: list[RecordBatch] = []
        for record_batch, result in zip(request, results, strict=True):
            if not isinstance(result, RequestFailed):
                self._answered()
                first += self._settle_results(record_batch, result, alone=False)
            elif self._room == 1 and result.no_such_path and record_batch.upserted:
                first.append(record_batch)
            elif self._one_record_may_be_to_blame(result, [record_batch]):
                first += [piece for pieces in self._bisect([record_batch], result) for piece in pieces]
            else:
                self._settle_all(record_batch, [result.outcome] * len(record_batch.items))
        self._first(to_requests(first, self._room))

    def _take_failure(self, request: Request, failed: RequestFailed) -> None:
        """Handle a request that failed as a whole."""
        if self._one_record_may_be_to_blame(failed, request):
            self._first(self._bisect(request, failed))
        elif len(request) > 1 and failed.no_such_path:
            self._stop(request, Retry(reason=Reason.WRONG_ADDRESS, detail=failed.outcome.detail))
        elif isinstance(failed.outcome, Retry):
            self._stop(request, failed.outcome)
        else:
            for record_batch in request:
                self._settle_all(record_batch, [failed.outcome] * len(record_batch.items))

    def _one_record_may_be_to_blame(self, failed: RequestFailed, request: Request) -> bool:
        """Whether to divide a failed request. Many consecutive rejections mean that the org is the cause, not a record."""
        if not failed.spoiled:
            return failed.crashed and self._crash_bisection().should_split(request)
        if failed.outcome.reason in {Reason.UNKNOWN_CODE, Reason.SINK_REFUSES}:
            self._refused += 1
        return self._refused <= IN_A_ROW

    def _crash_bisection(self) -> CrashBisection:
        if self.bisection is None:
            self.bisection = self._known_crashers.start_bisection(answered=self._accepted)
        return self.bisection

    def _settle_results(
        self, record_batch: RecordBatch, results: Sequence[Outcome], *, alone: bool
    ) -> list[RecordBatch]:
        """Settle the results. Returns smaller batches for records that were too many for a trigger.

        `alone`: the request contained nothing else.
        """
        crowded: list[tuple[Item, Retry]] = []
        for item, outcome in zip(record_batch.items, results, strict=True):
            if not isinstance(outcome, Retry) or not trigger_limits.too_many(outcome):
                self._settle(item, outcome)
            elif alone and len(record_batch.items) == 1:
                self._fruitless += 1
                self._settle(item, trigger_limits.alone(outcome))
                self._locked_alone += outcome.reason is Reason.ROW_LOCKED
                if self._locked_alone >= trigger_limits.LOCKED_ALONE:
                    self._waiting[item.object] = outcome
            else:
                crowded.append((item, outcome))
        if not crowded:
            if any(isinstance(outcome, Delivered) for outcome in results):
                self._delivered(record_batch)
            return []
        self._fruitless += 1
        if self._fruitless > trigger_limits.FRUITLESS:
            for item, outcome in crowded:
                self._waiting[item.object] = outcome
                self._settle(item, outcome)
            return []
        for item, _ in crowded:
            self._writes[item.index].divided = True
        return trigger_limits.divided(crowded, self._sizes)

    def _delivered(self, record_batch: RecordBatch) -> None:
        """Note that these were accepted together, at least in part."""
        self._fruitless = self._locked_alone = 0
        if self._sizes.most:
            self._sizes.taken(record_batch.items)

    def _answered(self) -> None:
        self._refused = 0
        self._accepted = True
        if self.bisection is not None:
            self.bisection.answered()

    def _bisect(self, record_batches: Request, failed: RequestFailed) -> list[Request]:
        """One record made these fail: settle it if it is known, and divide the rest until it is found."""
        to_blame = _to_blame(record_batches, failed)
        if to_blame:
            for item, outcome in to_blame:
                self._settle(item, outcome)
            settled = {item.index for item, _ in to_blame}
            rest = [
                [item for item in record_batch.items if item.index not in settled] for record_batch in record_batches
            ]
            return to_requests([RecordBatch(items) for items in rest if items], self._room)
        if len(record_batches) > 1:
            middle = len(record_batches) // 2
            return [record_batches[:middle], record_batches[middle:]]
        if len(record_batches[0].items) == 1:
            if failed.too_long and len(record_batches[0].items[0].body) < SHORT:
                self._stop(record_batches, responses.too_long_at_all(failed))
            else:
                self._settle(record_batches[0].items[0], trigger_limits.alone(failed.outcome))
            return []
        return to_requests(split(record_batches[0], max(self._room, 2)), self._room)

    def _stop(self, request: Request, outcome: Retry | Rejected) -> None:
        """Salesforce is not available: send no more of the batch. Unsent records are not in doubt."""
        for record_batch in request:
            self._settle_all(record_batch, [outcome] * len(record_batch.items))
        unsent = replace(outcome, in_doubt=False) if isinstance(outcome, Retry) else outcome
        self.stopped = unsent
        for item in self._deferred + [
            item for waiting in self._queue for record_batch in waiting for item in record_batch.items
        ]:
            self._writes[item.index].outcome = unsent
        for one in self._failed_writes:
            one.outcome = unsent
        self._deferred, self._failed_writes = [], {}
        self._queue.clear()

    def _first(self, requests: Sequence[Request]) -> None:
        self._queue.extendleft(reversed(requests))

    def _drop_children_of_missing(self, request: Request) -> Request:
        """The request without children whose parents are known to be missing."""
        kept: list[RecordBatch] = []
        for record_batch in request:
            items: list[Item] = []
            for item in record_batch.items:
                one = self._writes[item.index]
                if one.wait_for and waits_for_parent(one):
                    continue
                parent_outcome = _parent_outcome(one) or self._waiting.get(item.object)
                if parent_outcome is None:
                    items.append(item)
                else:
                    one.outcome = parent_outcome
            if items:
                kept.append(RecordBatch(items))
        return kept

    def _settle_all(self, record_batch: RecordBatch, outcomes: Sequence[Outcome]) -> None:
        for item, outcome in zip(record_batch.items, outcomes, strict=True):
            self._settle(item, outcome)

    def _settle(self, item: Item, outcome: Outcome) -> None:
        one = self._writes[item.index]
        if isinstance(outcome, Delivered):
            one.outcome = _completed(outcome, item, divided=one.divided)
        else:
            self._settle_rejected(one, item, outcome)

    def _settle_rejected(self, one: Write, item: Item, outcome: Retry | Rejected) -> None:
        """Settle a record that was not written; or leave it open, to be sent once more."""
        if outcome.reason is Reason.PARENT_MISSING and isinstance(outcome, Retry):
            if waits_for_parent(one, missing=True):
                return
            parent_outcome = _parent_outcome(one)
            if parent_outcome is None and not one.waited and any(parent.outcome is None for parent in one.wait_for):
                one.waited = True
                self._deferred.append(item)
                return
            outcome = parent_outcome or outcome
        if one.recovered and isinstance(outcome, Retry) and is_unclear(outcome, item.key_field):
            outcome = settled_duplicate(outcome)
        if self.recovery.can_recover(outcome, item, again=one.recovered):
            one.recovered = True
            self._failed_writes[one] = FailedWrite(of=one, item=item, outcome=outcome)
        elif not was_wrong(one, item, outcome):
            one.outcome = outcome


def _completed(outcome: Delivered, item: Item, *, divided: bool) -> Delivered:
    """The outcome of a record that was written, with what Salesforce's answer does not say."""
    if item.left_out or item.insert or divided:
        outcome = replace(outcome, left_out=item.left_out, created=outcome.created or item.insert, divided=divided)
    if item.elsewhere:
        # The key of the write does not identify this record.
        outcome = replace(outcome, record_id=None, detail=f"written to the {item.object} {item.record_id}")
    return outcome


def _parent_outcome(one: Write) -> Retry | Rejected | None:
    """The outcome of a child that follows from its parents' outcomes in the batch; None if there is none."""
    outcomes = [parent.outcome for parent in one.parents.values()]
    for parent_outcome in outcomes:
        if isinstance(parent_outcome, Rejected) and parent_outcome.reason is not Reason.CONFIGURATION:
            return Rejected(
                reason=Reason.PARENT_FAILED, detail=f"its parent record was refused: {parent_outcome.reason}"
            )
    for parent_outcome in outcomes:
        # A write that the set-up forbids is delivered as soon as the set-up is fixed.
        if isinstance(parent_outcome, Retry | Rejected):
            return Retry(reason=Reason.PARENT_WAITING, detail=f"its parent record waits: {parent_outcome.reason}")
    return None


def _results(part: Answer | RequestFailed, record_batch: RecordBatch) -> Sequence[Outcome] | RequestFailed:
    """The results of one record batch of a composite, or why there are none."""
    try:
        return _records(part, record_batch)
    except RequestFailed as failed:
        return failed


def _records(part: Answer | RequestFailed, record_batch: RecordBatch) -> Sequence[Outcome]:
    """The results of one record batch. Raises RequestFailed."""
    begin = [
        comparable(item.record_id) if item.record_id else PREFIXES.get(item.object.casefold(), "")
        for item in record_batch.items
    ]
    return responses.records(part, len(begin), key_field=record_batch.key_field or "", beginnings=begin)


def _to_blame(record_batches: Request, failed: RequestFailed) -> list[tuple[Item, Outcome]]:
    """The records with a column that the org does not have, according to the text of the rejection."""
    items = [item for record_batch in record_batches for item in record_batch.items]
    column = missing_column(failed.message)
    if column is not None:
        return [(item, failed.outcome) for item in items if item.uses(*column)]
    if failed.code != missing_parents.CODE or not isinstance(failed.outcome, Rejected):
        return []
    named = words(failed.message)
    return [(item, replace(failed.outcome, field=name)) for item in items if (name := item.named_in(named))]
