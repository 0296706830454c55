"""Sends operations in batches, several at once, and returns the result of each."""

import asyncio
from collections import deque
from collections.abc import Collection, Sequence

from msgspec.structs import replace

from connector.crm.dynamics.client import responses
from connector.crm.dynamics.client.responses import Answer, RequestFailed
from connector.crm.dynamics.client.web_api import WebApi
from connector.crm.dynamics.write.items import Item
from connector.crm.dynamics.write.writes import Write
from connector.model.outcome import Reason, Rejected, Retry

# Operations of a batch run one after the other, so a large one gains nothing but takes longer than a request may.
OPERATIONS = 125

OTHER_RECORD = replace(responses.unexpected_answer("the result of no record, or of another one"), in_doubt=True)

# After one of these nothing more is sent: the cause is the org or our user, and not a record.
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
# The same for a single operation, without reasons that its record may have caused.
STOPPING_ALONE = STOPPING - {Reason.TIMEOUT, Reason.CONNECTION_LOST, Reason.UNEXPECTED_ANSWER}
# Requests refused with an unknown code; after so many the org is the cause, and batches are no longer split.
REFUSED_IN_A_ROW = 14


class Sending:
    """Sends the operations of one claimed batch. `stopped` is set if nothing more can be sent."""

    def __init__(self, web: WebApi) -> None:
        self._web = web
        self.stopped: Retry | None = None
        self._unknown_codes = 0  # requests refused with an unknown code

    async def run(self, items: Sequence[Item]) -> list[Answer | RequestFailed]:
        """Send the items. Returns their results, in the same order."""
        results: dict[Write, Answer | RequestFailed] = {}
        waiting_batches = deque(list(items[start : start + OPERATIONS]) for start in range(0, len(items), OPERATIONS))

        async def send_waiting() -> None:
            while waiting_batches and self.stopped is None:
                batch = waiting_batches.popleft()
                try:
                    answers = await self._web.batch([item.operation for item in batch])
                except RequestFailed as failed:
                    waiting_batches.extendleft(reversed(self._settle_failed_batch(batch, failed, results)))
                else:
                    self._settle(batch, answers, results)

        await asyncio.gather(*(send_waiting() for _ in range(min(self._web.gate.at_once, len(waiting_batches)))))
        if self.stopped is not None:
            unsent = RequestFailed(replace(self.stopped, in_doubt=False))
            results |= {item.write: unsent for batch in waiting_batches for item in batch}
        return [results[item.write] for item in items]

    def _settle(
        self,
        batch: Sequence[Item],
        answers: Sequence[Answer | RequestFailed],
        results: dict[Write, Answer | RequestFailed],
    ) -> None:
        for item, answer in zip(batch, answers, strict=True):
            results[item.write] = answer
            if isinstance(answer, RequestFailed):
                self._stop(answer, STOPPING_ALONE)
            elif not item.matches(answer):
                results[item.write] = RequestFailed(OTHER_RECORD)

    def _settle_failed_batch(
        self, batch: list[Item], failed: RequestFailed, results: dict[Write, Answer | RequestFailed]
    ) -> list[list[Item]]:
        """Settle a batch that failed as a whole. Returns smaller batches if a smaller one may succeed."""
        if len(batch) > 1 and self._should_split(failed):
            middle = len(batch) // 2
            return [batch[:middle], batch[middle:]]
        results |= {item.write: failed for item in batch}
        self._stop(failed, STOPPING if self._unknown_codes <= REFUSED_IN_A_ROW else STOPPING | {Reason.UNKNOWN_CODE})
        return []

    def _should_split(self, failed: RequestFailed) -> bool:
        """Whether a smaller batch may succeed. After many refusals with an unknown code the org is the cause."""
        if failed.status == responses.TOO_LARGE or isinstance(failed.outcome, Rejected):
            return True
        self._unknown_codes += failed.outcome.reason is Reason.UNKNOWN_CODE
        return failed.outcome.reason is Reason.UNKNOWN_CODE and self._unknown_codes <= REFUSED_IN_A_ROW

    def _stop(self, failed: RequestFailed, reasons: Collection[Reason]) -> None:
        if isinstance(failed.outcome, Retry) and failed.outcome.reason in reasons:
            self.stopped = self.stopped or failed.outcome
