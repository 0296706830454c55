"""Runs a backfill: reads all contacts, and writes in jobs. Can be interrupted at any time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from functools import partial
from itertools import count
from typing import Any, TypeVar

from connector.crm.backfill.backfill_file import BackfillFile
from connector.crm.backfill.decide import Verdict, row_of
from connector.crm.salesforce.client.bulk import Bulk, Gone, Job, State
from connector.crm.salesforce.client.responses import RequestFailed
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.setup.backfill import (
    OBJECT,
    Contacts,
    RowResult,
    exceeds_trigger_limit,
    result_of_error,
    result_of_outcome,
    task_of_row,
)
from connector.crm.salesforce.write.sink import SalesforceSink
from connector.model.errors import ConnectorError, PeerUnavailable
from connector.model.http import Http, HttpCall
from connector.model.outcome import Outcome

T = TypeVar("T")

PAGE_ROWS = 20_000  # per page of a query's result: a few megabytes
JOB_ROWS = 200_000  # per writing job: 7 MB; Salesforce accepts 100
TOGETHER = 1000  # contacts per ordinary request outside the jobs
ROUNDS = 3  # attempts for a contact with a temporary error such as a lock
TRIES = 6  # consecutive attempts of a call, before the command stops for now
FIRST_GAP, GROWTH, MAX_GAP = 0.25, 1.5, 30.0  # seconds between two status checks of a job: small orgs are fast
# A change is stamped when its transaction starts and visible when it ends: Salesforce lets Apex run for ten minutes.
OVERLAP = timedelta(minutes=10)


@dataclass(slots=True)
class JobResults:
    """What became of the contacts of a job, by their Ids."""

    written: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)  # to be tried again
    refused: list[tuple[str, str, str]] = field(default_factory=list)  # each with its verdict and code


class Backfilling:
    """One backfill of one org. `report` prints a progress line, `sleep` waits for seconds."""

    def __init__(
        self,
        http: Http,
        bulk: Bulk,
        contacts: Contacts,
        file: BackfillFile,
        *,
        report: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        job_rows: int = JOB_ROWS,
    ) -> None:
        self._http = http
        self._bulk = bulk
        self._contacts = contacts
        self._file = file
        self._report = report
        self._sleep = sleep
        self._job_rows = job_rows
        self._sink = SalesforceSink("salesforce", api=bulk.api)

    async def read(self) -> None:
        """Read all contacts into the file, and decide on each alone."""
        job = await self._repeat_until_answered(partial(self._bulk.query, self._http, self._contacts.soql))
        self._file.set_facts(since=f"{job.created.astimezone(UTC) - OVERLAP:%Y-%m-%dT%H:%M:%SZ}")
        self._report("Salesforce gathers the contacts")
        job = await self._wait_for_end(job.id, query=True)
        if job.state is not State.JOB_COMPLETE:
            raise ConnectorError(f"Salesforce did not answer the query for contacts ({job.error or job.state})")
        read, locator = 0, None
        while True:
            self._report(f"reading contacts: {read:,} so far")
            table = await self._repeat_until_answered(partial(self._bulk.page, self._http, job.id, locator, PAGE_ROWS))
            rows = [row_of(self._contacts.read(row)) for row in table.rows("Id")]
            self._file.add(rows)
            read += len(rows)
            locator = table.locator
            if locator is None:
                break
        await self._bulk.forget(self._http, job.id)

    async def write(self) -> None:
        """Write all contacts that still need to be filled.

        Raises PeerUnavailable or ConnectorError; in both cases the next call continues from there.
        """
        failures = count(1)
        while True:
            job_id = self._file.current_job()
            if job_id is None:
                job_id = await self._start_job()
                if job_id is None:
                    return
                try:
                    self._report("uploading")
                    await self._bulk.upload(self._http, job_id, self._columns, self._file.rows_of_job(job_id))
                except PeerUnavailable:
                    # Only the job itself knows whether its upload was accepted.
                    if (number := next(failures)) >= TRIES:
                        raise
                    await self._sleep(_pause(number))
            job = await self._repeat_until_answered(partial(self._bulk.look, self._http, job_id))
            if job.state is State.OPEN:
                await self._discard_job(job_id)
            else:
                await self._store_results(job_id)

    async def stop(self) -> None:
        """Stop the current job; rows that are already written stay written."""
        job_id = self._file.current_job()
        if job_id is None:
            return
        try:
            job = await self._repeat_until_answered(partial(self._bulk.look, self._http, job_id))
            if not job.state.ended:
                await self._bulk.abort(self._http, job_id)
        except Gone:
            return

    @property
    def _columns(self) -> tuple[str, str]:
        return "Id", self._contacts.key_field

    async def _start_job(self) -> str | None:
        """A new job with the next contacts of the file; None if none are left."""
        if not self._file.counts().get(Verdict.FILL):
            return None
        await self._leave_out_changed()
        if not self._file.counts().get(Verdict.FILL):
            return None
        job = await self._repeat_until_answered(partial(self._bulk.update, self._http, OBJECT))
        self._file.assign(job.id, self._job_rows)
        return job.id

    async def _discard_job(self, job_id: str) -> None:
        """Discard a job that was never closed: it does nothing and cannot get its rows again, so a new job takes them."""
        with suppress(PeerUnavailable):
            await self._bulk.abort(self._http, job_id)
        self._file.release_job(job_id)

    async def _store_results(self, job_id: str) -> None:
        """Wait for a job and store its results."""
        counts = self._file.counts()
        done, total = counts.get(Verdict.WRITTEN, 0), counts.get(Verdict.WRITTEN, 0) + counts.get(Verdict.FILL, 0)
        job = await self._wait_for_end(job_id, progress=lambda rows: f"writing: {done + rows:,} of {total:,}")
        failed = await self._repeat_until_answered(partial(self._bulk.failed, self._http, job))
        results = JobResults()
        too_many: list[str] = []  # contacts that a trigger refused because of the other rows of their request
        for row in failed.rows("sf__Id", "sf__Error"):
            contact_id = row.get("Id") or row["sf__Id"]
            if exceeds_trigger_limit(row["sf__Error"]):
                too_many.append(contact_id)
            else:
                self._sort(results, contact_id, result_of_error(row["sf__Error"]))
        for contact_id, outcome in await self._in_small_requests(job_id, too_many):
            self._sort(results, contact_id, result_of_outcome(outcome))
        succeeded = await self._repeat_until_answered(partial(self._bulk.succeeded, self._http, job))
        results.written += (row["sf__Id"] for row in succeeded.rows("sf__Id"))
        left = self._file.finish_job(job_id, written=results.written, refused=results.refused, again=results.again)
        if job.state is not State.JOB_COMPLETE or left:
            raise ConnectorError(
                f"Salesforce ended job {job_id} before it was done ({job.error or job.state}): see Setup, Bulk Data Load Jobs; "
                "run the command again to continue"
            )

    def _sort(self, results: JobResults, contact_id: str, result: RowResult) -> None:
        if result.verdict is Verdict.WRITTEN:
            results.written.append(contact_id)
        elif result.may_be_retried and self._file.failed_tries(contact_id) + 1 < ROUNDS:
            results.again.append(contact_id)
        else:
            results.refused.append((contact_id, result.verdict, result.code))

    async def _in_small_requests(self, job_id: str, ids: list[str]) -> list[tuple[str, Outcome]]:
        """Write a job's contacts that the org's triggers rejected in batches of 200; returns their outcomes."""
        if not ids:
            return []
        wanted = set(ids)
        rows = [row for row in self._file.rows_of_job(job_id) if row[0] in wanted]
        written: list[tuple[str, Outcome]] = []
        for start in range(0, len(rows), TOGETHER):
            self._report(f"writing in small requests: {start:,} of {len(rows):,}")
            some = rows[start : start + TOGETHER]
            tasks = [task_of_row(contact_id, self._contacts.key_field, key) for contact_id, key in some]
            outcomes = await self._sink.write(self._http, tasks)
            written += zip((contact_id for contact_id, _ in some), outcomes, strict=True)
        return written

    async def _leave_out_changed(self) -> None:
        """Leave out contacts that were changed since they were read: somebody may have filled them."""
        self._report("looking for contacts that changed meanwhile")
        soql = self._contacts.changed_since(self._file.facts()["since"])
        rest = RestClient(self._bulk.api, self._http)
        call: HttpCall | None = rest.api.query_all(soql)
        while call is not None:
            body = await self._repeat_until_answered(partial(_rows, rest, call))
            self._file.set_verdicts(list(self._changes(body["records"])))
            path = body.get("nextRecordsUrl")
            call = None if body.get("done") is not False else rest.api.read(str(path))

    def _changes(self, records: list[Mapping[str, Any]]) -> Iterator[tuple[Verdict, tuple[str, ...], str]]:
        for record in records:
            planned = self._file.key_to_fill(str(record.get("Id")))
            if planned is None:
                continue
            now = self._contacts.read(record)
            if now.held.casefold() == planned.casefold():
                yield Verdict.FILLED, (), now.id
            elif now.verdict is not Verdict.OPEN or now.wanted != planned:
                yield Verdict.CHANGED, (), now.id

    async def _wait_for_end(
        self, job_id: str, *, query: bool = False, progress: Callable[[int], str] | None = None
    ) -> Job:
        gap = FIRST_GAP
        while True:
            job = await self._repeat_until_answered(partial(self._bulk.look, self._http, job_id, query=query))
            if job.state.ended:
                return job
            if progress is not None:
                self._report(progress(job.processed))
            await self._sleep(gap)
            gap = min(gap * GROWTH, MAX_GAP)

    async def _repeat_until_answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call while waiting may help. Only for calls that may be repeated."""
        for number in count(1):
            try:
                return await ask()
            except PeerUnavailable as error:
                if number == TRIES:
                    raise
                self._report(f"waiting {_pause(number):.0f} s, then try {number + 1} of {TRIES}: {error}")
                await self._sleep(_pause(number))
        raise AssertionError  # the loop always returns or raises.


def _pause(number: int) -> float:
    return min(2.0 ** (number - 1), MAX_GAP)


async def _rows(rest: RestClient, call: HttpCall) -> Mapping[str, Any]:
    try:
        return await rest.rows(call, before=None)
    except RequestFailed as failed:
        why = failed.outcome.detail or failed.outcome.reason
        raise PeerUnavailable(f"Salesforce did not say what has changed ({why})") from None
