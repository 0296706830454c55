"""Reads all records of one object step by step: by plain queries if there are few, else by a Bulk API query job.

The values of a job are text, because they come as CSV. Source: Bulk API 2.0 Developer Guide, "Bulk API 2.0
Query"; SOQL Reference, "COUNT()".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.bulk import Bulk, State
from connector.crm.salesforce.client.responses import RequestFailed, value_of
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.read import change_queries
from connector.model.errors import ConnectorError
from connector.model.http import HttpCall
from connector.model.operation import ID_FIELD
from connector.model.outcome import Reason, Retry
from connector.ports import Records, Row

MOST_PLAIN = 10_000  # up to this many, plain queries are used: five calls, while a job takes at least four
PAGE_ROWS = 10_000  # per page of a job's result: a few megabytes


@dataclass(frozen=True, slots=True)
class AllRecords:
    """Reads the records of one object. `fields` are validated names."""

    rest: RestClient
    object: str
    fields: tuple[str, ...]

    async def read(self, position: str | None) -> Records | Retry:
        """One step; see Feed.read_all()."""
        try:
            if position is None:
                return await self._begin()
            at = orjson.loads(position)
            if "job" not in at:
                return await self._plain(at["after"], at["total"])
            return await self._of_job(at["job"], at.get("locator"), at["total"], ready=at.get("ready", False))
        except RequestFailed as failed:
            return responses.feed_failure(failed)

    async def _begin(self) -> Records | Retry:
        count = self.rest.api.query_all(change_queries.count_query(self.object))
        total = (await self.rest.rows(count, before=None)).get("totalSize")
        if not isinstance(total, int):
            return Retry(reason=Reason.UNEXPECTED_ANSWER, detail="a count without its number")
        if total <= MOST_PLAIN:
            return await self._plain("", total)
        query = change_queries.all_records_query(self.object, self.fields)
        job = await Bulk(self.rest.api).query(self.rest.http, query, deleted=True)
        return _waits(job.id, total)

    async def _plain(self, after: str, total: int) -> Records | Retry:
        """The records with the next higher Ids."""
        rows: list[Row] = []
        call: HttpCall | None = self.rest.api.query_all(
            change_queries.all_records_query(self.object, self.fields, after=after)
        )
        while call is not None:
            body = await self.rest.rows(call, before=len(rows))
            try:
                rows += [change_queries.read_row(record, self.fields) for record in body["records"]]
            except ValueError as error:
                return Retry(reason=Reason.UNEXPECTED_ANSWER, detail=str(error))
            # A result with wide rows comes on several pages.
            path = str(body.get("nextRecordsUrl"))
            if body.get("done") is False and not path.startswith(change_queries.DATA):
                return Retry(reason=Reason.UNEXPECTED_ANSWER, detail="a next page without a proper address")
            call = self.rest.api.read(path) if body.get("done") is False else None
        last = len(rows) < change_queries.PAGE
        following = "" if last else orjson.dumps({"after": rows[-1].record_id, "total": total}).decode()
        return Records(rows=tuple(rows), position=following, last=last, total=total)

    async def _of_job(self, job_id: str, locator: str | None, total: int, *, ready: bool) -> Records | Retry:
        """Check whether a job is finished; if it is, return the next page of its result."""
        bulk, http = Bulk(self.rest.api), self.rest.http
        if not ready:
            job = await bulk.look(http, job_id, query=True)
            if not job.state.ended:
                return _waits(job_id, total)
            if job.state is not State.JOB_COMPLETE:
                raise ConnectorError(f"Salesforce did not answer the query for all records ({job.error or job.state})")
        table = await bulk.page(http, job_id, locator, PAGE_ROWS)
        rows = tuple(_row(row, self.fields) for row in table.rows(ID_FIELD, change_queries.STAMP))
        if table.locator is None:
            await bulk.forget(http, job_id)
            return Records(rows=rows, last=True, total=total)
        following = {"job": job_id, "locator": table.locator, "total": total, "ready": True}
        return Records(rows=rows, position=orjson.dumps(following).decode(), total=total)


def _waits(job_id: str, total: int) -> Records:
    return Records(position=orjson.dumps({"job": job_id, "total": total}).decode(), ready=False, total=total)


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
