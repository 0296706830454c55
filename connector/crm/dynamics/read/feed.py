"""The feed: changes of one table by change tracking, or by `modifiedon` where tracking is off.

Source: "Use change tracking to synchronize data with external systems": the first query returns all records and, on its
last page, a delta link; the link returns what changed since, deletions too, and lives for the days that the organisation
sets (`expirechangetrackingindays`). A query with change tracking takes no filter and no order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Self

import orjson
from msgspec import structs

from connector.crm.dynamics.client import api, error_codes, responses
from connector.crm.dynamics.client.api import Operation
from connector.crm.dynamics.client.responses import Answer, RequestFailed
from connector.crm.dynamics.client.tables import TableInfo, Tables
from connector.crm.dynamics.client.web_api import Gate, WebApi, next_page
from connector.crm.dynamics.contact_points import CHANNEL, TABLE, TEXT_MESSAGE, narrowing
from connector.crm.dynamics.read.rows import columns_of, read_row
from connector.crm.dynamics.traits import TRAITS
from connector.model.consent_fields import ConsentFields
from connector.model.http import Http
from connector.model.outcome import Reason, Rejected, Retry
from connector.ports import Page, Records, Row

OVERLAP = timedelta(minutes=3)  # of two polls by modifiedon: longer than transactions usually take
PAGE = 2000  # records, of at most 5,000: what says "out" is asked for between two pages
LINK_REFUSED = frozenset({400, 404, 410})  # of a link that is too old for the service to know it
HIDDEN = "give the application user's security role organization-level Read on the table, and correct the columns of the feed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a feed is. Times are by Dataverse's clock."""

    link: str | None = None  # the next page, or the delta link
    tracked: bool = True
    began: datetime | None = None  # when the poll began whose pages are being read
    since: datetime | None = None  # without tracking: where the next poll begins

    @classmethod
    def read(cls, text: str | None) -> Self | None:
        """A stored position; None for the beginning, or where it cannot be read."""
        if text is None:
            return None
        try:
            raw = orjson.loads(text)
            times = {name: datetime.fromisoformat(raw[name]) if raw.get(name) else None for name in ("began", "since")}
            return cls(link=raw.get("link"), tracked=bool(raw["tracked"]), **times)
        except (ValueError, KeyError, TypeError):
            return None

    @property
    def is_within_poll(self) -> bool:
        """Whether the pages of a poll are being read."""
        return self.began is not None

    def to_text(self) -> str:
        """The text to be stored."""
        times = {name: value.isoformat() for name in ("began", "since") if (value := getattr(self, name))}
        return orjson.dumps({"link": self.link, "tracked": self.tracked, **times}).decode()


class Identity:
    """Who we are in the org: asked once, by the first feed that polls."""

    def __init__(self) -> None:
        self.user: str | None = None

    async def learn(self, web: WebApi) -> None:
        """Ask, unless it is known. Raises RequestFailed."""
        if self.user is None:
            body = (await web.get("WhoAmI")).body
            if isinstance(body, dict) and isinstance(body.get("UserId"), str):
                self.user = body["UserId"].lower()


