"""Writes records by the org's rules: every record of a call gets its own outcome, in the order of the call.

Checks run over all records together, so that a collection of 200 needs few statements.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connector.sandbox.salesforce.automation import Automation
from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.drafts import SILENT, Author, Draft, Record, fold, read, unwritable
from connector.sandbox.salesforce.duplicate_rules import DuplicateRules
from connector.sandbox.salesforce.fields import Field, Kind, SObject
from connector.sandbox.salesforce.identifiers import canonical
from connector.sandbox.salesforce.leads import check_converted
from connector.sandbox.salesforce.links import check_references, resolve_parents
from connector.sandbox.salesforce.members import check_members
from connector.sandbox.salesforce.refusals import RecordRefusedError, undecodable
from connector.sandbox.salesforce.values import Stored
from connector.sandbox.salesforce.wording import UNKNOWN

WITHOUT_ID = SILENT | {"Id", "id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result for one record; a rejected one has no id."""

    id: str | None
    created: bool = False
    refusal: RecordRefusedError | None = None


class Writer:
    """Inserts, updates, upserts and deletes; the caller holds the transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._triggers = database.triggers
        self.automation = Automation()
        self.duplicate_rules = DuplicateRules(database)

    def upsert(
        self, sobject: SObject, key: Field, records: Sequence[Record], author: Author, *, create: bool = True
    ) -> list[Outcome]:
        """Write records by an external ID: existing ones are updated, others created unless `create` is off."""
        drafts = self._read(sobject, records, author)
        for draft in drafts:
            value = draft.values.get(key.name)
            draft.key = fold(key, value)
            if draft.refusal is None and draft.key is None:
                draft.refusal = RecordRefusedError("MISSING_ARGUMENT", f"{key.name} not specified", key.name)
        self._refuse_repeats(drafts, lambda draft: f"Duplicate external id specified: {draft.values[key.name]}")
        found = self._find(sobject, key, [draft.key for draft in drafts if draft.refusal is None and draft.key])
        if create and author.overtaken is not None:
            self._overtake(sobject, key, [draft for draft in drafts if draft.key not in found], author)
        for draft in drafts:
            if draft.refusal is not None or draft.key is None:
                continue
            ids = found.get(draft.key, [])
            if len(ids) > 1:
                listed = ", ".join(ids)
                draft.refusal = RecordRefusedError(
                    "DUPLICATE_EXTERNAL_ID", f"More than one record found for external id field: [{listed}]", key.name
                )
            elif ids:
                draft.id = ids[0]
            elif not create:
                draft.refusal = RecordRefusedError("NOT_FOUND", "The requested resource does not exist")
        return self._write(sobject, drafts, author)

    def _overtake(self, sobject: SObject, key: Field, drafts: list[Draft], author: Author) -> None:
        """Let somebody else create the records of these drafts after they were looked up and before they are written."""
        assert author.overtaken is not None  # noqa: S101 - ensured by the caller.
        others = [draft.record for draft in drafts if draft.refusal is None and author.overtaken(draft.record)]
        required = [field.name for field in sobject.required]
        self.insert(
            sobject,
            [{key.name: one[key.name], **{name: one.get(name, "Other") for name in required}} for one in others],
            replace(author, overtaken=None),
        )

    def insert(self, sobject: SObject, records: Sequence[Record], author: Author) -> list[Outcome]:
        """Create records."""
        return self._write(sobject, self._read(sobject, records, author), author)

    def update(self, sobject: SObject, records: Sequence[Record], author: Author) -> list[Outcome]:
        """Change records by `Id`."""
        drafts = self._read(sobject, records, author, ignore=WITHOUT_ID)
        for draft in drafts:
            given = draft.record.get("Id", draft.record.get("id"))
            draft.id = canonical(given)
            if draft.id is None or not draft.id.startswith(sobject.prefix):
                draft.refusal = _wrong_id(sobject, given)
            draft.key = draft.id
        self._refuse_repeats(drafts, lambda draft: f"Duplicate id specified: {draft.id}")
        self._refuse_missing(sobject, drafts)
        return self._write(sobject, drafts, author)

    def delete(self, sobject: SObject, ids: Sequence[str], author: Author, **also: Stored) -> list[Outcome]:
        """Move records to the recycle bin; `also` sets further columns."""
        drafts = [Draft({"Id": given}, id=canonical(given)) for given in ids]
        for draft, given in zip(drafts, ids, strict=True):
            if draft.id is None or not draft.id.startswith(sobject.prefix):
                draft.refusal = _wrong_id(sobject, given)
            draft.key = draft.id
        self._refuse_repeats(drafts, lambda draft: f"Duplicate id specified: {draft.id}")
        self._refuse_missing(sobject, drafts)
        self._refuse_locked(drafts, author)
        going = [draft for draft in drafts if draft.refusal is None]
        for draft in going:
            draft.values = {"IsDeleted": 1, **also}
        self._change(sobject, going, author)
        self._note(sobject, going, author, "deleted")
        return [Outcome(id=draft.id, refusal=draft.refusal) for draft in drafts]

    def undelete(self, sobject: SObject, ids: Sequence[str], author: Author) -> list[Outcome]:
        """Restore records from the recycle bin."""
        drafts = [Draft({"Id": given}, id=canonical(given)) for given in ids]
        keys = ", ".join(f'"{field.folded}"' for field in sobject.unique)
        sql = f'SELECT "Id"{keys and f", {keys}"} FROM "{sobject.name}" WHERE "Id" IN ({{}}) AND "IsDeleted" = 1'  # noqa: S608 - names are ours
        binned = {row[0]: row[1:] for row in self._database.lookup(sql, [draft.id for draft in drafts if draft.id])}
        for draft in drafts:
            if draft.id not in binned:
                draft.refusal = RecordRefusedError("UNDELETE_FAILED", "Entity is not in the recycle bin")
                continue
            draft.values = {field.folded: key for field, key in zip(sobject.unique, binned[draft.id], strict=True)}
        # A key that another record has now cannot be restored.
        self._refuse_taken(sobject, drafts)
        back = [draft for draft in drafts if draft.refusal is None]
        for draft in back:
            draft.values = {"IsDeleted": 0, **({"MasterRecordId": None} if sobject.mergeable else {})}
        self._change(sobject, back, author)
        self._note(sobject, back, author, "undeleted")
        return [Outcome(id=draft.id, refusal=draft.refusal) for draft in drafts]

    def _read(
        self, sobject: SObject, records: Sequence[Record], author: Author, ignore: frozenset[str] = SILENT
    ) -> list[Draft]:
        if author.spoiling is not None and any(author.spoiling(record) for record in records):
            raise undecodable("datetime", "")
        return [read(self._database.schema, sobject, record, ignore=ignore) for record in records]

    def _write(self, sobject: SObject, drafts: list[Draft], author: Author) -> list[Outcome]:
        self._refuse_locked(drafts, author)
        self._refuse_chosen(sobject, drafts, author)
        resolve_parents(self._database, drafts)
        check_references(self._database, drafts)
        self._refuse_incomplete(sobject, drafts)
        self._refuse_by_rule(sobject, drafts)
        self._triggers.check(self._database, sobject, drafts)
        for limit in author.limits:
            limit.check(sobject, drafts)
        if sobject.name == "Lead":
            check_converted(self._database, drafts)
        if sobject.name == "CampaignMember":
            check_members(self._database, drafts)
        self.duplicate_rules.check(sobject, drafts, author)
        self.automation.rewrite(sobject, drafts, author)
        self._refuse_taken(sobject, drafts)
        savings = self._triggers.before(self._database, sobject, drafts)
        new: list[Draft] = []
        changed: list[Draft] = []
        for draft in drafts:
            if draft.refusal is None:
                if draft.id is None:
                    draft.row, draft.id = self._database.next_id(sobject)
                    draft.created = True
                    new.append(draft)
                else:
                    changed.append(draft)
        self._create(sobject, new, author)
        self._change(sobject, changed, author)
        self._sign(sobject, drafts)
        self._note(sobject, (draft for draft in drafts if draft.refusal is None), author)
        self._triggers.after(self._database, self, sobject, savings, author)
        return [
            Outcome(id=None if draft.refusal else draft.id, created=draft.created, refusal=draft.refusal)
            for draft in drafts
        ]

    def _find(self, sobject: SObject, key: Field, keys: Sequence[str]) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        column = "Id" if key.kind is Kind.ID else key.folded
        sql = f'SELECT "{column}", "Id" FROM "{sobject.name}" WHERE "{column}" IN ({{}}) AND "IsDeleted" = 0'  # noqa: S608 - names are ours
        for folded, record in self._database.lookup(sql, keys):
            found[folded].append(record)
        return found

    @staticmethod
    def _refuse_repeats(drafts: list[Draft], text: Callable[[Draft], str]) -> None:
        counts = Counter(draft.key for draft in drafts if draft.key is not None)
        if len(counts) == len(drafts):
            return
        for draft in drafts:
            if draft.refusal is None and draft.key is not None and counts[draft.key] > 1:
                draft.refusal = RecordRefusedError("DUPLICATE_VALUE", text(draft))

    def _refuse_missing(self, sobject: SObject, drafts: list[Draft]) -> None:
        sql = f'SELECT "Id", "IsDeleted" FROM "{sobject.name}" WHERE "Id" IN ({{}})'  # noqa: S608 - the name is ours
        state = dict(self._database.lookup(sql, [draft.id for draft in drafts if draft.id]))
        for draft in drafts:
            if draft.refusal is not None:
                continue
            if draft.id not in state:
                draft.refusal = RecordRefusedError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
            elif state[draft.id]:
                draft.refusal = RecordRefusedError("ENTITY_IS_DELETED", "entity is deleted")

    @staticmethod
    def _refuse_locked(drafts: list[Draft], author: Author) -> None:
        if author.locked is None:
            return
        for draft in drafts:
            if draft.refusal is None and author.locked(draft.record):
                draft.refusal = RecordRefusedError(
                    "UNABLE_TO_LOCK_ROW",
                    "unable to obtain exclusive access to this record or 1 records: "
                    f"{draft.id or draft.values.get('AccountId') or UNKNOWN}",
                )

    @staticmethod
    def _refuse_chosen(sobject: SObject, drafts: list[Draft], author: Author) -> None:
        if author.refused is not None:
            for draft in drafts:
                draft.refusal = draft.refusal or author.refused(sobject, draft.record)

    @staticmethod
    def _refuse_incomplete(sobject: SObject, drafts: list[Draft]) -> None:
        for draft in drafts:
            if draft.refusal is not None:
                continue
            missing = draft.cleared or []
            if draft.id is None:
                missing = [field.name for field in sobject.required if draft.values.get(field.name) is None]
            elif fixed := next((field for field in sobject.fixed if field.name in draft.values), None):
                draft.refusal = unwritable(fixed)
                continue
            if missing:
                listed = ", ".join(missing)
                draft.refusal = RecordRefusedError(
                    "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{listed}]", *missing
                )

    @staticmethod
    def _refuse_by_rule(sobject: SObject, drafts: list[Draft]) -> None:
        for field in sobject.ruled:
            for draft in drafts:
                if draft.refusal is None and draft.values.get(field.name) is not None:
                    draft.refusal = RecordRefusedError("FIELD_CUSTOM_VALIDATION_EXCEPTION", field.rule, field.name)

    def _refuse_taken(self, sobject: SObject, drafts: list[Draft]) -> None:
        for field in sobject.unique:
            taken: dict[str, str] = {}
            wanted = [draft for draft in drafts if draft.refusal is None and draft.values.get(field.folded) is not None]
            found = self._find(sobject, field, [str(draft.values[field.folded]) for draft in wanted])
            for draft in wanted:
                value = str(draft.values[field.folded])
                other = next((owner for owner in found.get(value, []) if owner != draft.id), taken.get(value))
                if other is None:
                    taken[value] = draft.id or UNKNOWN
                    continue
                named = UNKNOWN if other == UNKNOWN else field.name
                draft.refusal = RecordRefusedError(
                    "DUPLICATE_VALUE", self._database.wording.duplicate_value(named, other)
                )

    def _create(self, sobject: SObject, drafts: list[Draft], author: Author) -> None:
        system = ("row", "Id", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp")
        trail = (author.stamp, author.user, author.stamp, author.user, author.stamp)
        for names, group in _by_fields(drafts):
            columns = ", ".join(f'"{name}"' for name in (*system, *names))
            marks = ", ".join("?" * (len(system) + len(names)))
            self._database.connection.executemany(
                f'INSERT INTO "{sobject.name}" ({columns}) VALUES ({marks})',  # noqa: S608 - names are ours
                [(draft.row, draft.id, *trail, *draft.values.values()) for draft in group],
            )

    def _change(self, sobject: SObject, drafts: list[Draft], author: Author) -> None:
        trail = (author.stamp, author.user, author.stamp)
        for names, group in _by_fields(drafts):
            columns = ", ".join(
                f'"{name}" = ?' for name in ("LastModifiedDate", "LastModifiedById", "SystemModstamp", *names)
            )
            self._database.connection.executemany(
                f'UPDATE "{sobject.name}" SET {columns} WHERE "Id" = ?',  # noqa: S608 - names are ours
                [(*trail, *draft.values.values(), draft.id) for draft in group],
            )

    def _sign(self, sobject: SObject, drafts: list[Draft]) -> None:
        signed = [(draft.signed, draft.id) for draft in drafts if draft.refusal is None and draft.signed is not None]
        if signed:
            sql = f'UPDATE "{sobject.name}" SET "LastModifiedById" = ? WHERE "Id" = ?'  # noqa: S608 - the name is ours
            self._database.connection.executemany(sql, signed)

    def _note(self, sobject: SObject, drafts: Iterable[Draft], author: Author, action: str | None = None) -> None:
        self._database.record(
            author.time,
            sobject.name,
            author.user,
            (
                (str(draft.id), action or ("created" if draft.created else "updated"), _fields(draft.record))
                for draft in drafts
            ),
        )


def _fields(record: Record) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in WITHOUT_ID}


def _by_fields(drafts: Iterable[Draft]) -> Iterable[tuple[tuple[str, ...], list[Draft]]]:
    """The drafts grouped by the fields that they set, so that each group is one prepared statement."""
    groups: defaultdict[tuple[str, ...], list[Draft]] = defaultdict(list)
    for draft in drafts:
        groups[tuple(draft.values)].append(draft)
    return groups.items()


def _wrong_id(sobject: SObject, given: object) -> RecordRefusedError:
    if given is None:
        return RecordRefusedError("MISSING_ARGUMENT", "Id not specified in an update call", "Id")
    return RecordRefusedError("MALFORMED_ID", f"{sobject.label} ID: id value of incorrect type: {given}", "Id")
