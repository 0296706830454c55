"""Links between records: parents named by external ID, and ids that must exist."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.drafts import Draft, ParentLink
from connector.sandbox.salesforce.fields import Kind
from connector.sandbox.salesforce.identifiers import canonical
from connector.sandbox.salesforce.refusals import RecordRefusedError


def _key(link: ParentLink) -> str:
    return canonical(link.value) or "" if link.field.kind is Kind.ID else link.field.fold(link.value)


def resolve_parents(database: Database, drafts: Sequence[Draft]) -> None:
    """Set the parents' ids in the drafts; all are looked up before any record of the call is written."""
    wanted: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for draft in drafts:
        for link in draft.parents or ():
            column = "Id" if link.field.kind is Kind.ID else link.field.folded
            wanted[link.target.name, column].add(_key(link))
    if not wanted:
        return
    found: defaultdict[tuple[str, str], defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for (name, column), keys in wanted.items():
        sql = f'SELECT "{column}", "Id" FROM "{name}" WHERE "{column}" IN ({{}}) AND "IsDeleted" = 0'  # noqa: S608 - names are ours
        for key, record in database.lookup(sql, list(keys)):
            found[name, column][key].append(record)
    for draft in drafts:
        for link in draft.parents or ():
            column = "Id" if link.field.kind is Kind.ID else link.field.folded
            ids = found[link.target.name, column].get(_key(link), [])
            if len(ids) == 1:
                draft.values[link.child.name] = ids[0]
            elif draft.refusal is None:
                draft.refusal = _unresolved(link, ids)


def _unresolved(link: ParentLink, ids: list[str]) -> RecordRefusedError:
    if ids:
        listed = ", ".join(ids)
        return RecordRefusedError(
            "DUPLICATE_EXTERNAL_ID", f"More than one record found for external id field: [{listed}]", link.child.name
        )
    return RecordRefusedError(
        "INVALID_FIELD",
        f"Foreign key external ID: {link.value} not found for field {link.field.name} in entity {link.target.name}",
    )


def check_references(database: Database, drafts: Sequence[Draft]) -> None:
    """Reject drafts with an id that does not exist."""
    deleted = _states(database, {value for draft in drafts for _, value in draft.references or ()})
    for draft in drafts:
        for field, value in draft.references or ():
            if draft.refusal is not None:
                break
            if value not in deleted:
                draft.refusal = RecordRefusedError(
                    "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", field.name
                )
            elif deleted[value]:
                draft.refusal = RecordRefusedError("ENTITY_IS_DELETED", "entity is deleted", field.name)


def _states(database: Database, ids: Iterable[str]) -> dict[str, int]:
    """Whether each existing record is deleted."""
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    for value in ids:
        target = database.schema.of_id(value)
        if target is not None:
            wanted[target.name].append(value)
    deleted: dict[str, int] = {}
    for name, values in wanted.items():
        sql = f'SELECT "Id", "IsDeleted" FROM "{name}" WHERE "Id" IN ({{}})'  # noqa: S608 - the name is ours
        deleted.update(database.lookup(sql, values))
    return deleted
