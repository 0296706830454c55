"""The org's code that runs when a record is saved: it rejects, creates or changes records. Packages such as NPSP use it."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from connector.sandbox.salesforce.drafts import Author, Draft, Limit, Record
from connector.sandbox.salesforce.fields import Field, SObject
from connector.sandbox.salesforce.refusals import RecordRefusedError
from connector.sandbox.salesforce.schema import Schema
from connector.sandbox.salesforce.values import Stored

Row = Mapping[str, Stored]


@dataclass(frozen=True, slots=True)
class Saving:
    """A record being saved: its old values, and all its new values."""

    before: Row | None  # None: it is new
    after: Row  # a new record has its Id only after it was saved

    def became(self, name: str, value: Stored) -> bool:
        """Whether the field has this value now and did not before."""
        return self.after[name] == value and (self.before is None or self.before[name] != value)

    def changed(self, name: str) -> bool:
        """Whether a field of an existing record has a new value."""
        return self.before is not None and self.before[name] != self.after[name]


class Records(Protocol):
    """The org's records and schema: its database."""

    connection: sqlite3.Connection
    schema: Schema


class Writes(Protocol):
    """The writes of a trigger: under the same rules as all others."""

    def insert(self, sobject: SObject, records: Sequence[Record], author: Author) -> Sequence[object]:
        """Create records."""

    def update(self, sobject: SObject, records: Sequence[Record], author: Author) -> Sequence[object]:
        """Change records by `Id`."""


Check = Callable[[Records, Saving], RecordRefusedError | None]
After = Callable[[Records, Writes, Saving, Author], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggers:
    """The org's code, by object name."""

    checks: Mapping[str, Check] = field(default_factory=dict)
    afters: Mapping[str, After] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()

    def check(self, database: Records, sobject: SObject, drafts: Sequence[Draft]) -> None:
        """Reject the drafts that the org's code rejects."""
        check = self.checks.get(sobject.name)
        if check is None:
            return
        for draft in drafts:
            if draft.refusal is None:
                draft.refusal = check(database, saving(database, sobject, draft))

    def before(self, database: Records, sobject: SObject, drafts: Sequence[Draft]) -> list[tuple[Saving, Draft]]:
        """The accepted drafts in the form for after(); call it before anything is written."""
        if sobject.name not in self.afters:
            return []
        return [(saving(database, sobject, draft), draft) for draft in drafts if draft.refusal is None]

    def after(
        self, database: Records, writes: Writes, sobject: SObject, saved: Sequence[tuple[Saving, Draft]], author: Author
    ) -> None:
        """Run the org's code after records are saved. Faults affect records of a call, not those written by the code."""
        if not saved:
            return
        author = replace(author, locked=None, spoiling=None, overtaken=None, refused=None, limits=())
        for one, draft in saved:
            self.afters[sobject.name](database, writes, Saving(one.before, {**one.after, "Id": draft.id}), author)


def saving(database: Records, sobject: SObject, draft: Draft) -> Saving:
    """The record of a draft as it would be saved."""
    if draft.id is None:
        new = {one.name: _default(one) for one in sobject.fields}
        return Saving(None, {**new, **draft.values})
    before = find(database, sobject.name, '"Id" = ?', draft.id)[0]
    return Saving(before, {**before, **draft.values})


def find(database: Records, name: str, where: str, *values: Stored) -> list[dict[str, Stored]]:
    """The records of an object that are not deleted and meet an SQL condition."""
    found = database.connection.execute(
        f'SELECT * FROM "{name}" WHERE {where} AND "IsDeleted" = 0',  # noqa: S608 - both are ours
        values,
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def _default(field: Field) -> Stored:
    return int(field.default) if isinstance(field.default, bool) else field.default
