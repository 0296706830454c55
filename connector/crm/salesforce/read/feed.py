"""The feed: queries an org for the changes of one object, page by page and poll by poll."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from msgspec.structs import replace

from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.api import Api
from connector.crm.salesforce.client.responses import Answer, RequestFailed
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.read import change_queries
from connector.crm.salesforce.read.all_records import AllRecords
from connector.crm.salesforce.traits import TRAITS
from connector.model.consent_fields import ConsentFields
from connector.model.http import Http, HttpCall
from connector.model.outcome import Reason, Retry
from connector.ports import Page, Records, Row

OVERLAP = timedelta(minutes=3)  # longer than transactions usually take in an org with heavy triggers
LOOK_BACK = timedelta(minutes=15)  # for opted-out records; other vendors' connectors re-read 5 to 15 minutes


class SalesforceFeed:
    """Changes of one object by SOQL, including deletions.

    Raises BadName if the object or a field has a name that Salesforce does not allow.
    """

    traits = TRAITS

    def __init__(
        self,
        crm: str,
        object: str,  # noqa: A002 - Salesforce's own word, as in ports.py.
        *,
        api: Api,
        fields: Sequence[str],
        key_fields: Sequence[str] = (),
        every: timedelta = timedelta(seconds=30),
        overlap: timedelta = OVERLAP,
        consent: ConsentFields | None = None,
        look_back: timedelta = LOOK_BACK,
        own_user: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`look_back` is how late a change that says "out" may become visible; `own_user` tells the Id that we are signed in as."""
        self.crm = crm
        self.object = object
        self.name = f"{crm}.{object}"
        self.fields = tuple(fields)
        self.key_fields = tuple(key_fields)
        self.every = every
        self._api = api
        self._overlap = overlap
        self._own_user = own_user
        self._opted_out: change_queries.OptedOut | None = None
        if consent is not None and consent.flag in self.fields:
            further = max(look_back - overlap, timedelta())
            self._opted_out = change_queries.OptedOut(flag=consent.flag, value=consent.opted_out, look_back=further)
        self._read = tuple(dict.fromkeys((*self.fields, *self.key_fields)))
        change_queries.page_query(object, self._read, None)

    async def ask(self, http: Http, position: str | None) -> Page | Retry:
        """The next page after the position; with None from the very beginning.

        A failed query changes nothing: it is repeated from the same position.
        """
        start = change_queries.read_position(position)
        call = self._api.query_all(change_queries.page_query(self.object, self._read, start, self._opted_out))
        try:
            rows, asked = await self._rows(http, call)
        except RequestFailed as failed:
            return responses.feed_failure(failed)
        if asked is None:
            return Retry(reason=Reason.UNEXPECTED_ANSWER, detail="an answer without a Date header")
        began = start.began if isinstance(start, change_queries.WithinPoll) else asked
        if len(rows) < change_queries.PAGE:
            following = change_queries.position_after_poll(start, rows, began=began, ended=asked, overlap=self._overlap)
            return Page(rows=rows, position=change_queries.write_position(following), last=True)
        return Page(
            rows=rows,
            position=change_queries.write_position(change_queries.position_after(start, rows[-1], began)),
            last=False,
        )

    async def ask_opted_out(self, http: Http, position: str) -> Page | Retry:
        """Opted-out records modified shortly before the position or after it, newest first; one API call."""
        start = change_queries.read_position(position)
        if start is None or self._opted_out is None:
            return Page()
        call = self._api.query_all(change_queries.opted_out_query(self.object, self._read, start, self._opted_out))
        try:
            rows, _ = await self._rows(http, call)
        except RequestFailed as failed:
            return responses.feed_failure(failed)
        return Page(rows=rows)

    async def look(self, http: Http, record_ids: Sequence[str]) -> Page | Retry:
        """These records as they are now, including deleted ones; one API call, or more if the query is too long for one."""
        call = self._api.query_all(change_queries.by_id_query(self.object, self._read, record_ids))
        try:
            rows, _ = await self._rows(http, call)
        except RequestFailed as failed:
            if failed.too_long and len(record_ids) > 1:
                return await self._look_in_halves(http, record_ids)
            failure = responses.feed_failure(failed)
            if failure.reason is Reason.CONFIGURATION:
                # One of the records may not be readable. Whether the whole feed is rejected will show with its next page.
                return replace(failure, reason=Reason.UNEXPECTED_ANSWER, cure="")
            return failure
        return Page(rows=rows)

    async def _look_in_halves(self, http: Http, record_ids: Sequence[str]) -> Page | Retry:
        middle = len(record_ids) // 2
        first = await self.look(http, record_ids[:middle])
        if isinstance(first, Retry):
            return first
        second = await self.look(http, record_ids[middle:])
        return second if isinstance(second, Retry) else Page(rows=(*first.rows, *second.rows))

    async def read_all(self, http: Http, position: str | None) -> Records | Retry:
        """All records, including deleted ones, step by step: by plain queries, or above 10,000 by a Bulk API job."""
        return await AllRecords(RestClient(self._api, http), self.object, self._read).read(position)

    async def _rows(self, http: Http, call: HttpCall) -> tuple[tuple[Row, ...], datetime | None]:
        """All rows of a query, and when it started by Salesforce's clock. Raises RequestFailed."""
        rest = RestClient(self._api, http)
        rows: list[Row] = []
        began: datetime | None = None
        while True:
            answer = await rest.send(call)
            own_user = self._own_user()  # read after the call, because the call may have been the first to sign in
            body = responses.rows(answer, before=len(rows))
            began = began or _date(answer)
            try:
                rows += [change_queries.read_row(record, self._read, own_user) for record in body["records"]]
            except ValueError as error:
                raise _unexpected(str(error)) from None
            if body.get("done") is not False:
                return tuple(rows), began
            # A result with wide rows comes on several pages.
            path = str(body.get("nextRecordsUrl"))
            if not path.startswith(change_queries.DATA):
                raise _unexpected("a next page without a proper address")
            call = self._api.read(path)


def _unexpected(what: str) -> RequestFailed:
    return RequestFailed(outcome=Retry(reason=Reason.UNEXPECTED_ANSWER, detail=what))


def _date(answer: Answer) -> datetime | None:
    """The time by Salesforce's clock: ours may be wrong, and then changes would be skipped."""
    try:
        read = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None
    return read if read.tzinfo is not None else None
