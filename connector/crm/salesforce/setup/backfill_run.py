"""Runs a backfill: reads all contacts, and writes in jobs. Can be interrupted at any time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, timedelta
from functools import partial
from itertools import count
from typing import Any, TypeVar

from connector.crm.backfill.book import BackfillBook
from connector.crm.backfill.decide import Verdict, line_of
from connector.crm.salesforce.client.bulk import Bulk, Gone, Job, State
from connector.crm.salesforce.client.responses import RequestFailed
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.setup.backfill import (
    OBJECT,
    Contacts,
    crowded,
    refusal,
    settled,
    written_alone,
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


class Backfilling:
    """One backfill of one org. `report` prints a progress line, `sleep` waits for seconds."""

    def __init__(
        self,
        http: Http,
        bulk: Bulk,
        contacts: Contacts,
        book: BackfillBook,
        *,
        report: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        job_rows: int = JOB_ROWS,
    ) -> None:
        self._http = http
        self._bulk = bulk
        self._contacts = contacts
        self._book = book
        self._report = report
        self._sleep = sleep
        self._job_rows = job_rows
        self._sink = SalesforceSink("salesforce", api=bulk.api)

    async def read(self) -> None:
        """Read all contacts into the file, and decide on each alone."""
        job = await self._insist(partial(self._bulk.query, self._http, self._contacts.soql))
        self._book.note(since=f"{job.created.astimezone(UTC) - OVERLAP:%Y-%m-%dT%H:%M:%SZ}")
        self._report("Salesforce gathers the contacts")
        job = await self._ended(job.id, query=True)
        if job.state is not State.JOB_COMPLETE:
            raise ConnectorError(f"Salesforce did not answer the query for contacts ({job.error or job.state})")
        read, locator = 0, None
        while True:
            self._report(f"reading contacts: {read:,} so far")
            table = await self._insist(partial(self._bulk.page, self._http, job.id, locator, PAGE_ROWS))
            lines = [line_of(self._contacts.read(row)) for row in table.rows("Id")]
            self._book.add(lines)
            read += len(lines)
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
            job_id = self._book.job()
            if job_id is None:
                job_id = await self._take()
                if job_id is None:
                    return
                try:
                    self._report("uploading")
                    await self._bulk.upload(self._http, job_id, self._columns, self._book.rows(job_id))
                except PeerUnavailable:
                    # Only the job itself knows whether its upload was accepted.
                    if (number := next(failures)) >= TRIES:
                        raise
                    await self._sleep(_pause(number))
            job = await self._insist(partial(self._bulk.look, self._http, job_id))
            if job.state is State.OPEN:
                await self._drop(job_id)
            else:
                await self._follow(job_id)

    async def stop(self) -> None:
        """Stop the current job; rows that are already written stay written."""
        job_id = self._book.job()
        if job_id is None:
            return
        try:
            job = await self._insist(partial(self._bulk.look, self._http, job_id))
            if not job.state.ended:
                await self._bulk.abort(self._http, job_id)
        except Gone:
            return

    @property
    def _columns(self) -> tuple[str, str]:
        return "Id", self._contacts.key_field

    async def _take(self) -> str | None:
        """A new job with the next contacts of the file; None if none are left."""
        if not self._book.counts().get(Verdict.FILL):
            return None
        await self._drop_changed()
        if not self._book.counts().get(Verdict.FILL):
            return None
        job = await self._insist(partial(self._bulk.update, self._http, OBJECT))
        self._book.take(job.id, self._job_rows)
        return job.id

    async def _drop(self, job_id: str) -> None:
        """Discard a job that was never closed: it does nothing and cannot get its rows again, so a new job takes them."""
        with suppress(PeerUnavailable):
            await self._bulk.abort(self._http, job_id)
        self._book.release(job_id)

    async def _follow(self, job_id: str) -> None:
        """Wait for a job and store its results."""
        counts = self._book.counts()
        done, total = counts.get(Verdict.WRITTEN, 0), counts.get(Verdict.WRITTEN, 0) + counts.get(Verdict.FILL, 0)
        job = await self._ended(job_id, progress=lambda rows: f"writing: {done + rows:,} of {total:,}")
        failed = await self._insist(partial(self._bulk.failed, self._http, job))
        refused: list[tuple[str, str, str]] = []
        again: list[str] = []
        written: list[str] = []
        candidates: list[str] = []
        for row in failed.rows("sf__Id", "sf__Error"):
            one = row.get("Id") or row["sf__Id"]
            verdict, code, worth = refusal(row["sf__Error"])
            if crowded(row["sf__Error"]):
                candidates.append(one)
            elif worth and self._book.tries(one) + 1 < ROUNDS:
                again.append(one)
            else:
                refused.append((one, verdict, code))
        for one, outcome in await self._in_small_requests(job_id, candidates):
            verdict, code, worth = settled(outcome)
            if verdict is Verdict.WRITTEN:
                written.append(one)
            elif worth and self._book.tries(one) + 1 < ROUNDS:
                again.append(one)
            else:
                refused.append((one, verdict, code))
        succeeded = await self._insist(partial(self._bulk.succeeded, self._http, job))
        written += (row["sf__Id"] for row in succeeded.rows("sf__Id"))
        left = self._book.conclude(job_id, written=written, refused=refused, again=again)
        if job.state is not State.JOB_COMPLETE or left:
            raise ConnectorError(
                f"Salesforce ended job {job_id} before it was done ({job.error or job.state}): see Setup, Bulk Data Load Jobs; "
                "run the command again to continue"
            )

    async def _in_small_requests(self, job_id: str, ids: list[str]) -> list[tuple[str, Outcome]]:
        """Write a job's contacts that the org's triggers rejected in batches of 200; returns their outcomes."""
        if not ids:
            return []
        wanted = set(ids)
        rows = [row for row in self._book.rows(job_id) if row[0] in wanted]
        ended: list[tuple[str, Outcome]] = []
        for start in range(0, len(rows), TOGETHER):
            self._report(f"writing in small requests: {start:,} of {len(rows):,}")
            some = rows[start : start + TOGETHER]
            tasks = [written_alone(one, self._contacts.key_field, key) for one, key in some]
            outcomes = await self._sink.write(self._http, tasks)
            ended += zip((one for one, _ in some), outcomes, strict=True)
        return ended

    async def _drop_changed(self) -> None:
        """Leave out contacts that were changed since they were read: somebody may have filled them."""
        self._report("looking for contacts that changed meanwhile")
        soql = self._contacts.changed_since(self._book.facts()["since"])
        rest = RestClient(self._bulk.api, self._http)
        call: HttpCall | None = rest.api.query_all(soql)
        while call is not None:
            body = await self._insist(partial(_rows, rest, call))
            self._book.set_verdicts(list(self._changes(body["records"])))
            path = body.get("nextRecordsUrl")
            call = None if body.get("done") is not False else rest.api.read(str(path))

    def _changes(self, records: list[Mapping[str, Any]]) -> Iterator[tuple[Verdict, tuple[str, ...], str]]:
        for record in records:
            planned = self._book.wanted(str(record.get("Id")))
            if planned is None:
                continue
            now = self._contacts.read(record)
            if now.held.casefold() == planned.casefold():
                yield Verdict.FILLED, (), now.id
            elif now.verdict is not Verdict.OPEN or now.wanted != planned:
                yield Verdict.CHANGED, (), now.id

    async def _ended(self, job_id: str, *, query: bool = False, progress: Callable[[int], str] | None = None) -> Job:
        gap = FIRST_GAP
        while True:
            job = await self._insist(partial(self._bulk.look, self._http, job_id, query=query))
            if job.state.ended:
                return job
            if progress is not None:
                self._report(progress(job.processed))
            await self._sleep(gap)
            gap = min(gap * GROWTH, MAX_GAP)

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
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
