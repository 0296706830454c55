"""A bulk job: its request, its state, and its results as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from connector.sandbox.salesforce.fields import SObject

DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
ENDINGS = {"LF": "\n", "CRLF": "\r\n"}


class JobState(StrEnum):
    """The states of a job, named as Salesforce names them."""

    OPEN = "Open"
    UPLOAD_COMPLETE = "UploadComplete"
    IN_PROGRESS = "InProgress"
    JOB_COMPLETE = "JobComplete"
    FAILED = "Failed"
    ABORTED = "Aborted"


ENDED = frozenset({JobState.JOB_COMPLETE, JobState.FAILED, JobState.ABORTED})


@dataclass(slots=True, kw_only=True)
class Job:
    """One ingest or query job; for an ingest, the succeeded and failed rows. All other rows are unprocessed."""

    kind: str
    operation: str
    sobject: SObject
    key: str | None = None
    state: JobState = JobState.OPEN
    id: str = ""
    version: str = ""
    created: str = ""
    creator: str = ""
    delimiter: str = "COMMA"
    ending: str = "LF"
    data: bytes | None = None
    error: str = ""
    columns: list[str] = field(default_factory=list)
    rows: Sequence[Sequence[Any]] = ()
    succeeded: list[tuple[int, str, bool]] = field(default_factory=list)  # row, id, whether it was created
    failed: list[tuple[int, str, str]] = field(default_factory=list)  # row, id if known, error

    @property
    def processed(self) -> int:
        """The number of rows that have a result."""
        return len(self.rows) if self.kind == "query" else len(self.succeeded) + len(self.failed)

    def as_json(self) -> dict[str, Any]:
        """The JSON that the API returns."""
        described: dict[str, Any] = {
            "id": self.id,
            "operation": self.operation,
            "object": self.sobject.name,
            "createdById": self.creator,
            "createdDate": self.created,
            "systemModstamp": self.created,
            "state": self.state.value,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(self.version),
            "lineEnding": self.ending,
            "columnDelimiter": self.delimiter,
            "numberRecordsProcessed": self.processed,
            "retries": 0,
            "totalProcessingTime": 0,
        }
        if self.kind == "ingest":
            described |= {
                "jobType": "V2Ingest",
                "contentUrl": f"services/data/v{self.version}/jobs/ingest/{self.id}/batches",
                "numberRecordsFailed": len(self.failed),
                "apiActiveProcessingTime": 0,
                "apexProcessingTime": 0,
            }
        else:
            described["jobType"] = "V2Query"
        if self.key:
            described["externalIdFieldName"] = self.key
        return described | ({"errorMessage": self.error} if self.error else {})

    def results(self, part: str) -> bytes:
        """One kind of results of an ingest job; empty without results."""
        rows: Iterable[Sequence[Any]]
        if part == "successfulresults":
            columns = ["sf__Id", "sf__Created", *self.columns]
            rows = [(found, str(created).lower(), *self.rows[row]) for row, found, created in self.succeeded]
        elif part == "failedresults":
            columns = ["sf__Id", "sf__Error", *self.columns]
            rows = [(found, error, *self.rows[row]) for row, found, error in self.failed]
        else:
            done = {row for row, *_ in (*self.succeeded, *self.failed)}
            columns = self.columns
            rows = [values for row, values in enumerate(self.rows) if row not in done]
        return csv_table(self, columns, rows)

    def read(self) -> None:
        """Parse the uploaded data. Raises ValueError with the job's error message."""
        try:
            text = (self.data or b"").decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ValueError("InvalidBatch : The data is not UTF-8") from None
        lines = list(csv.reader(io.StringIO(text), delimiter=DELIMITERS[self.delimiter], strict=True))
        if not lines:
            raise ValueError("InvalidBatch : The data has no header")
        self.columns, self.rows = lines[0], lines[1:]
        if unknown := [name for name in self.columns if not _is_column(self.sobject, name)]:
            raise ValueError(f"InvalidBatch : Field name not found : {unknown[0]}")
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError("InvalidBatch : A row has more or fewer columns than the header")


def _is_column(sobject: SObject, name: str) -> bool:
    relationship, dot, _ = name.rpartition(":")[2].partition(".")
    return relationship.lower() in sobject.relationships if dot else sobject.find(name) is not None


def csv_table(job: Job, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows below their header, every value quoted as Salesforce does."""
    text = io.StringIO()
    writer = csv.writer(
        text, delimiter=DELIMITERS[job.delimiter], lineterminator=ENDINGS[job.ending], quoting=csv.QUOTE_ALL
    )
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()
