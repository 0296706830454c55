"""Sends operations in batches, several at once, and says what became of each."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from connector.crm.dynamics.client import responses
from connector.crm.dynamics.client.api import Operation
from connector.crm.dynamics.client.responses import Answer, RequestFailed
from connector.crm.dynamics.client.tables import TableInfo
from connector.crm.dynamics.client.web_api import WebApi
from connector.model.outcome import Reason, Rejected, Retry

# Operations of a batch run one after the other, so a large one gains nothing but takes longer than a request may.
OPERATIONS = 125

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
    }
)


class Item(Struct, frozen=True, kw_only=True):
    """A write that is ready to be sent."""

    index: int
    table: TableInfo
    operation: Operation
    before: Operation | None = None  # to be done just before it: a merged record gives its key away
    record_id: str | None = None
    insert: bool = False  # it is assumed that there is no such record
    left_out: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many operations it takes."""
        return 1 if self.before is None else 2


class Sending:
    """The operations of one batch of the outbox. `stopped` is set when nothing more can be sent."""

    def __init__(self, web: WebApi) -> None:
        self._web = web
        self.stopped: Retry | None = None

    async def run(self, items: Sequence[Item]) -> dict[int, Answer | RequestFailed]:
        """The result of each item, by its index."""
        results: dict[int, Answer | RequestFailed] = {}
        waiting = deque(_batches(items))

        async def work() -> None:
            while waiting and self.stopped is None:
                batch = waiting.popleft()
                try:
                    answers = await self._web.batch(_operations(batch))
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
        place = 0
        for item in batch:
            own = answers[place : place + item.size]
            place += item.size
            failed = next((one for one in own if isinstance(one, RequestFailed)), None)
            results[item.index] = failed or own[-1]
            if failed is not None:
                self._stop(failed)

    def _whole_failed(
        self, batch: list[Item], failed: RequestFailed, results: dict[int, Answer | RequestFailed]
    ) -> list[list[Item]]:
        """Settle a batch that failed as a whole. Returns smaller batches if a smaller one may succeed."""
        if len(batch) > 1 and (failed.status == responses.TOO_LARGE or isinstance(failed.outcome, Rejected)):
            middle = len(batch) // 2
            return [batch[:middle], batch[middle:]]
        results |= {item.index: failed for item in batch}
        self._stop(failed)
        return []

    def _stop(self, failed: RequestFailed) -> None:
        if isinstance(failed.outcome, Retry) and failed.outcome.reason in STOPPING:
            self.stopped = self.stopped or failed.outcome


def _operations(batch: Iterable[Item]) -> list[Operation]:
    found: list[Operation] = []
    for item in batch:
        if item.before is not None:
            found.append(item.before)
        found.append(item.operation)
    return found


def _batches(items: Sequence[Item]) -> Iterable[list[Item]]:
    batch: list[Item] = []
    size = 0
    for item in items:
        if batch and size + item.size > OPERATIONS:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.size
    if batch:
        yield batch
