"""Compares what set-up creates with the org: what exists, what is missing, what is in the way. Changes nothing."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct

from connector.crm.dynamics.client import api, responses
from connector.crm.dynamics.client.responses import RequestFailed
from connector.crm.dynamics.client.tables import TableInfo, Tables
from connector.crm.dynamics.client.web_api import WebApi
from connector.crm.dynamics.setup import definitions
from connector.crm.dynamics.setup.definitions import (
    ColumnPart,
    KeyPart,
    LookupPart,
    TablePart,
    column_body,
    key_body,
    lookup_body,
    table_body,
)
from connector.model.errors import ConnectorError, PeerUnavailable
from connector.model.outcome import Retry

TABLES, RELATIONSHIPS = "EntityDefinitions", "RelationshipDefinitions"
ENGLISH = 1033  # if the org does not say its base language
SHOWN = 20  # groups of records with the same value
ADMINISTRATOR = "set-up needs a user with the security role System Customizer: sign one in, and give its access token by --token-env"


class PartState(StrEnum):
    """The state of a part in the org."""

    THERE = "there"
    ADD = "add"
    BUILD = "build"  # an alternate key whose index failed or is being built
    IN_THE_WAY = "in_the_way"  # something else has its name, or records would make it fail


class Part(Struct, frozen=True, kw_only=True):
    """One part and its state; `target` and `body` are the request that creates it."""

    name: str
    kind: str
    state: PartState
    detail: str = ""
    target: str = ""
    body: Mapping[str, Any] = {}
    table: str = ""  # of a key: its table and its name, by which its index is followed
    key: str = ""


class Duplicates(Struct, frozen=True, kw_only=True):
    """Records with the same value in the column of an alternate key."""

    column: str
    ids: tuple[str, ...]


class Survey(Struct, frozen=True, kw_only=True):
    """All parts in the order in which they are created, and the records that make a key fail."""

    parts: tuple[Part, ...]
    duplicates: tuple[Duplicates, ...] = ()

    @property
    def to_do(self) -> tuple[Part, ...]:
        """The parts that are created."""
        return tuple(one for one in self.parts if one.state in {PartState.ADD, PartState.BUILD})

    @property
    def in_the_way(self) -> tuple[Part, ...]:
        """The parts that a person must look at first."""
        return tuple(one for one in self.parts if one.state is PartState.IN_THE_WAY)


async def survey(web: WebApi, wanted: Sequence[TablePart]) -> Survey:
    """Compare the org with these tables. Raises ConnectorError."""
    try:
        language = await _language(web)
        parts = [await _publisher_part(web), await _solution_part(web)]
        tables = Tables()
        await tables.learn(web, [one.name for one in wanted])
        duplicates: list[Duplicates] = []
        for one in wanted:
            known = tables.get(one.name)
            if known is None and not one.schema_name:
                raise ConnectorError(f"the user may not see the table {one.name}: {ADMINISTRATOR}")
            parts += _table_parts(one, known, language)
            for key in one.keys:
                found = await _duplicates(web, known, key) if _is_open(known, key) else []
                duplicates += found
                parts.append(_key_part(one, known, key, language, blocked=bool(found)))
    except RequestFailed as failed:
        raise error_for_person(failed, "the org cannot be read") from None
    return Survey(parts=tuple(parts), duplicates=tuple(duplicates))


def error_for_person(failed: RequestFailed, what: str) -> ConnectorError:
    """A failed request as an error for the person at the command line."""
    why = failed.outcome.detail or str(failed.outcome.reason)
    text = f"{what}: {why}{f' ({failed.code})' if failed.code else ''}"
    if failed.status == responses.FORBIDDEN:
        return ConnectorError(f"{text}. {ADMINISTRATOR}")
    if failed.status == responses.UNAUTHORIZED:
        return ConnectorError(f"{text}. The access token has expired, or it is for another org: get a new one")
    if isinstance(failed.outcome, Retry):
        return PeerUnavailable(f"{text}. Run the command again: it continues where it stopped")
    return ConnectorError(f"{text}. See docs/dynamics-errors.md")


def by_unique_name(table: str, name: str, column: str) -> str:
    """The query for a publisher or solution by its unique name."""
    return f"{table}?{api.query(select=column, filter=f'uniquename eq {api.literal(name)}')}"


async def _language(web: WebApi) -> int:
    """The org's base language: every label must have it."""
    rows = await web.rows("organizations?$select=languagecode")
    code = rows[0].get("languagecode") if rows else None
    return code if isinstance(code, int) else ENGLISH


async def _publisher_part(web: WebApi) -> Part:
    name = definitions.PUBLISHER["uniquename"]
    rows = await web.rows(by_unique_name("publishers", str(name), "customizationprefix"))
    prefix = definitions.PUBLISHER["customizationprefix"]
    part = Part(name=str(name), kind="publisher", state=PartState.ADD, target="publishers", body=definitions.PUBLISHER)
    if not rows:
        return part
    other = rows[0].get("customizationprefix")
    if other == prefix:
        return Part(name=part.name, kind=part.kind, state=PartState.THERE)
    detail = f"its prefix is {other}, and not {prefix}"
    return Part(name=part.name, kind=part.kind, state=PartState.IN_THE_WAY, detail=detail)


