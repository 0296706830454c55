"""Routes of Bulk API 2.0: ingest and query jobs are created, filled, closed, queried, aborted and deleted.

Bulk API 2.0 Developer Guide, "Bulk API 2.0 Ingest", "Bulk API 2.0 Query". bulk_work.py does the work.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from itertools import count
from typing import Any

from connector.sandbox.salesforce.bulk_jobs import DELIMITERS, ENDED, ENDINGS, Job, JobState, csv_table
from connector.sandbox.salesforce.bulk_work import Workers
from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.exchange import Answer, Call
from connector.sandbox.salesforce.identifiers import record_id
from connector.sandbox.salesforce.records import find_key, find_object
from connector.sandbox.salesforce.refusals import RequestRefusedError, not_found
from connector.sandbox.salesforce.soql import parse
from connector.sandbox.salesforce.soql_sql import Statement, compile_query

INGESTS = frozenset({"insert", "update", "upsert", "delete"})
QUERIES = frozenset({"query", "queryAll"})
LARGEST_UPLOAD = 150_000_000  # bytes of one job's data
MOST_ROWS = 50_000  # per response of a query, even if more are requested
NO_LOCATOR = "null"


class Bulk:
    """All jobs of the org."""

    def __init__(self, database: Database, workers: Workers) -> None:
        self._database = database
        self._workers = workers
        self._jobs: dict[str, Job] = {}
        self._numbers = count(1)

    async def forget(self) -> None:
        """Stop all work and forget all jobs."""
        await self._workers.stop()
        self._jobs.clear()

    def answer(self, call: Call, rest: Sequence[str]) -> Answer:
        """Answer calls below /jobs."""
        match call.method, rest:
            case "POST", ["ingest" | "query" as kind]:
                return Answer(body=(self._new_ingest(call) if kind == "ingest" else self._new_query(call)).as_json())
            case "GET", ["ingest" | "query" as kind]:
                found = [job.as_json() for job in self._jobs.values() if job.kind == kind]
                return Answer(body={"done": True, "nextRecordsUrl": None, "records": found})
            case _, ["ingest" | "query" as kind, name, *what]:
                return self._of_job(call, self._job(kind, name), [part.lower() for part in what])
            case _:
                raise not_found()

    def _of_job(self, call: Call, job: Job, what: list[str]) -> Answer:
        match call.method, what:
            case "GET", []:
                return Answer(body=job.as_json())
            case "PATCH", []:
                self._set_state(job, call.fields.get("state"))
                return Answer(body=job.as_json())
            case "DELETE", []:
                if job.state not in ENDED:
                    raise _wrong_state(f"a job that is {job.state} cannot be deleted")
                del self._jobs[job.id]
                return Answer(status=204)
            case "PUT", ["batches"] if job.kind == "ingest":
                self._upload(job, call.raw)
                return Answer(status=201)
            case "GET", ["successfulresults" | "failedresults" | "unprocessedrecords" as part] if job.kind == "ingest":
                return Answer(csv=job.results(part))
            case "GET", ["results"] if job.kind == "query":
                return _page(job, call)
            case _:
                raise not_found()

    def _job(self, kind: str, name: str) -> Job:
        job = self._jobs.get(name) or self._jobs.get(name[:15])
        if job is None or job.kind != kind:
            raise not_found()
        return job

    def _new_ingest(self, call: Call) -> Job:
        document = call.fields
        operation = document.get("operation")
        if operation not in INGESTS:
            raise _invalid(f"operation must be one of {', '.join(sorted(INGESTS))}")
        sobject = find_object(self._database.schema, str(document.get("object")))
        key = None
        if operation == "upsert":
            key = find_key(sobject, str(document.get("externalIdFieldName"))).name
        return self._keep(call, Job(kind="ingest", operation=operation, sobject=sobject, key=key))

    def _new_query(self, call: Call) -> Job:
        operation, text = call.fields.get("operation"), call.fields.get("query")
        if operation not in QUERIES or not isinstance(text, str):
            raise _invalid("operation must be query or queryAll, and query a SOQL query")
        statement = compile_query(self._database.schema, parse(text), deleted=operation == "queryAll")
        if statement.counting:
            raise RequestRefusedError(400, "API_ERROR", "Aggregate functions are not supported in bulk queries")
        job = Job(kind="query", operation=operation, sobject=statement.source, state=JobState.UPLOAD_COMPLETE)
        self._keep(call, job)
        self._workers.query(job, lambda: self._rows(statement))
        return job

    def _keep(self, call: Call, job: Job) -> Job:
        delimiter, ending = call.fields.get("columnDelimiter", "COMMA"), call.fields.get("lineEnding", "LF")
        if delimiter not in DELIMITERS or ending not in ENDINGS or call.fields.get("contentType", "CSV") != "CSV":
            raise _invalid("contentType, columnDelimiter or lineEnding is none that there is")
        job.delimiter, job.ending, job.version = delimiter, ending, call.version.removeprefix("v")
        job.id = record_id("750", next(self._numbers))
        job.created, job.creator = call.author.stamp, call.author.user
        self._jobs[job.id] = job
        return job

    def _rows(self, statement: Statement) -> tuple[list[str], list[tuple[Any, ...]]]:
        rows = self._database.connection.execute(statement.sql, statement.parameters).fetchall()
        booleans = [column.boolean for column in statement.columns]
        first = 1 + len(statement.parent_ids)
        names = [".".join(column.names) for column in statement.columns]
        return names, [tuple(map(_cell, row[first:], booleans)) for row in rows]

    @staticmethod
    def _upload(job: Job, raw: bytes) -> None:
        if job.state is not JobState.OPEN or job.data is not None:
            raise _wrong_state("data can be uploaded once, while the job is Open")
        if len(raw) > LARGEST_UPLOAD:
            raise RequestRefusedError(413, "CLIENT_ERROR", "the data is larger than a job may hold")
        job.data = raw

    def _set_state(self, job: Job, wanted: object) -> None:
        if wanted == JobState.ABORTED.value and job.state not in ENDED:
            job.state = JobState.ABORTED
        elif wanted == JobState.UPLOAD_COMPLETE.value and job.kind == "ingest" and job.state is JobState.OPEN:
            job.state = JobState.UPLOAD_COMPLETE
            self._workers.ingest(job)
        else:
            raise _wrong_state(f"a job that is {job.state} cannot become {wanted}")


def _page(job: Job, call: Call) -> Answer:
    if job.state is not JobState.JOB_COMPLETE:
        raise _wrong_state(f"a job that is {job.state} has no results")
    try:
        start = int(urlsafe_b64decode(call.query["locator"])) if "locator" in call.query else 0
        most = min(MOST_ROWS, int(call.query.get("maxRecords", MOST_ROWS)))
    except ValueError:
        raise RequestRefusedError(400, "INVALID_QUERY_LOCATOR", "invalid query locator or maxRecords") from None
    rows = job.rows[start : start + most]
    end = start + len(rows)
    locator = urlsafe_b64encode(str(end).encode()).decode() if end < len(job.rows) else NO_LOCATOR
    headers = {"Sforce-NumberOfRecords": str(len(rows)), "Sforce-Locator": locator}
    return Answer(csv=csv_table(job, job.columns, rows), headers=headers)


def _cell(value: Any, boolean: bool) -> Any:  # noqa: FBT001 - it is used in a comprehension.
    if boolean:
        return "true" if value else "false"
    # A bulk query writes a time's zone as Z, the REST API as +0000.
    return f"{value[:-5]}Z" if isinstance(value, str) and value.endswith(".000+0000") else value


def _invalid(message: str) -> RequestRefusedError:
    return RequestRefusedError(400, "INVALIDJOB", f"InvalidJob : {message}")


def _wrong_state(message: str) -> RequestRefusedError:
    return RequestRefusedError(400, "INVALIDJOBSTATE", message)
