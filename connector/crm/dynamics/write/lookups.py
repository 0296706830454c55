"""Looks up which records exist just before they are written, with their flag, version and merge.

Source: "Query data using the Web API" (the function In), Table reference of Contact (`merged`, `masterid`): a merged
record stays, inactive, and keeps its key.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from connector.crm.dynamics.client import api, responses
from connector.crm.dynamics.client.api import Operation
from connector.crm.dynamics.client.responses import RequestFailed
from connector.crm.dynamics.client.tables import TableInfo, shown_value
from connector.crm.dynamics.client.web_api import WebApi
from connector.model.outcome import Outcome, Reason, Rejected, Retry

VALUES = 100  # of one query: an address in a batch may have 64 KB, and keys are short
OPERATIONS = 100  # of one batch
MERGES = 5  # that are followed from one record to the one that was kept


class Found(Struct, frozen=True, kw_only=True):
    """A record that exists."""

    record_id: str
    flag: object = None  # the current value of the opt-out flag, if requested
    key: str = ""  # the record's own spelling of the key
    etag: str | None = None  # its version; None if it was not read
    merged: str | None = None  # id of the merged record that had the key, if this is the one that was kept


class Wanted(Struct, frozen=True, kw_only=True):
    """A record to look up."""

    result_key: object  # under which the caller finds the result: unique in one LookUp
    table: TableInfo
    column: str  # the key's column, or the id column
    value: str  # the key or the id
    key_column: str | None = None  # a column to read as `key` of a record that is looked up by id
    flag: str | None = None  # the opt-out flag, if it is needed


class LookUp:
    """The look-ups of one batch. Afterwards each wanted record is in `found` (None: does not exist) or in `failed`."""

    def __init__(self, web: WebApi) -> None:
        self._web = web
        self.found: dict[object, Found | None] = {}
        self.failed: dict[object, Outcome] = {}

    async def run(self, records: Sequence[Wanted]) -> None:
        """Look up all of them. Raises RequestFailed if Dataverse is not available."""
        for _ in range(MERGES):
            if not records:
                return
            records = await self._look_up(records)

    async def _look_up(self, records: Sequence[Wanted]) -> list[Wanted]:
        """Look up these records. Returns the kept records of those that were merged, which are looked up next."""
        chunks = _chunks(records)
        kept_records: list[Wanted] = []
        for start in range(0, len(chunks), OPERATIONS):
            some = chunks[start : start + OPERATIONS]
            answers = await self._web.batch([_operation(chunk) for chunk in some])
            for chunk, answer in zip(some, answers, strict=True):
                if isinstance(answer, RequestFailed):
                    if isinstance(answer.outcome, Retry) and answer.outcome.reason is not Reason.UNKNOWN_CODE:
                        raise answer
                    self.failed |= dict.fromkeys((wanted.result_key for wanted in chunk), answer.outcome)
                else:
                    kept_records += self._store_rows(chunk, responses.rows(answer))
        return kept_records

    def _store_rows(self, chunk: Sequence[Wanted], rows: Sequence[Mapping[str, Any]]) -> list[Wanted]:
        """Store the results of one query. Returns the kept records of those that were merged."""
        first = chunk[0]
        table, flag = first.table, _flag(chunk)
        by_value: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            by_value.setdefault(str(row.get(first.column)).casefold(), []).append(row)
        kept_records: list[Wanted] = []
        for wanted in chunk:
            matches = by_value.get(wanted.value.casefold(), [])
            if len(matches) > 1:
                detail = f"{len(matches)} records have this key: make {table.name}.{wanted.column} an alternate key"
                self.failed[wanted.result_key] = Rejected(reason=Reason.AMBIGUOUS_KEY, detail=detail)
                continue
            if not matches:
                self.found.setdefault(wanted.result_key, None)
                continue
            row = matches[0]
            before = self.found.get(wanted.result_key)
            found = Found(
                record_id=str(row.get(table.id_column)),
                flag=shown_value(row.get(flag)) if flag else None,
                key=str(row.get(wanted.key_column or wanted.column) or ""),
                etag=row.get("@odata.etag"),
                merged=before.merged if before else None,
            )
            kept_id = row.get("_masterid_value") if row.get("merged") is True else None
            if isinstance(kept_id, str):
                # The merged record keeps its key, but people see only the kept one.
                self.found[wanted.result_key] = Found(record_id=kept_id, merged=found.merged or found.record_id)
                key_column = wanted.key_column or (None if wanted.column == table.id_column else wanted.column)
                kept_records.append(
                    Wanted(
                        result_key=wanted.result_key,
                        table=table,
                        column=table.id_column,
                        value=kept_id,
                        key_column=key_column,
                        flag=wanted.flag,
                    )
                )
            else:
                self.found[wanted.result_key] = found
        return kept_records


def _operation(chunk: Sequence[Wanted]) -> Operation:
    first = chunk[0]
    table, flag = first.table, _flag(chunk)
    keys = [wanted.key_column for wanted in chunk if wanted.key_column]
    merge = ["merged", "_masterid_value"] if table.mergeable else []
    columns = dict.fromkeys([table.id_column, first.column, *keys, *merge, *([flag] if flag else ())])
    condition = api.any_of(first.column, dict.fromkeys(wanted.value for wanted in chunk))
    return Operation(method="GET", target=f"{table.set_name}?{api.query(select=','.join(columns), filter=condition)}")


def _flag(chunk: Sequence[Wanted]) -> str | None:
    return next((wanted.flag for wanted in chunk if wanted.flag), None)


def _chunks(records: Sequence[Wanted]) -> list[list[Wanted]]:
    groups: dict[tuple[str, str], list[Wanted]] = {}
    for wanted in records:
        groups.setdefault((wanted.table.name, wanted.column), []).append(wanted)
    return [group[start : start + VALUES] for group in groups.values() for start in range(0, len(group), VALUES)]