async def _solution_part(web: WebApi) -> Part:
    name = definitions.SOLUTION["uniquename"]
    rows = await web.rows(by_unique_name("solutions", name, "uniquename"))
    state = PartState.THERE if rows else PartState.ADD
    return Part(name=name, kind="solution", state=state, target="solutions", body=definitions.SOLUTION)


def _table_parts(wanted: TablePart, known: TableInfo | None, language: int) -> Iterator[Part]:
    if wanted.schema_name:
        state = PartState.ADD if known is None else PartState.THERE
        body = table_body(wanted, language)
        yield Part(name=wanted.name, kind="table", state=state, target=TABLES, body=body)
    here = f"{TABLES}(LogicalName='{wanted.name}')"
    if known is not None:
        for one in wanted.columns:
            target, body = f"{here}/Attributes", column_body(one, language)
            yield _column_part(wanted, known, one, kind="column", target=target, body=body)
    for lookup in wanted.lookups:
        body = lookup_body(wanted, lookup, language)
        yield _column_part(wanted, known, lookup, kind="lookup", target=RELATIONSHIPS, body=body)


def _column_part(
    wanted: TablePart,
    known: TableInfo | None,
    column: ColumnPart | LookupPart,
    *,
    kind: str,
    target: str,
    body: Mapping[str, Any],
) -> Part:
    name = f"{wanted.name}.{column.name}"
    found = known.columns.get(column.name) if known is not None else None
    if found is None:
        return Part(name=name, kind=kind, state=PartState.ADD, target=target, body=body)
    type_ = column.kind if isinstance(column, ColumnPart) else "Lookup"
    if found.kind != type_:
        detail = f"the org's column of this name is of type {found.kind}, and not {type_}"
        return Part(name=name, kind=kind, state=PartState.IN_THE_WAY, detail=detail)
    return Part(name=name, kind=kind, state=PartState.THERE)


def _is_open(known: TableInfo | None, key: KeyPart) -> bool:
    """Whether the key is still to be built over a column that may have values already."""
    return known is not None and key.column in known.columns and "Active" not in _statuses(known, key)


def _statuses(known: TableInfo, key: KeyPart) -> dict[str, str]:
    """The keys of that column: status → logical name."""
    return {one.status: one.name for one in known.keys if one.columns == (key.column,)}


def _key_part(wanted: TablePart, known: TableInfo | None, key: KeyPart, language: int, *, blocked: bool) -> Part:
    name, kind = f"{wanted.name}.{key.column}", "alternate key"
    statuses = _statuses(known, key) if known is not None else {}
    if "Active" in statuses:
        return Part(name=name, kind=kind, state=PartState.THERE)
    if blocked:
        detail = "several records have the same value: merge them, or empty the column of all but one"
        return Part(name=name, kind=kind, state=PartState.IN_THE_WAY, detail=detail)
    own = next(iter(statuses.values()), key.schema_name.lower())
    if "Failed" in statuses:
        body = {"EntityLogicalName": wanted.name, "EntityKeyLogicalName": own}
        detail = "its index failed, and is built again"
        action = "ReactivateEntityKey"
        return Part(
            name=name,
            kind=kind,
            state=PartState.BUILD,
            detail=detail,
            target=action,
            body=body,
            table=wanted.name,
            key=own,
        )
    if statuses:
        detail = "its index is being built"
        return Part(name=name, kind=kind, state=PartState.BUILD, detail=detail, table=wanted.name, key=own)
    target = f"{TABLES}(LogicalName='{wanted.name}')/Keys"
    body = key_body(key, language)
    return Part(name=name, kind=kind, state=PartState.ADD, target=target, body=body, table=wanted.name, key=own)


async def _duplicates(web: WebApi, known: TableInfo | None, key: KeyPart) -> list[Duplicates]:
    """The records of a table that share a value of a column. Reads all that have one."""
    assert known is not None  # noqa: S101 - see _is_open.
    first: dict[str, str] = {}
    several: dict[str, list[str]] = {}
    async for row in _with_values(web, known, key.column):
        value, record_id = str(row.get(key.column)).casefold(), str(row.get(known.id_column))
        if value in first:
            several.setdefault(value, [first[value]]).append(record_id)
        else:
            first[value] = record_id
    column = f"{known.name}.{key.column}"
    return [Duplicates(column=column, ids=tuple(ids)) for ids in [*several.values()][:SHOWN]]


async def _with_values(web: WebApi, known: TableInfo, column: str) -> AsyncIterator[Mapping[str, Any]]:
    options = api.query(select=f"{known.id_column},{column}", filter=f"{column} ne null")
    async for page in web.pages(f"{known.set_name}?{options}"):
        for row in page:
            yield row