class DynamicsFeed:
    """Changes of one table, including deletions. Raises BadName for a name that Dataverse does not allow."""

    traits = TRAITS

    def __init__(
        self,
        crm: str,
        object: str,  # noqa: A002 - as in ports.py.
        *,
        gate: Gate,
        tables: Tables,
        identity: Identity,
        fields: Sequence[str],
        key_fields: Sequence[str] = (),
        every: timedelta = timedelta(seconds=30),
        consent: ConsentFields | None = None,
        look_back: timedelta = timedelta(minutes=15),
        page: int = PAGE,
    ) -> None:
        """`look_back` is how late a change that says "out" may become visible; `page` is how many records a page holds."""
        self._size = page
        self.crm = crm
        self.object = object
        self.name = f"{crm}.{object}"
        self.fields = tuple(fields)
        self.key_fields = tuple(key_fields)
        self.every = every
        self._gate = gate
        self._tables = tables
        self._identity = identity
        self._consent = consent if consent is not None and consent.flag in self.fields else None
        self._look_back = look_back
        self._read = tuple(dict.fromkeys((*self.fields, *self.key_fields)))
        for name in (object, *self._read):
            api.identifier(name)

    async def ask(self, http: Http, position: str | None) -> Page | Retry:
        """The next page after the position; with None from the very beginning."""
        web = WebApi(http, self._gate)
        start = Position.read(position)
        try:
            table = await self._table(web)
            await self._identity.learn(web)
            if start is not None and start.tracked != table.tracked and not start.is_within_poll:
                start = None  # tracking was switched: all records are read, and compared with what is known
            return await (
                self._ask_tracked(web, table, start) if table.tracked else self._ask_by_time(web, table, start)
            )
        except RequestFailed as failed:
            return self._failure(failed)

    async def _ask_tracked(self, web: WebApi, table: TableInfo, start: Position | None) -> Page:
        prefer = f"odata.track-changes,odata.maxpagesize={self._size}"
        if start is None or start.link is None:
            return self._page(table, await web.get(self._query(table), prefer=prefer), None)
        try:
            answer = await web.get(
                start.link, prefer=f"odata.maxpagesize={self._size}" if start.began is None else prefer
            )
        except RequestFailed as failed:
            if failed.code != error_codes.EXPIRED_LINK and failed.status not in LINK_REFUSED:
                raise
            # The link is too old. All records are read again, and what differs from the shadow is a change.
            return self._page(table, await web.get(self._query(table), prefer=prefer), None)
        return self._page(table, answer, start)

    def _page(self, table: TableInfo, answer: Answer, start: Position | None) -> Page:
        """A page of changes. What is behind `nextLink` belongs to the same poll."""
        at = _answered_at(answer)
        body = answer.body if isinstance(answer.body, dict) else {}
        following, delta = next_page(answer, start.link if start else None), body.get("@odata.deltaLink")
        if following is None and not isinstance(delta, str):
            raise RequestFailed(responses.unexpected_answer("a page without a next or a delta link"))
        began = start.began if start is not None and start.began is not None else at
        rows = tuple(self._rows(table, answer, at))
        if following is not None:
            return Page(rows=rows, position=Position(link=following, began=began).to_text(), last=False)
        return Page(rows=rows, position=Position(link=delta, since=began).to_text(), last=True)

    async def _ask_by_time(self, web: WebApi, table: TableInfo, start: Position | None) -> Page:
        """Without tracking: what was modified since the last poll began, with an overlap. Deletions are not seen."""
        if start is not None and start.link is not None:
            answer = await web.get(start.link, prefer=f"odata.maxpagesize={self._size}")
        else:
            since = f"modifiedon ge {_odata_time(start.since)}" if start is not None and start.since else ""
            condition = " and ".join(filter(None, (since, narrowing(self.object))))
            query = self._query(table, condition, order="modifiedon asc")
            answer = await web.get(query, prefer=f"odata.maxpagesize={self._size}")
        at = _answered_at(answer)
        began = start.began if start is not None and start.began is not None else at
        rows = tuple(self._rows(table, answer, at))
        following = next_page(answer, start.link if start else None)
        if following is not None:
            return Page(rows=rows, position=Position(link=following, tracked=False, began=began).to_text(), last=False)
        return Page(rows=rows, position=Position(tracked=False, since=began - OVERLAP).to_text(), last=True)

    async def ask_opted_out(self, http: Http, position: str) -> Page | Retry:
        """Opted-out records modified shortly before the last poll or since, newest first; one API call."""
        start = Position.read(position)
        at = None if start is None else start.since or start.began
        if at is None or self._consent is None:
            return Page()
        web = WebApi(http, self._gate)
        try:
            table = await self._table(web)
            await self._identity.learn(web)
            kind = table.columns[self._consent.flag].kind if self._consent.flag in table.columns else ""
            out = f"{self._consent.flag} eq {_odata_value(kind, self._consent.opted_out)}"
            condition = f"{out} and modifiedon ge {_odata_time(at - self._look_back)}"
            answer = await web.get(
                self._query(table, " and ".join(filter(None, (condition, narrowing(self.object)))), "modifiedon desc"),
                prefer=f"odata.maxpagesize={self._size}",
            )
            return Page(rows=tuple(self._rows(table, answer, _answered_at(answer))))
        except RequestFailed as failed:
            return self._failure(failed)

    async def look(self, http: Http, record_ids: Sequence[str]) -> Page | Retry:
        """These records as they are now, and those that were merged into them; one API call."""
        web = WebApi(http, self._gate)
        try:
            table = await self._table(web)
            await self._identity.learn(web)
            condition = api.any_of(table.id_column, record_ids)
            if table.mergeable:
                condition = f"{condition} or ({api.any_of('masterid', record_ids)} and merged eq true)"
            # In a batch, because the addresses of a batch may be longer.
            (answer,) = await web.batch([Operation(method="GET", target=self._query(table, condition))])
            if isinstance(answer, RequestFailed):
                raise answer
            return Page(rows=tuple(self._rows(table, answer, datetime.now(UTC))))
        except RequestFailed as failed:
            failure = self._failure(failed)
            if failure.reason is Reason.CONFIGURATION:
                # Whether the whole feed is refused will show with its next page.
                return structs.replace(failure, reason=Reason.UNEXPECTED_ANSWER, cure="")
            return failure

    async def read_all(self, http: Http, position: str | None) -> Records | Retry:
        """All records that exist, page by page. Deleted ones are not among them: Dataverse does not keep them."""
        web = WebApi(http, self._gate)
        try:
            table = await self._table(web)
            target = position or self._query(table, narrowing(self.object))
            answer = await web.get(target, prefer=f"odata.maxpagesize={self._size}")
            rows = tuple(self._rows(table, answer, _answered_at(answer)))
            following = next_page(answer, position)
        except RequestFailed as failed:
            return self._failure(failed)
        return Records(rows=rows, position=following or "", last=following is None)

    async def _table(self, web: WebApi) -> TableInfo:
        await self._tables.learn(web, [self.object])
        table = self._tables.get(self.object)
        if table is None:
            detail = f"the org has no table {self.object}, or the application user may not see it"
            raise RequestFailed(Rejected(reason=Reason.CONFIGURATION, detail=detail))
        return table

    def _query(self, table: TableInfo, condition: str = "", order: str = "") -> str:
        columns = columns_of(table, self._read)
        if self.object == TABLE:
            columns = [*columns, CHANNEL]
        options = {"select": ",".join(columns)}
        if condition:
            options["filter"] = condition
        if order:
            options["orderby"] = order
        return f"{table.set_name}?{api.query(**options)}"

    def _rows(self, table: TableInfo, answer: Answer, at: datetime) -> list[Row]:
        try:
            return [
                read_row(table, raw, self._read, at=at, own_user=self._identity.user)
                for raw in responses.rows(answer)
                if self._is_followed(raw)
            ]
        except ValueError as error:
            raise RequestFailed(responses.unexpected_answer(str(error))) from None

    def _is_followed(self, raw: Mapping[str, Any]) -> bool:
        """Change tracking takes no filter: consent rows of other channels are left out here."""
        return self.object != TABLE or raw.get(CHANNEL) is None or str(raw[CHANNEL]) == TEXT_MESSAGE

    def _failure(self, failed: RequestFailed) -> Retry:
        """The outcome of a failed question. Permanent rejections are fixed in the org, and a person is alerted."""
        if failed.code in {error_codes.UNKNOWN_PROPERTY, error_codes.NOT_TRACKED, "0x80060888"}:
            self._tables.forget(self.object)
        if isinstance(failed.outcome, Retry):
            return structs.replace(failed.outcome, in_doubt=False)
        return Retry(reason=Reason.CONFIGURATION, detail=failed.outcome.detail, code=failed.outcome.code, cure=HIDDEN)


def _answered_at(answer: Answer) -> datetime:
    """When Dataverse answered, by its clock. Raises RequestFailed."""
    try:
        at = parsedate_to_datetime(answer.headers.get("date", ""))
        return at if at.tzinfo else at.replace(tzinfo=UTC)  # -0000: a time in UTC that names no zone
    except ValueError:
        raise RequestFailed(responses.unexpected_answer("an answer without a Date header")) from None


def _odata_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _odata_value(kind: str, value: object) -> str:
    """A value in a filter."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind in {"Picklist", "State", "Status", "Integer"}:
        return str(value)
    return api.literal(str(value))
