"""Sends operations in batches, several at once, and says what became of each."""

import asyncio
from collections import deque
from collections.abc import Collection, Sequence

from msgspec import Struct
from msgspec.structs import replace

from connector.crm.dynamics.client import responses
from connector.crm.dynamics.client.api import GUID, Operation
from connector.crm.dynamics.client.responses import Answer, RequestFailed
from connector.crm.dynamics.client.tables import TableInfo
from connector.crm.dynamics.client.web_api import WebApi
from connector.model.outcome import Reason, Rejected, Retry

# Operations of a batch run one after the other, so a large one gains nothing but takes longer than a request may.
OPERATIONS = 125

NO_CONTENT = 204
OTHER_RECORD = replace(responses.not_theirs("the result of no record, or of another one"), in_doubt=True)

# After one of these nothing more is sent: the org or our user is concerned, and not a record.
STOPPING = frozenset(
    {
        Reason.UNAVAILABLE,
        Reason.TIMEOUT,
        Reason.CONNECTION_LOST,
        Reason.UNEXPECTED_ANSWER,
        Reason.RATE_LIMITED,
        Reason.CREDENTIALS,
        Reason.WRONG_ADDRESS,
        Reason.MAINTENANCE,
        Reason.SINK_REFUSES,
        Reason.STORAGE_FULL,
    }
)
# The same reasons for a single operation: what may be the fault of its record stops nothing.
STOPPING_ALONE = STOPPING - {Reason.TIMEOUT, Reason.CONNECTION_LOST, Reason.UNEXPECTED_ANSWER}
# Requests refused with an unknown code before it counts as the org's fault, and no record is looked for.
REFUSED_IN_A_ROW = 14


class Item(Struct, frozen=True, kw_only=True):
    """A write that is ready to be sent."""

    index: int
    table: TableInfo
    operation: Operation
    record_id: str | None = None
    insert: bool = False  # it is assumed that there is no such record
    left_out: tuple[str, ...] = ()

    def shown_by(self, answer: Answer) -> bool:
        """Whether an answer that was to show the record shows one, and the one that was meant."""
        if "Prefer" not in self.operation.headers or answer.status == NO_CONTENT:
            return True
        named = answer.body.get(self.table.id_column) if isinstance(answer.body, dict) else None
        if not isinstance(named, str) or not GUID.fullmatch(named):
            return False
        return self.record_id is None or named.lower() == self.record_id.lower()


class Sending:
    """The operations of one batch of the outbox. `stopped` is set when nothing more can be sent."""

    def __init__(self, web: WebApi) -> None:
        self._web = web
        self.stopped: Retry | None = None
        self._refused = 0  # requests, with an unknown code

    async def run(self, items: Sequence[Item]) -> dict[int, Answer | RequestFailed]:
        """The result of each item, by its index."""
        results: dict[int, Answer | RequestFailed] = {}
        waiting = deque(list(items[start : start + OPERATIONS]) for start in range(0, len(items), OPERATIONS))

        async def work() -> None:
            while waiting and self.stopped is None:
                batch = waiting.popleft()
                try:
                    answers = await self._web.batch([one.operation for one in batch])
                except RequestFailed as failed:
                    waiting.extendleft(reversed(self._whole_failed(batch, failed, results)))
                else:
                    self._take(batch, answers, results)

        await asyncio.gather(*(work() for _ in range(min(self._web.gate.at_once, len(waiting)))))
        if self.stopped is not None:
            unsent = RequestFailed(replace(self.stopped, in_doubt=False))
            results |= {item.index: unsent for batch in waiting for item in batch}
        return results

    def _take(
        self,
        batch: Sequence[Item],
        answers: Sequence[Answer | RequestFailed],
        results: dict[int, Answer | RequestFailed],
    ) -> None:
        for item, answer in zip(batch, answers, strict=True):
            results[item.index] = answer
            if isinstance(answer, RequestFailed):
                self._stop(answer, STOPPING_ALONE)
            elif not item.shown_by(answer):
                results[item.index] = RequestFailed(OTHER_RECORD)

    def _whole_failed(
        self, batch: list[Item], failed: RequestFailed, results: dict[int, Answer | RequestFailed]
    ) -> list[list[Item]]:
        """Settle a batch that failed as a whole. Returns smaller batches if a smaller one may succeed."""
        if len(batch) > 1 and self._one_may_be_to_blame(failed):
            middle = len(batch) // 2
            return [batch[:middle], batch[middle:]]
        results |= {item.index: failed for item in batch}
        self._stop(failed, STOPPING if self._refused <= REFUSED_IN_A_ROW else STOPPING | {Reason.UNKNOWN_CODE})
        return []

    def _one_may_be_to_blame(self, failed: RequestFailed) -> bool:
        """Whether a smaller batch may succeed. After many refusals with an unknown code the org is to blame."""
        if failed.status == responses.TOO_LARGE or isinstance(failed.outcome, Rejected):
            return True
        self._refused += failed.outcome.reason is Reason.UNKNOWN_CODE
        return failed.outcome.reason is Reason.UNKNOWN_CODE and self._refused <= REFUSED_IN_A_ROW

    def _stop(self, failed: RequestFailed, reasons: Collection[Reason]) -> None:
        if isinstance(failed.outcome, Retry) and failed.outcome.reason in reasons:
            self.stopped = self.stopped or failed.outcome
