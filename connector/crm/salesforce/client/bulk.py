"""Bulk API 2.0: jobs that read or change hundreds of thousands of records with a few calls each.

The caller decides how long to wait between two status checks of a job. Source: Bulk API 2.0 Developer Guide,
"Bulk API 2.0 Ingest", "Bulk API 2.0 Query". simple-salesforce has the same calls, but its bulk client never signs in
again.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson

from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.client.error_codes import BAD_REQUEST, known
from connector.crm.salesforce.client.record_ids import comparable
from connector.crm.salesforce.client.responses import RequestFailed
from connector.crm.salesforce.client.rest import no_answer
from connector.model.errors import ConnectorError, PeerUnavailable
from connector.model.http import Http, HttpCall, HttpError, HttpReply
from connector.model.outcome import Retry

TRANSFER = timedelta(minutes=10)  # for an upload or a page of results: megabytes over a slow connection
NO_LOCATOR = "null"  # Salesforce's value when there is no further page
NOT_FOUND = 404
JOB = "the job cannot be used: see Setup, Bulk Data Load Jobs, then run the command again with --restart"
# Rejections of the whole job that do not go away by waiting. Source: Bulk API Developer Guide, "Errors". REST responses
# write these names in capital letters, with or without `_`.
CURES = {
    **dict.fromkeys(
        ("INVALIDJOB", "INVALID_JOB"),
        "see Salesforce's message: a field is wrong, or another user created the job",
    ),
    **dict.fromkeys(("INVALIDJOBSTATE", "INVALID_JOB_STATE", "INVALIDBATCH", "INVALID_BATCH"), JOB),
    **dict.fromkeys(
        ("EXCEEDEDQUOTA", "EXCEEDED_QUOTA"),
        "the org's bulk jobs of 24 hours are used up: see in Setup, Bulk Data Load Jobs, who makes them; run this again tomorrow",
    ),
    **dict.fromkeys(
        ("FEATURENOTENABLED", "FEATURE_NOT_ENABLED"),
        "the org's edition has no Bulk API, or it is not switched on: ask Salesforce",
    ),
    **dict.fromkeys(
        ("INVALIDUSER", "INVALID_USER"),
        "the user lacks the right to use the Bulk API, or another user made the job: use that user, or --restart",
    ),
    "API_ERROR": JOB,
    "CLIENTINPUTERROR": JOB,
}


class Gone(ConnectorError):  # noqa: N818 - named after the state that it reports.
    """The org has no such job: jobs are deleted after seven days."""


class State(StrEnum):
    """The states of a job, named as Salesforce names them."""

    OPEN = "Open"
    UPLOAD_COMPLETE = "UploadComplete"
    IN_PROGRESS = "InProgress"
    JOB_COMPLETE = "JobComplete"
    FAILED = "Failed"
    ABORTED = "Aborted"

    @property
    def ended(self) -> bool:
        """Whether the job is finished."""
        return self in {State.JOB_COMPLETE, State.FAILED, State.ABORTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as Salesforce describes it."""

    id: str
    state: State
    created: datetime  # by Salesforce's clock
    processed: int = 0  # rows that have a result
    failed: int = 0  # those of them that were rejected
    error: str = ""  # why the whole job failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows as CSV. Can be read only once: rows are parsed one by one, so that the text is in memory only once."""

    body: bytes
    locator: str | None = None  # of the next page
    expected: int | None = None  # number of rows announced by Salesforce

    def rows(self, *needed: str) -> Iterator[Mapping[str, str]]:
        """Each row by column name; the columns include those needed. An empty field is an empty string.

        Raises PeerUnavailable if it is a different table or is incomplete.
        """
        reader = csv.DictReader(
            io.TextIOWrapper(io.BytesIO(self.body), encoding="utf-8-sig", errors="replace", newline=""), restval=""
        )
        if self.body and not set(needed) <= set(reader.fieldnames or ()):
            raise PeerUnavailable("Salesforce sent other results than were asked for")
        count = 0
        for count, row in enumerate(reader, 1):  # noqa: B007 - it is used after the loop.
            yield row
        if self.expected not in {None, count}:
            raise PeerUnavailable(f"Salesforce sent {count} of {self.expected} results")


