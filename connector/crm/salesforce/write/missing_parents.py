"""INVALID_FIELD on a record with a parent: finds out whether the parent is missing or the configuration is wrong.

The English text says it (`Foreign key external ID: … not found for field … in entity …`). For orgs in other languages
the parents are queried once, by their external IDs.

Source: REST API Developer Guide, "Insert or Update (Upsert) a Record Using an External ID".
"""

from collections.abc import Mapping, Sequence

from connector.crm.salesforce.client.error_codes import missing_column
from connector.crm.salesforce.client.responses import RequestFailed, read_failure
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.write.merged_records import KeptRecord, is_deleted, soql
from connector.crm.salesforce.write.org_fields import OrgFields
from connector.crm.salesforce.write.requests import Item
from connector.crm.salesforce.write.writes import FailedWrite, Write
from connector.model.operation import ID_FIELD, Parent
from connector.model.outcome import Outcome, Reason, Rejected, Retry

CODE = "INVALID_FIELD"
KEYS = 100  # per query

NamedParent = tuple[str, Parent]  # the object of a parent, and how it is named


def missing_parent_text(parent: Parent, object_name: str) -> str:
    """Salesforce's English text for a missing parent."""
    return f"Foreign key external ID: {parent.key} not found for field {parent.key_field} in entity {object_name}"


def may_lack_parent(outcome: Outcome, item: Item) -> bool:
    """Whether a record was rejected with this code, and its text leaves open if a parent is the reason."""
    if not isinstance(outcome, Rejected) or outcome.code != CODE or missing_column(outcome.detail) is not None:
        return False
    parents = {parent.key_field.casefold() for _, parent in _parents_by_key(item)}
    reported = outcome.field.casefold()
    own = {name.casefold() for name, value in item.fields.items() if type(value) is not Parent}
    return bool(parents) and (reported in parents or reported not in own)


async def check_parents(
    rest: RestClient, fields: OrgFields, refused: Sequence[FailedWrite]
) -> dict[Write, Item | Outcome]:
    """For each of these records: the outcome "parent missing", or the record to be sent once more.

    It is sent once more if all parents exist, because one may have been created meanwhile. If the query is refused, its
    outcome stays. Raises RequestFailed if Salesforce is not available.
    """
    await fields.learn(rest, {failed.item.object for failed in refused})
    parents_of = {failed.write: _named_parents(failed.item, fields) for failed in refused}
    try:
        existing = await _find_existing(rest, [parent for parents in parents_of.values() for parent in parents])
    except RequestFailed as error:
        if read_failure(error).reason is not Reason.UNEXPECTED_ANSWER:
            raise
        # For example a key field that the org does not have: a configuration error.
        return {failed.write: failed.outcome for failed in refused}
    results: dict[Write, Item | Outcome] = {}
    for failed in refused:
        missing = next((parent for parent in parents_of[failed.write] if _key(parent) not in existing), None)
        if missing is None:
            results[failed.write] = failed.item
        else:
            object_name, parent = missing
            detail = f"{CODE}: {missing_parent_text(parent, object_name)}"
            results[failed.write] = Retry(reason=Reason.PARENT_MISSING, detail=detail, code=CODE)
    return results


def _parents_by_key(item: Item) -> list[tuple[str, Parent]]:
    """The parents that a record names by external ID, by relationship."""
    return [
        (name, value) for name, value in item.fields.items() if type(value) is Parent and value.key_field != ID_FIELD
    ]


def _named_parents(item: Item, fields: OrgFields) -> list[NamedParent]:
    """The parents that a record names by external ID, if their object is known."""
    parents: list[NamedParent] = []
    for relationship, parent in _parents_by_key(item):
        objects = (parent.object,) if parent.object else fields.parents(item.object, relationship)
        if len(objects) == 1:
            parents.append((objects[0], parent))
    return parents


async def _find_existing(rest: RestClient, parents: Sequence[NamedParent]) -> set[tuple[str, str, str]]:
    """The existing ones of these parents, in the form of _key()."""
    wanted: dict[tuple[str, str], dict[str, str]] = {}
    for name, parent in parents:
        wanted.setdefault((name, parent.key_field), {})[parent.key.lower()] = parent.key
    existing: set[tuple[str, str, str]] = set()
    for (name, field), keys in wanted.items():
        texts = list(keys.values())
        queries = [soql(name, [field], field, texts[start : start + KEYS]) for start in range(0, len(texts), KEYS)]
        answers = await rest.rows_of(queries)
        existing |= {(name, field, _lower(row, field)) for rows in answers for row in rows if not is_deleted(row)}
    return existing


def _lower(row: Mapping[str, object], field: str) -> str:
    """The value of a field in lower case."""
    return str(KeptRecord(record_id="", row=row).value(field)).lower()


def _key(named_parent: NamedParent) -> tuple[str, str, str]:
    """Object, key field and key, comparable."""
    name, parent = named_parent
    return name, parent.key_field, parent.key.lower()
