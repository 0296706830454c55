"""Runs a backfill: reads all active contacts, and writes in batches. Can be interrupted at any time.

Each contact is read again just before it is written, and written only if it is still the same (If-Match). Source:
"Perform conditional operations using the Web API".
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, TypeVar

from connector.crm.backfill.backfill_file import BackfillFile
from connector.crm.backfill.decide import Contact, ContactReader, Verdict, row_of
from connector.crm.dynamics.client import api, error_codes, responses
from connector.crm.dynamics.client.api import Operation
from connector.crm.dynamics.client.responses import RequestFailed
from connector.crm.dynamics.client.tables import TableInfo, Tables
from connector.crm.dynamics.client.web_api import WebApi, next_page
from connector.model.errors import ConnectorError, PeerUnavailable
from connector.model.outcome import Retry

T = TypeVar("T")

TABLE, PARENT, CREATED = "contact", "_parentcustomerid_value", "createdon"
JOB = "batch"  # there is one at a time
TOGETHER = 100  # contacts per batch
TRIES = 6  # consecutive attempts of a call, before the command stops for now
ROUNDS = 3  # attempts for a contact with a temporary error such as a lock
MAX_PAUSE = 60.0  # seconds
ACTIVE = "statecode eq 0"  # an inactive contact is read-only; so is one that was merged into another


class Contacts(ContactReader):
    """The queries for contacts, and how their records are read."""

    def columns(self, *more: str) -> str:
        """The columns to select. Raises BadName."""
        names = (self.key_field, *self.phone_fields, *((self.country,) if self.country else ()))
        return ",".join(dict.fromkeys(("contactid", *(api.identifier(name) for name in names), *more)))

    def read(self, row: Mapping[str, Any]) -> Contact:
        """Parse a record, and decide on it alone."""
        return self.decide(
            str(row["contactid"]), row.get, created=str(row.get(CREATED) or ""), account=str(row.get(PARENT) or "")
        )


class Backfilling:
    """One backfill of one org. `report` prints a progress line, `sleep` waits for seconds."""

    def __init__(
        self,
        web: WebApi,
        contacts: Contacts,
        file: BackfillFile,
        *,
        report: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._web = web
        self._contacts = contacts
        self._file = file
        self._report = report
        self._sleep = sleep

    async def lacks(self) -> list[str]:
        """What contacts lack for a backfill: one sentence each, with advice. Raises PeerUnavailable."""
        tables = Tables()
        await self._repeat_until_answered(lambda: tables.learn(self._web, [TABLE]))
        known: TableInfo | None = tables.get(TABLE)
        if known is None:
            return [f"the application user may not see the table {TABLE}: give its security role Read on it"]
        wanted = self._contacts.columns().split(",")
        return [
            f"{TABLE}.{name} does not exist: run `connector dynamics setup`, or correct its name"
            for name in wanted
            if name not in known.columns
        ]

    async def read(self) -> None:
        """Read all active contacts into the file, and decide on each alone."""
        options = api.query(select=self._contacts.columns(CREATED, PARENT), filter=ACTIVE)
        target: str | None = f"contacts?{options}"
        read = 0
        while target is not None:
            self._report(f"reading contacts: {read:,} so far")
            rows, target = await self._repeat_until_answered(partial(self._page, target))
            self._file.add([row_of(self._contacts.read(row)) for row in rows])
            read += len(rows)

    async def _page(self, target: str) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        """The records of a page, and the next page. Raises RequestFailed."""
        page = await self._web.get(target)
        return responses.rows(page), next_page(page, target)

    async def stop(self) -> None:
        """Forget what was being written; contacts that are already filled stay filled."""
        self._file.release_job(JOB)

    async def write(self) -> None:
        """Fill all contacts that still need it. Raises PeerUnavailable; the next call continues from there."""
        self._file.release_job(JOB)
        counts = self._file.counts()
        total = counts.get(Verdict.FILL, 0) + counts.get(Verdict.WRITTEN, 0)
        while self._file.assign(JOB, TOGETHER):
            self._report(f"writing: {self._file.counts().get(Verdict.WRITTEN, 0):,} of {total:,}")
            rows = dict(self._file.rows_of_job(JOB))
            now = await self._repeat_until_answered(lambda rows=rows: self._web.rows(self._query_again(rows)))  # type: ignore[misc]
            await self._write(rows, {str(one["contactid"]): one for one in now})

    def _query_again(self, rows: Mapping[str, str]) -> str:
        """The query for these contacts as they are now."""
        condition = f"{api.any_of('contactid', rows)} and {ACTIVE}"
        return f"contacts?{api.query(select=self._contacts.columns(), filter=condition)}"

    async def _write(self, keys: Mapping[str, str], now: Mapping[str, Mapping[str, Any]]) -> None:
        """Write these keys, by contact id, unless the contact was changed or deleted: `now` are the records as they are."""
        changes: list[tuple[Verdict, Sequence[str], str]] = []
        operations: dict[str, Operation] = {}
        for contact_id, key in keys.items():
            if (record := now.get(contact_id)) is None:
                changes.append((Verdict.GONE, (), contact_id))
                continue
            contact = self._contacts.read(record)
            if contact.held.casefold() == key.casefold():
                changes.append((Verdict.FILLED, (), contact_id))
            elif contact.verdict is not Verdict.OPEN or contact.wanted != key:
                changes.append((Verdict.CHANGED, (), contact_id))
            else:
                headers = {"If-Match": str(record["@odata.etag"])}
                target = f"contacts{api.by_id(contact_id)}"
                body = {self._contacts.key_field: key}
                operations[contact_id] = Operation(method="PATCH", target=target, body=body, headers=headers)
        self._file.set_verdicts(changes)
        if not operations:
            self._file.release_job(JOB)
            return
        answers = await self._repeat_until_answered(lambda: self._web.batch([*operations.values()]))
        written, again, refused = [], [], []
        for contact_id, answer in zip(operations, answers, strict=True):
            if not isinstance(answer, RequestFailed):
                written.append(contact_id)
            elif _may_be_retried(answer) and self._file.failed_tries(contact_id) + 1 < ROUNDS:
                again.append(contact_id)
            else:
                refused.append((contact_id, _verdict_of(answer), answer.code))
        self._file.finish_job(JOB, written=written, refused=refused, again=again)

    async def _repeat_until_answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call while waiting may help. Every call here may be repeated: a write happens only once (If-Match)."""
        for number in count(1):
            try:
                return await ask()
            except RequestFailed as failed:
                why = failed.outcome.detail or str(failed.outcome.reason)
                if not isinstance(failed.outcome, Retry):
                    raise ConnectorError(f"Dataverse refused the request: {why} ({failed.code})") from None
                if number == TRIES:
                    raise PeerUnavailable(f"Dataverse does not answer ({why})") from None
                wait = failed.outcome.not_before
                pause = min(wait.total_seconds() if wait else 2.0 ** (number - 1), MAX_PAUSE)
                self._report(f"waiting {pause:.0f} s, then try {number + 1} of {TRIES}: {why}")
                await self._sleep(pause)
        raise AssertionError  # the loop always returns or raises.


def _may_be_retried(failed: RequestFailed) -> bool:
    """Whether to try again. A changed contact is read again first; a key that is taken stays taken."""
    return isinstance(failed.outcome, Retry) and failed.code != error_codes.KEY_TAKEN


def _verdict_of(failed: RequestFailed) -> Verdict:
    if failed.code == error_codes.KEY_TAKEN:
        return Verdict.TAKEN
    return Verdict.GONE if failed.status == responses.NOT_FOUND else Verdict.REFUSED