@dataclass(frozen=True, slots=True)
class Bulk:
    """Makes the Bulk API calls of one org.

    Every method raises PeerUnavailable if a retry may help, else ConnectorError with Salesforce's own message.
    """

    api: Api

    async def query(self, http: Http, soql: str, *, deleted: bool = False) -> Job:
        """Start a query job; with `deleted` it also reads the Recycle Bin."""
        call = self._json("POST", "query", {"operation": "queryAll" if deleted else "query", "query": soql})
        return await _asked(http, call, "the query", new=True)

    async def update(self, http: Http, object_name: str) -> Job:
        """Open a job that updates records by their Id."""
        job = {"object": object_name, "operation": "update", "contentType": "CSV", "lineEnding": "LF"}
        call = self._json("POST", "ingest", job)
        return await _asked(http, call, "a job that changes records", new=True)

    async def upload(self, http: Http, job_id: str, columns: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
        """Upload the rows of an open job and close it, so that it starts. Rows can be uploaded only once per job."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        body = text.getvalue().encode()
        text.close()
        upload = HttpCall(
            method="PUT",
            path=f"{self._root}/ingest/{job_id}/batches",
            body=body,
            headers={"Content-Type": "text/csv; charset=UTF-8", "Accept": "application/json"},
            timeout=TRANSFER,
        )
        await _call(http, upload, "the upload")
        close = self._json("PATCH", f"ingest/{job_id}", {"state": State.UPLOAD_COMPLETE})
        job = await _asked(http, close, "the upload")
        if comparable(job.id) != comparable(job_id) or job.state in {State.OPEN, State.ABORTED}:
            raise PeerUnavailable("the answer to the upload is about another job: check url:")

    async def abort(self, http: Http, job_id: str) -> Job:
        """Stop an unfinished job; rows that are already written stay written."""
        return await _asked(http, self._json("PATCH", f"ingest/{job_id}", {"state": State.ABORTED}), "the job")

    async def look(self, http: Http, job_id: str, *, query: bool = False) -> Job:
        """The current state of a job. Raises Gone."""
        path = f"{self._root}/{'query' if query else 'ingest'}/{job_id}"
        job = await _asked(http, self.api.read(path), "the job")
        if comparable(job.id) != comparable(job_id):
            raise PeerUnavailable("the answer is about another job: check url:")
        return job

    async def page(self, http: Http, job_id: str, locator: str | None, most: int) -> Table:
        """A page of a query's result: the first one, or the one at a locator."""
        path = f"{self._root}/query/{job_id}/results?maxRecords={most}"
        table = await self._table(http, path if locator is None else f"{path}&locator={locator}")
        if table.expected is None:
            raise PeerUnavailable("Salesforce does not say how many results it sent")
        if locator is not None and table.locator == locator:
            raise PeerUnavailable("Salesforce sent a page of results that leads to itself")
        return table

    async def failed(self, http: Http, job: Job) -> Table:
        """The rejected rows, each with sf__Id and sf__Error."""
        table = await self._table(http, f"{self._root}/ingest/{job.id}/failedResults")
        return replace(table, expected=job.failed)

    async def succeeded(self, http: Http, job: Job) -> Table:
        """The written rows, each with sf__Id. Rows in neither table were not processed."""
        table = await self._table(http, f"{self._root}/ingest/{job.id}/successfulResults")
        return replace(table, expected=job.processed - job.failed)

    async def forget(self, http: Http, job_id: str) -> None:
        """Delete a finished query job and its results. It does no harm if it cannot be deleted."""
        with suppress(HttpError):
            await http.call(HttpCall(method="DELETE", path=f"{self._root}/query/{job_id}"))

    @property
    def _root(self) -> str:
        return f"{self.api.root}/jobs"

    def _json(self, method: str, path: str, body: Mapping[str, Any]) -> HttpCall:
        headers = {"Content-Type": "application/json; charset=UTF-8", "Accept": "application/json"}
        return HttpCall(method=method, path=f"{self._root}/{path}", body=orjson.dumps(body), headers=headers)

    async def _table(self, http: Http, path: str) -> Table:
        read = self.api.read(path)
        headers = {**read.headers, "Accept": "text/csv"}
        call = HttpCall(method="GET", path=path, headers=headers, timeout=TRANSFER, repeatable=True, table=True)
        results = await _call(http, call, "the results")
        locator = results.headers.get("sforce-locator", NO_LOCATOR)
        count = results.headers.get("sforce-numberofrecords", "")
        return Table(
            body=results.body,
            locator=None if locator in {"", NO_LOCATOR} else locator,
            expected=int(count) if count.isascii() and count.isdigit() else None,
        )


async def _asked(http: Http, call: HttpCall, what: str, *, new: bool = False) -> Job:
    return _job((await _call(http, call, what, new=new)).body, what)


async def _call(http: Http, call: HttpCall, what: str, *, new: bool = False) -> HttpReply:
    """The reply if it is not a rejection. Unless the job is `new`, NOT_FOUND means that it was deleted."""
    try:
        reply = await http.call(call)
    except HttpError as error:
        raise _refusal(no_answer(error), what, new=new) from None
    if reply.status not in responses.OK:
        raise _refusal(responses.failed(responses.answer(reply)), what, new=new)
    return reply


def _refusal(failure: RequestFailed, what: str, *, new: bool) -> ConnectorError:
    """What went wrong, and how to fix it."""
    detail = failure.outcome.detail or failure.outcome.reason.value
    if failure.status == NOT_FOUND and failure.code == "NOT_FOUND" and not new:
        return Gone(f"Salesforce knows no such job ({what}): jobs are kept for seven days; start again with --restart")
    if failure.code in CURES:
        return ConnectorError(f"Salesforce refuses {what} ({detail}): {CURES[failure.code]}")
    # A retry can help only for known codes; a bad request with any other code will fail again.
    if isinstance(failure.outcome, Retry) and not (failure.status == BAD_REQUEST and not known(failure.code)):
        return PeerUnavailable(f"Salesforce did not take {what} ({detail})")
    return ConnectorError(
        f"Salesforce refuses {what} ({detail}): Bulk API 2.0 needs api_version 47.0 or later, the permission API Enabled, and "
        "rights on the object and its fields"
    )


def _job(raw: bytes, what: str) -> Job:
    try:
        body = orjson.loads(raw)
        return Job(
            id=str(body["id"]),
            state=State(body["state"]),
            created=datetime.fromisoformat(body["createdDate"]),
            processed=int(body.get("numberRecordsProcessed") or 0),
            failed=int(body.get("numberRecordsFailed") or 0),
            error=str(body.get("errorMessage") or ""),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PeerUnavailable(f"the answer to {what} is not about a job: check url:") from error
