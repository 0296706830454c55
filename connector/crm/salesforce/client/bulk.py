"""Bulk API 2.0: jobs that read or change hundreds of thousands of records, each job a handful of calls.

Sans I/O. Who waits between two looks at a job, and how long, is the caller's affair.
Source: Bulk API 2.0 Developer Guide, "Bulk API 2.0 Ingest", "Bulk API 2.0 Query". simple-salesforce has the same calls, but its
bulk client never signs in again.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson

from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.client.error_codes import BAD_REQUEST, known
from connector.crm.salesforce.client.record_ids import comparable
from connector.crm.salesforce.client.responses import Failed
from connector.model.errors import ConnectorError, PeerUnavailable
from connector.model.http import Exchange, HttpCall, HttpReply, Reply
from connector.model.outcome import Retry

TRANSFER = timedelta(minutes=10)  # for an upload or a page of results: megabytes over a nonprofit's line
NO_LOCATOR = "null"  # what Salesforce says where no further page is
NOT_FOUND = 404
JOB = "the job cannot be used: see in Setup, Bulk Data Load Jobs, what became of it, then run the command anew with --restart"
# Refusals of the whole job that waiting does not mend. Source: Bulk API Developer Guide, "Errors"; REST answers write these names in
# capital letters, without or with `_`.
CURES = {
    **dict.fromkeys(
        ("INVALIDJOB", "INVALID_JOB"),
        "see Salesforce's words: a field that is named does not fit, or another user made the job",
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


class Gone(ConnectorError):  # noqa: N818 - it reads as the state it tells of.
    """The org knows no such job: jobs are deleted after seven days."""


class State(StrEnum):
    """The states of a job, in Salesforce's words."""

    OPEN = "Open"
    UPLOAD_COMPLETE = "UploadComplete"
    IN_PROGRESS = "InProgress"
    JOB_COMPLETE = "JobComplete"
    FAILED = "Failed"
    ABORTED = "Aborted"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self in {State.JOB_COMPLETE, State.FAILED, State.ABORTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as Salesforce tells of it."""

    id: str
    state: State
    created: datetime  # by Salesforce's clock
    processed: int = 0  # rows that have their result
    failed: int = 0  # of these, the refused ones
    error: str = ""  # why it failed as a whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows as CSV. Read it once: the rows are taken apart one by one, so that their text is in memory only once."""

    body: bytes
    locator: str | None = None  # of the next page
    expected: int | None = None  # how many rows Salesforce says there are

    def rows(self, *needed: str) -> Iterator[Mapping[str, str]]:
        """Each row by the names of its columns, among which are those needed. An empty field is an empty text.

        Raises PeerUnavailable where it is another table, or not all of it.
        """
        reader = csv.DictReader(
            io.TextIOWrapper(io.BytesIO(self.body), encoding="utf-8-sig", errors="replace", newline=""), restval=""
        )
        if self.body and not set(needed) <= set(reader.fieldnames or ()):
            raise PeerUnavailable("Salesforce sent other results than were asked for")
        count = 0
        for count, row in enumerate(reader, 1):  # noqa: B007 - it is looked at behind the loop.
            yield row
        if self.expected not in {None, count}:
            raise PeerUnavailable(f"Salesforce sent {count} of {self.expected} results")


@dataclass(frozen=True, slots=True)
class Bulk:
    """Makes the calls of one org.

    Everything here raises PeerUnavailable where waiting mends it, else ConnectorError with Salesforce's own words.
    """

    api: Api

    def query(self, soql: str, *, deleted: bool = False) -> Exchange[Job]:
        """Have a query answered; with `deleted` for records in the Recycle Bin too."""
        call = self._json("POST", "query", {"operation": "queryAll" if deleted else "query", "query": soql})
        return (yield from self._asked(call, "the query", new=True))

    def update(self, object_name: str) -> Exchange[Job]:
        """Open a job that changes records by their Id."""
        wish = {"object": object_name, "operation": "update", "contentType": "CSV", "lineEnding": "LF"}
        call = self._json("POST", "ingest", wish)
        return (yield from self._asked(call, "a job that changes records", new=True))

    def upload(self, job_id: str, columns: Sequence[str], rows: Iterator[Sequence[str]]) -> Exchange[None]:
        """Give an open job its rows and close it, so that the work begins. A job can be given rows only once."""
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
        (reply,) = yield [upload]
        _reply(reply, "the upload")
        job = yield from self._asked(
            self._json("PATCH", f"ingest/{job_id}", {"state": State.UPLOAD_COMPLETE}), "the upload"
        )
        if comparable(job.id) != comparable(job_id) or job.state in {State.OPEN, State.ABORTED}:
            raise PeerUnavailable("what answers in place of Salesforce for the upload tells of another job: check url:")

    def abort(self, job_id: str) -> Exchange[Job]:
        """Stop a job that has not ended; what it has done stays done."""
        return (yield from self._asked(self._json("PATCH", f"ingest/{job_id}", {"state": State.ABORTED}), "the job"))

    def look(self, job_id: str, *, query: bool = False) -> Exchange[Job]:
        """How far a job is. Raises Gone."""
        path = f"{self._root}/{'query' if query else 'ingest'}/{job_id}"
        job = yield from self._asked(self.api.read(path), "the job")
        if comparable(job.id) != comparable(job_id):
            raise PeerUnavailable("what answers in place of Salesforce tells of another job: check url:")
        return job

    def page(self, job_id: str, locator: str | None, most: int) -> Exchange[Table]:
        """A page of a query's answer: the first, or that of a locator."""
        path = f"{self._root}/query/{job_id}/results?maxRecords={most}"
        table = yield from self._table(path if locator is None else f"{path}&locator={locator}")
        if table.expected is None:
            raise PeerUnavailable("Salesforce does not say how many results it sent")
        return table

    def failed(self, job: Job) -> Exchange[Table]:
        """The rows that were refused, each with sf__Id and sf__Error."""
        table = yield from self._table(f"{self._root}/ingest/{job.id}/failedResults")
        return replace(table, expected=job.failed)

    def succeeded(self, job: Job) -> Exchange[Table]:
        """The rows that were written, each with sf__Id. Those of neither kind the job did not come to."""
        table = yield from self._table(f"{self._root}/ingest/{job.id}/successfulResults")
        return replace(table, expected=job.processed - job.failed)

    def forget(self, job_id: str) -> Exchange[None]:
        """Delete a query job that has ended, with its results; that it cannot be deleted does no harm."""
        yield [HttpCall(method="DELETE", path=f"{self._root}/query/{job_id}")]

    @property
    def _root(self) -> str:
        return f"{self.api.root}/jobs"

    def _json(self, method: str, path: str, body: Mapping[str, Any]) -> HttpCall:
        headers = {"Content-Type": "application/json; charset=UTF-8", "Accept": "application/json"}
        return HttpCall(method=method, path=f"{self._root}/{path}", body=orjson.dumps(body), headers=headers)

    @staticmethod
    def _asked(call: HttpCall, what: str, *, new: bool = False) -> Exchange[Job]:
        (reply,) = yield [call]
        return _job(_reply(reply, what, new=new).body, what)

    def _table(self, path: str) -> Exchange[Table]:
        read = self.api.read(path)
        headers = {**read.headers, "Accept": "text/csv"}
        (reply,) = yield [
            HttpCall(method="GET", path=path, headers=headers, timeout=TRANSFER, repeatable=True, table=True)
        ]
        results = _reply(reply, "the results")
        locator = results.headers.get("sforce-locator", NO_LOCATOR)
        count = results.headers.get("sforce-numberofrecords", "")
        return Table(
            body=results.body,
            locator=None if locator in {"", NO_LOCATOR} else locator,
            expected=int(count) if count.isascii() and count.isdigit() else None,
        )


def _reply(reply: Reply, what: str, *, new: bool = False) -> HttpReply:
    """The reply, where it is none of refusal; of a job that is not `new`, NOT_FOUND tells that it is gone."""
    if isinstance(reply, HttpReply) and reply.status in responses.OK:
        return reply
    whole = responses.answer(reply)
    failure = whole if isinstance(whole, Failed) else responses.failed(whole)
    detail = failure.outcome.detail or failure.outcome.reason.value
    if failure.status == NOT_FOUND and failure.code == "NOT_FOUND" and not new:
        raise Gone(f"Salesforce knows no such job ({what}): jobs are kept for seven days; start anew with --restart")
    if failure.code in CURES:
        raise ConnectorError(f"Salesforce refuses {what} ({detail}): {CURES[failure.code]}")
    # What waiting may mend has a code that is known for it; of a bad request with any other code nothing will change.
    if isinstance(failure.outcome, Retry) and not (failure.status == BAD_REQUEST and not known(failure.code)):
        raise PeerUnavailable(f"Salesforce did not take {what} ({detail})")
    raise ConnectorError(
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
        raise PeerUnavailable(f"what answers in place of Salesforce for {what} tells of no job: check url:") from error
