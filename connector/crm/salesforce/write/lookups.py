"""Looks up which records exist, and their opt-out flags, just before they are written."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from connector.crm.salesforce.client import responses
from connector.crm.salesforce.client.api import RECORD_ID, identifier, literal
from connector.crm.salesforce.client.record_ids import comparable, mergeable
from connector.crm.salesforce.client.responses import Answer, RequestFailed, value_of
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.write.merged_records import is_deleted, master, soql
from connector.crm.salesforce.write.writes import Found, Write
from connector.model.operation import ID_FIELD, RecordWrite
from connector.model.outcome import Outcome, Reason, Rejected, Retry

KEYS = 200  # of one query
QUERIES = 5  # of one composite
# Characters of one query's encoded keys: Salesforce accepts URLs of 16,384 bytes, which must also hold the rest of the
# query.
KEYS_LENGTH = 14_000
SHORT_KEY = 20  # characters of a key; 200 keys of this length always fit
MAX_ENCODING = 3  # encoded characters per ASCII character: %2B


class Wanted(Struct, frozen=True, kw_only=True):
    """A record to look up."""

    write: Write
    record_write: RecordWrite
    flag: str | None = None  # the opt-out flag, if the write clears it


class Query(Struct, frozen=True, kw_only=True):
    """One query for keys of one external ID field of one object."""

    wanted: Sequence[Wanted]
    flag: str | None

    @property
    def reads_deleted(self) -> bool:
        """Whether deleted records are read too: for objects that can be merged, because a key may lead to the kept record."""
        return mergeable(self.wanted[0].record_write.object)

    @property
    def soql(self) -> str:
        """The query as SOQL."""
        record_write = self.wanted[0].record_write
        if self.reads_deleted:
            read = [record_write.key_field, *([self.flag] if self.flag else ())]
            return soql(
                record_write.object, read, record_write.key_field, [wanted.record_write.key for wanted in self.wanted]
            )
        key_field = identifier(record_write.key_field)
        columns = dict.fromkeys([ID_FIELD, key_field, *([identifier(self.flag)] if self.flag else ())])
        keys = ",".join(literal(wanted.record_write.key) for wanted in self.wanted)
        return f"SELECT {','.join(columns)} FROM {identifier(record_write.object)} WHERE {key_field} IN ({keys})"  # noqa: S608 - SOQL; names are checked and texts quoted.


class LookUp:
    """The look-ups of one batch. Afterwards each write has its record in `found` (None: does not exist), or an outcome."""

    def __init__(self, rest: RestClient) -> None:
        self._rest = rest
        self.gone: dict[Write, str] = {}  # writes whose key only a deleted record has: the Id by which to continue
        self.stopped: Retry | None = None  # Salesforce is not available: some writes have neither

    async def run(self, wanted: Sequence[Wanted]) -> None:
        """Look up all of them: up to a thousand in one API call."""
        batches = _batches(_queries(wanted))
        while batches:
            answers = await self._rest.send_all(
                [
                    self._rest.api.queries(
                        [query.soql for query in batch],
                        deleted=[place for place, query in enumerate(batch) if query.reads_deleted],
                    )
                    for batch in batches
                ]
            )
            again: list[list[Query]] = []
            for batch, answer in zip(batches, answers, strict=True):
                try:
                    parts = responses.subanswers(answer, len(batch))
                except RequestFailed as failed:
                    if failed.spoiled and len(batch) > 1:
                        again += [[query] for query in batch]
                    elif failed.spoiled and not (failed.too_long and len(batch[0].wanted) == 1):
                        again += _batches(self._handle_failure(batch[0], failed))
                    else:
                        self.stopped = responses.read_failure(failed)
                        return
                else:
                    for query, part in zip(batch, parts, strict=True):
                        again += _batches(self._handle_rows(query, part))
            batches = again

    def _handle_rows(self, query: Query, part: Answer | RequestFailed) -> list[Query]:
        """Store the results of a query. Returns the smaller queries to send instead if it failed."""
        try:
            body = _rows(part)
        except RequestFailed as failed:
            return self._handle_failure(query, failed)
        if body.get("done") is False:
            # With one record per key a page is never full; this many rows mean that the key field is not unique.
            self._fail(query, Rejected(reason=Reason.AMBIGUOUS_KEY, detail="several records have the same key"))
            return []
        by_key: dict[str, list[Found]] = {}
        gone: dict[str, str] = {}
        key_field = query.wanted[0].record_write.key_field
        for row in body["records"]:
            if query.reads_deleted and is_deleted(row):
                key = _comparable(key_field, str(value_of(row, key_field)))
                # A key may have had several records. Only merged ones lead to another record, deleted ones do not.
                kept = master(row)
                if kept is not None or key not in gone:
                    gone[key] = kept or str(row.get(ID_FIELD))
                continue
            flag = value_of(row, query.flag) if query.flag else None
            found = Found(record_id=str(row.get(ID_FIELD)), flag=flag, key=str(value_of(row, key_field)))
            by_key.setdefault(_comparable(key_field, found.key), []).append(found)
        for wanted in query.wanted:
            matches = by_key.get(_comparable(key_field, wanted.record_write.key), [])
            if len(matches) > 1:
                key = f"{wanted.record_write.object}.{key_field}"
                detail = f"{len(matches)} records have this key: tick Unique on {key}"
                wanted.write.outcome = Rejected(reason=Reason.AMBIGUOUS_KEY, detail=detail)
            elif matches and wanted.record_write.exact and matches[0].key != wanted.record_write.key:
                wanted.write.outcome = _case_conflict(wanted.record_write, matches[0])
            else:
                wanted.write.found = matches[0] if matches else None
                if not matches and (record_id := gone.get(_comparable(key_field, wanted.record_write.key))):
                    self.gone[wanted.write] = record_id
        return []

    def _handle_failure(self, query: Query, failed: RequestFailed) -> list[Query]:
        if failed.code == "INVALID_FIELD" and query.flag:
            # The flag may be the invalid column: that concerns only writes that clear it.
            self._fail(replace(query, wanted=[wanted for wanted in query.wanted if wanted.flag]), failed.outcome)
            rest = [wanted for wanted in query.wanted if not wanted.flag]
            return [Query(wanted=rest, flag=None)] if rest else []
        if failed.spoiled and failed.code != "INVALID_FIELD" and len(query.wanted) > 1:
            middle = len(query.wanted) // 2
            return [replace(query, wanted=query.wanted[:middle]), replace(query, wanted=query.wanted[middle:])]
        self._fail(query, failed.outcome)
        return []

    def _fail(self, query: Query, outcome: Outcome) -> None:
        if isinstance(outcome, Retry):
            outcome = replace(outcome, in_doubt=False)
        for wanted in query.wanted:
            wanted.write.outcome = outcome


def _rows(part: Answer | RequestFailed) -> Mapping[str, Any]:
    """The rows of a response; each must name its record."""
    body = responses.rows(part)
    if not all(RECORD_ID.fullmatch(str(row.get(ID_FIELD))) for row in body["records"]):
        raise RequestFailed(outcome=responses.unexpected_answer("a row without a record's Id"))
    return body


def _case_conflict(record_write: RecordWrite, found: Found) -> Rejected:
    """The rejection if the org treats two of the sender's ids as one key."""
    field = f"{record_write.object}.{record_write.key_field}"
    detail = (
        f"{found.record_id} has this key in other letters (capital or small), and {field} does not tell them apart: make the field "
        "case sensitive, then release this"
    )
    return Rejected(reason=Reason.NEEDS_PERSON, detail=detail)


