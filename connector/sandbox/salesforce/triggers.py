"""What an org's own code does when a record is saved: refuse it, or make and change others. Packages such as NPSP are made of it."""

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
    """A record that is being saved: how it was, and how it is going to be with what was not written."""

    before: Row | None  # None: it is new
    after: Row  # of a new record the Id is there only after it was saved

    def became(self, name: str, value: Stored) -> bool:
        """Whether the field has this value now and had not before."""
        return self.after[name] == value and (self.before is None or self.before[name] != value)

    def changed(self, name: str) -> bool:
        """Whether the field of a record that was there has another value now."""
        return self.before is not None and self.before[name] != self.after[name]


class Records(Protocol):
    """Where the org's records are, and what they are: its database."""

    connection: sqlite3.Connection
    schema: Schema


class Writes(Protocol):
    """How a trigger writes: by the same rules as everybody."""

    def insert(self, known: SObject, records: Sequence[Record], author: Author) -> Sequence[object]:
        """Create records."""

    def update(self, known: SObject, records: Sequence[Record], author: Author) -> Sequence[object]:
        """Change records that are named by `Id`."""


Check = Callable[[Records, Saving], RecordRefusedError | None]
After = Callable[[Records, Writes, Saving, Author], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggers:
    """The org's code, by the name of the object that it is for."""

    checks: Mapping[str, Check] = field(default_factory=dict)
    afters: Mapping[str, After] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()

    def check(self, database: Records, known: SObject, drafts: Sequence[Draft]) -> None:
        """Refuse the drafts that the org's code refuses."""
        check = self.checks.get(known.name)
        if check is None:
            return
        for draft in drafts:
            if draft.refusal is None:
                draft.refusal = check(database, saving(database, known, draft))

    def before(self, database: Records, known: SObject, drafts: Sequence[Draft]) -> list[tuple[Saving, Draft]]:
        """The accepted drafts as after() wants them: to be asked for before anything is written."""
        if known.name not in self.afters:
            return []
        return [(saving(database, known, draft), draft) for draft in drafts if draft.refusal is None]

    def after(
        self, database: Records, writes: Writes, known: SObject, saved: Sequence[tuple[Saving, Draft]], author: Author
    ) -> None:
        """Do what the org's code does once records are saved. Faults strike the records of a call, and not what code makes of them."""
        if not saved:
            return
        author = replace(author, locked=None, spoiling=None, overtaken=None, refused=None, limits=())
        for one, draft in saved:
            self.afters[known.name](database, writes, Saving(one.before, {**one.after, "Id": draft.id}), author)


def saving(database: Records, known: SObject, draft: Draft) -> Saving:
    """The record of a draft as it would be saved."""
    if draft.id is None:
        new = {one.name: _default(one) for one in known.fields}
        return Saving(None, {**new, **draft.values})
    before = find(database, known.name, '"Id" = ?', draft.id)[0]
    return Saving(before, {**before, **draft.values})


def find(database: Records, name: str, where: str, *values: Stored) -> list[dict[str, Stored]]:
    """The living records of an object that meet an SQL condition."""
    found = database.connection.execute(
        f'SELECT * FROM "{name}" WHERE {where} AND "IsDeleted" = 0',  # noqa: S608 - both are ours
        values,
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def _default(one: Field) -> Stored:
    return int(one.default) if isinstance(one.default, bool) else one.default
