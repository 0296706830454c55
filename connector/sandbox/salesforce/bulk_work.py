"""The work of bulk jobs: done in the background in pieces, with a result for each row."""

import asyncio
import csv
from collections.abc import Callable, Sequence
from typing import Any

from connector.sandbox.salesforce.bulk_jobs import ENDED, Job, JobState
from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.drafts import Author, Record
from connector.sandbox.salesforce.faults import Faults, hits, limits
from connector.sandbox.salesforce.refusals import RecordRefusedError, RequestRefusedError
from connector.sandbox.salesforce.values import as_moment
from connector.sandbox.salesforce.writing import Outcome, Writer

PIECE = 1000  # rows between two checks for faults; other requests are answered in between
HOLD_SECONDS = 0.02  # between two checks whether a held job may continue
NULL = "#N/A"  # clears a field; an empty value leaves it unchanged
INTERNAL = "InternalServerError : An unexpected error occurred. Please include this ErrorId if you contact support"

Rows = Callable[[], tuple[list[str], list[tuple[Any, ...]]]]


class Workers:
    """A task for each unfinished job."""

    def __init__(self, database: Database, faults: Faults, clock: Callable[[], float]) -> None:
        self._database = database
        self._writer = Writer(database)
        self._faults = faults
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def query(self, job: Job, rows: Rows) -> None:
        """Run a query job."""
        self._begin(self._query(job, rows))

    def ingest(self, job: Job) -> None:
        """Run an ingest job."""
        self._begin(self._ingest(job))

    async def stop(self) -> None:
        """Stop all work as it is."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _query(self, job: Job, rows: Rows) -> None:
        if await self._may_go_on(job):
            job.columns, job.rows = rows()
            job.state = JobState.JOB_COMPLETE

    async def _ingest(self, job: Job) -> None:
        try:
            job.read()
        except (ValueError, csv.Error) as error:
            job.state, job.error = JobState.FAILED, str(error)
            return
        for start in range(0, len(job.rows), PIECE):
            if not await self._may_go_on(job):
                return
            with self._database.transaction():
                self._piece(job, range(start, min(start + PIECE, len(job.rows))))
        job.state = JobState.JOB_COMPLETE

    async def _may_go_on(self, job: Job) -> bool:
        await asyncio.sleep(0)
        # A hold ends when the fault is cleared or the job is aborted: no single event reports both.
        while job.state not in ENDED and self._faults.strike_job("job_held"):  # noqa: ASYNC110 - see above.
            await asyncio.sleep(HOLD_SECONDS)
        if job.state in ENDED:
            return False
        if self._faults.strike_job("job_fails"):
            job.state, job.error = JobState.FAILED, INTERNAL
            return False
        job.state = JobState.IN_PROGRESS
        return True

    def _piece(self, job: Job, numbers: range) -> None:
        records = [_record(job.columns, job.rows[number]) for number in numbers]
        now = self._clock()
        author = Author(
            user=job.creator,
            time=now,
            stamp=as_moment(now),
            locked=hits(self._faults.strike_job("job_row_lock")),
            limits=(*self._database.triggers.limits, *limits(self._faults.strike_job("limit"))),
        )
        for number, record, outcome in zip(numbers, records, self._written(job, records, author), strict=True):
            if outcome.refusal is None:
                job.succeeded.append((number, str(outcome.id), outcome.created))
            else:
                refusal = outcome.refusal
                message = self._database.wording.language.translated(refusal.message)
                error = f"{refusal.code}:{message}:{','.join(refusal.fields)} --"
                job.failed.append((number, str(record.get("Id") or ""), error))

    def _written(self, job: Job, records: Sequence[Record], author: Author) -> Sequence[Outcome]:
        try:
            return self._write(job, records, author)
        except RequestRefusedError:
            # A value of the wrong type makes a whole request of the REST API fail, but only one row here.
            return [self._write_alone(job, record, author) for record in records]

    def _write_alone(self, job: Job, record: Record, author: Author) -> Outcome:
        try:
            return self._write(job, [record], author)[0]
        except RequestRefusedError as refusal:
            return Outcome(id=None, refusal=RecordRefusedError(refusal.code, refusal.message, *refusal.fields))

    def _write(self, job: Job, records: Sequence[Record], author: Author) -> list[Outcome]:
        sobject = job.sobject
        match job.operation:
            case "insert":
                return self._writer.insert(sobject, records, author)
            case "update":
                return self._writer.update(sobject, records, author)
            case "delete":
                return self._writer.delete(sobject, [str(record.get("Id")) for record in records], author)
            case _:
                key = sobject.by_name[str(job.key)]
                return self._writer.upsert(sobject, key, records, author)


def _record(columns: Sequence[str], values: Sequence[str]) -> Record:
    """A row as a record of the REST API; a parent's key is `Account.Key__c`, or `Contact:Who.Key__c` with several types."""
    record: dict[str, Any] = {}
    for name, text in zip(columns, values, strict=True):
        if text == "":
            continue
        value = None if text == NULL else text
        kind, _, path = name.rpartition(":")
        relationship, dot, field = path.partition(".")
        if not dot:
            record["Id" if name.lower() == "id" else name] = value
        else:
            record[relationship] = {**({"attributes": {"type": kind}} if kind else {}), field: value}
    return record
