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
from connector.crm.salesforce.write.duplicate_values import after_second_try, is_unclear
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
        self._max_batches = 1 if composite is Composite.REFUSED else COLLECTIONS
        self._queue: deque[Request] = deque()
        self._deferred: list[Item] = []  # children whose parents are still being isolated
        self._make_recovery = recovery
        self._failed_writes: dict[Write, FailedWrite] = {}  # waiting for recovery
        self._known_crashers = known_crashers
        self._accepted = False  # Salesforce has accepted a request
        self._sizes = sizes
        self._halted_objects: dict[str, Retry] = {}  # objects of which this batch sends no more records
        self._requests_without_delivery = 0  # requests refused by a trigger since a record was delivered
        self._single_locks = 0  # consecutive single records that a trigger could not lock
        self._rejections_in_a_row = 0  # consecutive requests rejected with a code that may concern the whole org
        self.bisection: CrashBisection | None = None  # begun when Salesforce itself fails
        self.stopped: Retry | Rejected | None = None  # Salesforce is not available
        self.composite = composite

    @cached_property
    def recovery(self) -> Recovery:
        """The recoveries of this batch."""
        return self._make_recovery()

    async def run(self, items: Sequence[Item]) -> None:
        """Send the items. Afterwards each write has an outcome, or its assumption was wrong."""
        self._queue.extend(to_requests(to_batches(items), self._max_batches))
        while self._queue or self._failed_writes or self._deferred:
            if not self._queue:
                if self._failed_writes:
                    again = await self._recover()
                else:
                    again, self._deferred = self._deferred, []
                self._queue.extend(to_requests(to_batches(again), self._max_batches))
                continue
            request = self._drop_children_of_missing(self._queue.popleft())
            if self._sizes.limits:
                request = self._sizes.fit(request)
            if len(request) > self._max_batches:
                self._requeue(to_requests(request, self._max_batches))
            elif request:
                await self._transmit(request)

    async def _recover(self) -> list[Item]:
        """Recover failed writes: returns the items to send; the others get their outcomes."""
        failed_writes, self._failed_writes = self._failed_writes, {}
        results = await self.recovery.recover(list(failed_writes.values()))
        again: list[Item] = []
        for failed in failed_writes.values():
            result = results.get(failed.write, failed.outcome)
            if isinstance(result, Retry) and result.reason is Reason.TRIGGER_LIMIT:
                result = trigger_limits.outcome_when_alone(result)  # it was sent in a request of its own
            if isinstance(result, Item):
                again.append(result)
            else:
                self._settle(failed.item, result)
        return again

    def _call(self, request: Request) -> HttpCall:
        if len(request) == 1:
            return self._rest.api.collection(request[0].collection)
        return self._rest.api.collections([record_batch.collection for record_batch in request])

    async def _transmit(self, request: Request) -> None:
        """Send a request and handle its answer."""
        try:
            reply = await self._rest.send(self._call(request))
        except RequestFailed as failed:
            self._stop(request, failed.outcome)
            return
        try:
            if len(request) == 1:
                self._handle_results(request[0], _records(reply, request[0]))
            else:
                self._handle_parts(request, responses.subanswers(reply, len(request)))
        except RequestFailed as failed:
            self._handle_failure(request, failed)

    def _handle_results(self, record_batch: RecordBatch, results: Sequence[Outcome]) -> None:
        """Handle the results of a request that contained nothing else."""
        if self._max_batches == 1 and self.composite is Composite.UNTRIED and record_batch.upserted:
            # It works alone but not inside a composite: the org rejects composites, not these records.
            self.composite = Composite.REFUSED
        self._note_accepted()
        self._requeue(to_requests(self._settle_results(record_batch, results, alone=True), self._max_batches))

    def _handle_parts(self, request: Request, parts: Sequence[Answer | RequestFailed]) -> None:
        results = [_results(part, record_batch) for record_batch, part in zip(request, parts, strict=True)]
        upserts = [result for record_batch, result in zip(request, results, strict=True) if record_batch.upserted]
        if self.composite is Composite.UNTRIED and upserts:
            if all(isinstance(result, RequestFailed) and result.no_such_path for result in upserts):
                self._max_batches = 1
            elif not all(isinstance(result, RequestFailed) for result in upserts):
                self.composite = Composite.WORKS
        first: list[RecordBatch] = []
        for record_batch, result in zip(request, results, strict=True):
            if not isinstance(result, RequestFailed):
                self._note_accepted()
                first += self._settle_results(record_batch, result, alone=False)
            elif self._max_batches == 1 and result.no_such_path and record_batch.upserted:
                first.append(record_batch)
            elif self._should_bisect(result, [record_batch]):
                first += [piece for pieces in self._bisect([record_batch], result) for piece in pieces]
            else:
                self._settle_all(record_batch, [result.outcome] * len(record_batch.items))
        self._requeue(to_requests(first, self._max_batches))

    def _handle_failure(self, request: Request, failed: RequestFailed) -> None:
        """Handle a request that failed as a whole."""
        if self._should_bisect(failed, request):
            self._requeue(self._bisect(request, failed))
        elif len(request) > 1 and failed.no_such_path:
            self._stop(request, Retry(reason=Reason.WRONG_ADDRESS, detail=failed.outcome.detail))
        elif isinstance(failed.outcome, Retry):
            self._stop(request, failed.outcome)
        else:
            for record_batch in request:
                self._settle_all(record_batch, [failed.outcome] * len(record_batch.items))

    def _should_bisect(self, failed: RequestFailed, request: Request) -> bool:
        """Whether to split a failed request. After many consecutive rejections the org is the cause, and not a record."""
        if not failed.spoiled:
            return failed.crashed and self._crash_bisection().should_split(request)
        if failed.outcome.reason in {Reason.UNKNOWN_CODE, Reason.SINK_REFUSES}:
            self._rejections_in_a_row += 1
        return self._rejections_in_a_row <= IN_A_ROW

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
        over_limit: list[tuple[Item, Retry]] = []
        for item, outcome in zip(record_batch.items, results, strict=True):
            if not isinstance(outcome, Retry) or not trigger_limits.is_for_request_size(outcome):
                self._settle(item, outcome)
            elif alone and len(record_batch.items) == 1:
                self._requests_without_delivery += 1
                self._settle(item, trigger_limits.outcome_when_alone(outcome))
                self._single_locks += outcome.reason is Reason.ROW_LOCKED
                if self._single_locks >= trigger_limits.MAX_SINGLE_LOCKS:
                    self._halted_objects[item.object] = outcome
            else:
                over_limit.append((item, outcome))
        if not over_limit:
            if any(isinstance(outcome, Delivered) for outcome in results):
                self._note_delivered(record_batch)
            return []
        self._requests_without_delivery += 1
        if self._requests_without_delivery > trigger_limits.MAX_REQUESTS_WITHOUT_DELIVERY:
            for item, outcome in over_limit:
                self._halted_objects[item.object] = outcome
                self._settle(item, outcome)
            return []
        for item, _ in over_limit:
            self._writes[item.index].was_split = True
        return trigger_limits.halve(over_limit, self._sizes)

    def _note_delivered(self, record_batch: RecordBatch) -> None:
        """Note that these were accepted together, at least in part."""
        self._requests_without_delivery = self._single_locks = 0
        if self._sizes.limits:
            self._sizes.note_delivered(record_batch.items)

    def _note_accepted(self) -> None:
        self._rejections_in_a_row = 0
        self._accepted = True
        if self.bisection is not None:
            self.bisection.answered()

    def _bisect(self, record_batches: Request, failed: RequestFailed) -> list[Request]:
        """One record made these fail: settle it if it is known, or split the batches until it is found."""
        failing = _failing_items(record_batches, failed)
        if failing:
            for item, outcome in failing:
                self._settle(item, outcome)
            settled = {item.index for item, _ in failing}
            rest = [
                [item for item in record_batch.items if item.index not in settled] for record_batch in record_batches
            ]
            return to_requests([RecordBatch(items) for items in rest if items], self._max_batches)
        if len(record_batches) > 1:
            middle = len(record_batches) // 2
            return [record_batches[:middle], record_batches[middle:]]
        if len(record_batches[0].items) == 1:
            if failed.too_long and len(record_batches[0].items[0].body) < SHORT:
                self._stop(record_batches, responses.too_long_at_all(failed))
            else:
                self._settle(record_batches[0].items[0], trigger_limits.outcome_when_alone(failed.outcome))
            return []
        return to_requests(split(record_batches[0], max(self._max_batches, 2)), self._max_batches)

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
        for write in self._failed_writes:
            write.outcome = unsent
        self._deferred, self._failed_writes = [], {}
        self._queue.clear()

    def _requeue(self, requests: Sequence[Request]) -> None:
        self._queue.extendleft(reversed(requests))

    def _drop_children_of_missing(self, request: Request) -> Request:
        """The request without children whose parents are known to be missing."""
        kept: list[RecordBatch] = []
        for record_batch in request:
            items: list[Item] = []
            for item in record_batch.items:
                write = self._writes[item.index]
                if write.wait_for and waits_for_parent(write):
                    continue
                parent_outcome = _parent_outcome(write) or self._halted_objects.get(item.object)
                if parent_outcome is None:
                    items.append(item)
                else:
                    write.outcome = parent_outcome
            if items:
                kept.append(RecordBatch(items))
        return kept

    def _settle_all(self, record_batch: RecordBatch, outcomes: Sequence[Outcome]) -> None:
        for item, outcome in zip(record_batch.items, outcomes, strict=True):
            self._settle(item, outcome)

    def _settle(self, item: Item, outcome: Outcome) -> None:
        write = self._writes[item.index]
        if isinstance(outcome, Delivered):
            write.outcome = _completed(outcome, item, was_split=write.was_split)
        else:
            self._settle_rejected(write, item, outcome)

    def _settle_rejected(self, write: Write, item: Item, outcome: Retry | Rejected) -> None:
        """Settle a record that was not written; or leave it open, to be sent once more."""
        if outcome.reason is Reason.PARENT_MISSING and isinstance(outcome, Retry):
            if waits_for_parent(write, missing=True):
                return
            parent_outcome = _parent_outcome(write)
            if parent_outcome is None and not write.waited and any(parent.outcome is None for parent in write.wait_for):
                write.waited = True
                self._deferred.append(item)
                return
            outcome = parent_outcome or outcome
        if write.recovered and isinstance(outcome, Retry) and is_unclear(outcome, item.key_field):
            outcome = after_second_try(outcome)
        if self.recovery.can_recover(outcome, item, again=write.recovered):
            write.recovered = True
            self._failed_writes[write] = FailedWrite(write=write, item=item, outcome=outcome)
        elif not was_wrong(write, item, outcome):
            write.outcome = outcome


