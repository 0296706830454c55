"""Reads all records of one object step by step: by plain queries if there are few, else by a Bulk API query job.

No I/O. The values of a job are text, because they come as CSV. Source: Bulk API 2.0 Developer Guide, "Bulk API 2.0
Query"; SOQL Reference, "COUNT()".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.client.bulk import Bulk, State
from connector.crm.salesforce.client.responses import Failed, value_of
from connector.crm.salesforce.read import change_queries
from connector.model.errors import ConnectorError
from connector.model.http import Exchange, HttpCall
from connector.model.operation import ID_FIELD
from connector.model.outcome import Reason, Retry
from connector.ports import Records, Row

MOST_PLAIN = 10_000  # up to this many, plain queries are used: five calls, while a job takes at least four
PAGE_ROWS = 10_000  # per page of a job's result: a few megabytes


@dataclass(frozen=True, slots=True)
class AllRecords:
    """Reads the records of one object. `fields` are validated names."""

    api: Api
    object: str
    fields: tuple[str, ...]

    def read(self, position: str | None) -> Exchange[Records | Retry]:
        """One step; see Feed.read_all()."""
        if position is None:
            return (yield from self._begin())
        at = orjson.loads(position)
        if "job" not in at:
            return (yield from self._plain(at["after"], at["total"]))
        return (yield from self._of_job(at["job"], at.get("locator"), at["total"], ready=at.get("ready", False)))

    def _begin(self) -> Exchange[Records | Retry]:
        body = yield from _ask(self.api.query_all(change_queries.question_count(self.object)))
        if isinstance(body, Retry):
            return body
        total = body.get("totalSize")
        if not isinstance(total, int):
            return Retry(reason=Reason.UNEXPECTED_ANSWER, detail="a count without its number")
        if total <= MOST_PLAIN:
            return (yield from self._plain("", total))
        job = yield from Bulk(self.api).query(change_queries.question_all(self.object, self.fields), deleted=True)
        return _waits(job.id, total)

    def _plain(self, after: str, total: int) -> Exchange[Records | Retry]:
        """The records with the next higher Ids."""
        rows: list[Row] = []
        call: HttpCall | None = self.api.query_all(change_queries.question_all(self.object, self.fields, after=after))
        while call is not None:
            body = yield from _ask(call, len(rows))
            if isinstance(body, Retry):
                return body
            try:
                rows += [change_queries.row(record, self.fields) for record in body["records"]]
            except ValueError as error:
                return Retry(reason=Reason.UNEXPECTED_ANSWER, detail=str(error))
            # A result with wide rows comes on several pages.
            path = str(body.get("nextRecordsUrl"))
            if body.get("done") is False and not path.startswith(change_queries.DATA):
                return Retry(reason=Reason.UNEXPECTED_ANSWER, detail="a next page without a proper address")
            call = self.api.read(path) if body.get("done") is False else None
        last = len(rows) < change_queries.PAGE
        following = "" if last else orjson.dumps({"after": rows[-1].record_id, "total": total}).decode()
        return Records(rows=tuple(rows), position=following, last=last, total=total)

    def _of_job(self, job_id: str, locator: str | None, total: int, *, ready: bool) -> Exchange[Records | Retry]:
        """Check whether a job is finished; if it is, return the next page of its result."""
        bulk = Bulk(self.api)
        if not ready:
            job = yield from bulk.look(job_id, query=True)
            if not job.state.ended:
                return _waits(job_id, total)
            if job.state is not State.JOB_COMPLETE:
                raise ConnectorError(f"Salesforce did not answer the query for all records ({job.error or job.state})")
        table = yield from bulk.page(job_id, locator, PAGE_ROWS)
        rows = tuple(_row(row, self.fields) for row in table.rows(ID_FIELD, change_queries.STAMP))
        if table.locator is None:
            yield from bulk.forget(job_id)
            return Records(rows=rows, last=True, total=total)
        following = {"job": job_id, "locator": table.locator, "total": total, "ready": True}
        return Records(rows=rows, position=orjson.dumps(following).decode(), total=total)


def _waits(job_id: str, total: int) -> Records:
    return Records(position=orjson.dumps({"job": job_id, "total": total}).decode(), ready=False, total=total)


def _ask(call: HttpCall, before: int | None = None) -> Exchange[Mapping[str, Any] | Retry]:
    (reply,) = yield [call]
    whole = responses.answer(reply)
    body = whole if isinstance(whole, Failed) else responses.rows(whole, before=before)
    return responses.feed_failure(body) if isinstance(body, Failed) else body


def _row(record: Mapping[str, str], fields: Sequence[str]) -> Row:
    """A row of a job's CSV, with empty strings as empty fields."""
    try:
        stamp = change_queries.moment(value_of(record, change_queries.STAMP))
    except ValueError as error:
        raise ConnectorError(f"Salesforce sent a record without a proper {change_queries.STAMP}") from error
    return Row(
        record_id=record[ID_FIELD],
        stamp=stamp,
        fields={name: value_of(record, name) or None for name in fields},
        deleted=value_of(record, change_queries.DELETED) == "true",
        merged_into=value_of(record, change_queries.MASTER) or None,
    )