def _queries(records: Iterable[Wanted]) -> list[Query]:
    groups: dict[tuple[str, str], list[list[Wanted]]] = {}
    lengths: dict[tuple[str, str], int] = {}
    asked: dict[tuple[str, str], set[str]] = {}
    for wanted in records:
        group = (wanted.record_write.object, wanted.record_write.key_field)
        length = _length(wanted.record_write.key)
        chunks = groups.setdefault(group, [[]])
        lengths[group] = lengths.get(group, 0) + length
        key = _comparable(wanted.record_write.key_field, wanted.record_write.key)
        seen = asked.setdefault(group, set())
        # The field decides whether letter case distinguishes keys. If it does, each key is answered with its own
        # record.
        if chunks[-1] and (len(chunks[-1]) == KEYS or lengths[group] > KEYS_LENGTH or key in seen):
            chunks.append([])
            lengths[group] = length
            seen.clear()
        chunks[-1].append(wanted)
        seen.add(key)
    return [
        Query(wanted=chunk, flag=next((wanted.flag for wanted in chunk if wanted.flag), None))
        for chunks in groups.values()
        for chunk in chunks
    ]


def _length(key: str) -> int:
    """A key's characters in the URL of its query, with quotes and comma; an upper limit if counting would be slow."""
    if len(key) <= SHORT_KEY and key.isascii() and key[1:].isalnum():
        return MAX_ENCODING * (len(key) + len("'',"))
    return len(quote(f"{literal(key)},", safe=""))


def _batches(queries: Sequence[Query]) -> list[list[Query]]:
    return [list(queries[start : start + QUERIES]) for start in range(0, len(queries), QUERIES)]


def _comparable(key_field: str, key: str) -> str:
    """The form in which keys are compared: external IDs without letter case, Ids by their first 15 characters."""
    return comparable(key) if key_field == ID_FIELD else key.lower()