def _completed(outcome: Delivered, item: Item, *, was_split: bool) -> Delivered:
    """The outcome of a record that was written, with what Salesforce's answer does not say."""
    if item.left_out or item.insert or was_split:
        outcome = replace(outcome, left_out=item.left_out, created=outcome.created or item.insert, was_split=was_split)
    if item.other_object:
        # The key of the write does not identify this record.
        outcome = replace(outcome, record_id=None, detail=f"written to the {item.object} {item.record_id}")
    return outcome


def _parent_outcome(write: Write) -> Retry | Rejected | None:
    """The outcome of a child that follows from its parents' outcomes in the batch; None if there is none."""
    outcomes = [parent.outcome for parent in write.parents.values()]
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


def _failing_items(record_batches: Request, failed: RequestFailed) -> list[tuple[Item, Outcome]]:
    """The records with a column that the org does not have, according to the text of the rejection."""
    items = [item for record_batch in record_batches for item in record_batch.items]
    column = missing_column(failed.message)
    if column is not None:
        return [(item, failed.outcome) for item in items if item.uses(*column)]
    if failed.code != missing_parents.CODE or not isinstance(failed.outcome, Rejected):
        return []
    named = words(failed.message)
    return [(item, replace(failed.outcome, field=name)) for item in items if (name := item.named_in(named))]
