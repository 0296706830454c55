"""Recovers rejected writes whose cause is known.

Causes: a duplicate rule blocks the record, it or its parents were merged, the org has no such parent, or a text field
was given a number.

Each write is sent at most once more per cause, to the right record, or is left to a person with the Ids in the message.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace as replace_dataclass

from msgspec.structs import replace

from connector.crm.salesforce.client.api import Single
from connector.crm.salesforce.client.record_ids import comparable
from connector.crm.salesforce.client.responses import RequestFailed, read_failure
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.write import (
    converted_leads,
    duplicate_values,
    duplicates,
    merged_parents,
    missing_parents,
    other_parents,
)
from connector.crm.salesforce.write.duplicates import Matches, Policy
from connector.crm.salesforce.write.merged_records import KeptRecord, find_kept, is_deleted, soql
from connector.crm.salesforce.write.org_fields import UNREADABLE, OrgFields, may_hold_text
from connector.crm.salesforce.write.requests import Item
from connector.crm.salesforce.write.writes import FailedWrite, Write
from connector.model.consent_fields import ConsentFields
from connector.model.operation import ID_FIELD, RecordWrite
from connector.model.outcome import Outcome, Reason, Rejected, Retry

KEYS = 100  # of one query
DELETED = "ENTITY_IS_DELETED"
MISSING_FIELD = "INVALID_FIELD"  # the integration user cannot see what a lead became

# Builds the item of a changed write, with the record that it is for now if that is another one.
Remake = Callable[[Write, RecordWrite, KeptRecord | None], Item | Outcome]


class Recovery:
    """Recoveries for the writes of one batch."""

    def __init__(
        self,
        rest: RestClient,
        remake: Remake,
        *,
        policy: Callable[[str], Policy],
        columns: Callable[[RecordWrite], Sequence[str]],
        fields: OrgFields,
        consent: Mapping[str, ConsentFields],
    ) -> None:
        """`policy`: for duplicates of an object; `columns`: what must be read of a record before it is written.

        `consent` is by object (case-folded).
        """
        self._rest = rest
        self._remake = remake
        self._policy = policy
        self._columns = columns
        self._fields = fields
        self._consent = consent
        self._asked: set[tuple[int, tuple[str, ...]]] = set()  # records, with their parents, that were queried
        self._renamed: dict[Write, RecordWrite] = {}  # writes whose parents now have another name

    def can_recover(self, outcome: Retry | Rejected, item: Item, *, again: bool) -> bool:
        """Whether this outcome may be recoverable; `again` for a record that was already recovered once."""
        if other_parents.missing(item.fields, outcome):
            return True
        if missing_parents.unclear(outcome, item) and _named(item) not in self._asked:
            return True
        if again:
            return False
        if outcome.code == duplicates.CODE:
            return not item.allow
        if duplicate_values.is_unclear(outcome, item.key_field) and not item.insert:
            return True
        return (
            outcome.code in {DELETED, converted_leads.CODE}
            or merged_parents.parent_was_merged(outcome)
            or may_hold_text(outcome, item.fields)
        )

    async def recover(self, failed_writes: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """For each of these records: what to send instead, or its outcome."""
        # If the key was created meanwhile, sending the upsert once more finds the record.
        ways: dict[Write, Item | Outcome] = {
            one.of: one.item for one in failed_writes if duplicate_values.is_unclear(one.outcome, one.item.key_field)
        }
        unsure = [one for one in failed_writes if missing_parents.unclear(one.outcome, one.item)]
        if unsure:
            asked = await _or_unavailable(
                (one.of for one in unsure),
                missing_parents.ask(self._rest, self._fields, unsure),
            )
            # A record whose parents all exist is sent once more, and they are not queried again.
            self._asked |= {_named(one.item) for one in unsure if isinstance(asked[one.of], Item)}
            ways |= asked
            failed_writes = [_answered(one, asked.get(one.of, one.outcome)) for one in failed_writes]
        held = [one for one in failed_writes if one.outcome.code == duplicates.CODE]
        deleted = [one for one in failed_writes if one.outcome.code == DELETED]
        children_of_missing = [one for one in failed_writes if merged_parents.parent_was_merged(one.outcome)]
        unreadable = [one for one in failed_writes if one.outcome.code == UNREADABLE]
        converted = [one for one in failed_writes if one.outcome.code == converted_leads.CODE]
        for some, recovered in (
            (held, self._held_up),
            (converted, self._converted),
            (deleted, self._deleted),
            (children_of_missing, self._children_of_missing),
            (unreadable, self._as_text),
        ):
            if some:
                ways |= await _or_unavailable((one.of for one in some), recovered(some))
        for one in failed_writes:
            names = other_parents.missing(one.item.fields, one.outcome)
            if names and not isinstance(ways.get(one.of), Item):
                ways[one.of] = self._parents_otherwise(one.of, names)
        return ways

    def _write(self, one: Write) -> RecordWrite:
        return self._renamed.get(one, one.write)

    def _parents_otherwise(self, one: Write, names: list[str]) -> Item | Outcome:
        """The write with the next name of its parents."""
        write = self._renamed[one] = other_parents.named_otherwise(self._write(one), names)
        return self._remake(one, write, None)

    async def _as_text(self, unreadable: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """Writes that a text field may have rejected: sent as text if the org now describes the field as text."""
        await self._fields.learn_again(self._rest, (one.item.object for one in unreadable))
        ways: dict[Write, Item | Outcome] = {}
        for one in unreadable:
            item = one.item
            changes = self._fields.fitted(item.object, item.fields) is not item.fields
            ways[one.of] = self._remake(one.of, self._write(one.of), None) if changes else one.outcome
        return ways

    async def moved(self, records: Mapping[Write, str]) -> dict[Write, KeptRecord | None]:
        """The kept records for writes whose records, with these Ids, no longer exist. Raises RequestFailed."""
        found: dict[Write, KeptRecord | None] = {}
        for name, some in _by_object(records).items():
            columns = {column for one in some for column in self._columns(one.write)}
            living = await find_kept(self._rest, name, {records[one] for one in some}, sorted(columns))
            found |= {one: living.get(comparable(records[one])) for one in some}
        return found

    def redirect_to_kept(self, one: Write, kept: KeptRecord) -> Item | Outcome:
        """The write, redirected to the kept record, which gets our external ID if it has none."""
        return self._remake(one, at(one.write, kept), kept)

    async def _held_up(self, held: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """Writes blocked by a duplicate rule. An existing record is not a new duplicate, and is saved."""
        there = await self._there([one.of for one in held])
        ways: dict[Write, Item | Outcome] = {}
        asked: list[FailedWrite] = []
        for one in held:
            if one.of in there:
                ways[one.of] = replace(one.item, allow=True)
            elif one.item.plain:
                ways[one.of] = _for_a_person("its matches cannot be asked for")
            else:
                asked.append(one)
        singles = [
            Single(
                object=one.item.object, fields=one.item.fields, key_field=one.of.write.key_field, key=one.of.write.key
            )
            for one in asked
        ]
        answers = await duplicates.probe(self._rest, singles)
        sure: dict[Write, str] = {}
        for one, answer in zip(asked, answers, strict=True):
            if not isinstance(answer, Matches):
                ways[one.of] = answer
            elif self._policy(one.item.object) is Policy.MATCH and len(answer.record_ids) == 1:
                sure[one.of] = answer.record_ids[0]
            else:
                ways[one.of] = _for_a_person(_matched(answer))
        if sure:
            ways |= await _or_unavailable(sure, self._matched(sure))
        return ways

    async def _there(self, writes: Sequence[Write]) -> set[Write]:
        """The writes whose record exists."""
        keys: dict[tuple[str, str], dict[str, Write]] = {}
        for one in writes:
            keys.setdefault((one.write.object, one.write.key_field), {})[one.write.key.lower()] = one
        there: set[Write] = set()
        for (name, field), by_key in keys.items():
            wanted = [one.write.key for one in by_key.values()]
            queries = [
                soql(name, [field], field, wanted[start : start + KEYS]) for start in range(0, len(wanted), KEYS)
            ]
            answers = await self._rest.rows_of(queries)
            living = [KeptRecord(record_id="", row=row) for rows in answers for row in rows if not is_deleted(row)]
            there |= {by_key[key] for row in living if (key := str(row.value(field)).lower()) in by_key}
        return there

    async def _matched(self, sure: Mapping[Write, str]) -> dict[Write, Item | Outcome]:
        """Writes that match exactly one record: update that record, unless it has another key."""
        living = await self.moved(sure)
        ways: dict[Write, Item | Outcome] = {}
        for one, record_id in sure.items():
            kept, write = living[one], one.write
            if kept is None:
                ways[one] = Retry(reason=Reason.RACE, detail=f"{record_id} was deleted meanwhile")
            elif str(kept.value(write.key_field) or write.key).lower() != write.key.lower():
                ways[one] = _for_a_person(f"it matches {kept.record_id}, which has another {write.key_field}")
            else:
                ways[one] = self.redirect_to_kept(one, kept)
        return ways

    async def _deleted(self, deleted: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """Updates by Id, or writes with a parent named by Id, where one of these records is gone."""
        own = {one.of: one.item.record_id for one in deleted if one.item.record_id is not None}
        living = await self.moved(own)
        ways: dict[Write, Item | Outcome] = {}
        parents: list[FailedWrite] = []
        for one in deleted:
            kept = living.get(one.of)
            if kept is not None and comparable(kept.record_id) != comparable(one.item.record_id or ""):
                ways[one.of] = self.redirect_to_kept(one.of, kept)
            else:
                parents.append(one)
        if parents:
            ways |= await _or_unavailable((one.of for one in parents), self._follow_ids(parents))
        return ways

    async def _follow_ids(self, children: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """Writes with a parent named by an Id that is gone."""
        writes = {one.of: self._write(one.of) for one in children}
        return self._changed(children, await merged_parents.follow_ids(self._rest, writes))

    async def _children_of_missing(self, children: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """Writes with a parent, named by external ID, that may have been merged."""
        writes = {one.of: (self._write(one.of), one.outcome) for one in children}
        return self._changed(children, await merged_parents.follow_keys(self._rest, writes))

    async def _converted(self, converted: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """Writes to converted leads: opt-outs are redirected; for other writes the message to a person names the contact."""
        writes = {one.of: self._write(one.of) for one in converted}
        try:
            became = await converted_leads.successors(self._rest, writes, self._consent)
        except RequestFailed as failed:
            if read_failure(failed).code != MISSING_FIELD:
                raise
            became = {}
        return {one.of: self._converted_one(one, writes[one.of], became.get(one.of)) for one in converted}

    def _converted_one(
        self, one: FailedWrite, write: RecordWrite, successor: converted_leads.Successor | None
    ) -> Item | Outcome:
        if successor is None or not isinstance(one.outcome, Rejected):
            return one.outcome
        opt_out = converted_leads.opt_out_of(write, successor, self._consent)
        if opt_out is None:
            return converted_leads.explain_to_person(one.outcome, successor)
        made = self._remake(one.of, opt_out, KeptRecord(record_id=successor.record_id, row={}))
        return replace(made, elsewhere=True) if isinstance(made, Item) else made

    def _changed(
        self, failed_writes: Sequence[FailedWrite], changed: Mapping[Write, RecordWrite]
    ) -> dict[Write, Item | Outcome]:
        """The changed writes; for the others their existing outcomes."""
        return {
            one.of: self._remake(one.of, changed[one.of], None) if one.of in changed else one.outcome
            for one in failed_writes
        }


async def _or_unavailable(
    writes: Iterable[Write], recovered: Awaitable[dict[Write, Item | Outcome]]
) -> dict[Write, Item | Outcome]:
    """The result of a recovery; if Salesforce does not answer its queries, all of these writes are retried later."""
    try:
        return await recovered
    except RequestFailed as failed:
        return dict.fromkeys(writes, read_failure(failed))


def _named(item: Item) -> tuple[int, tuple[str, ...]]:
    """The record's position in the batch, and the names of its parents."""
    return item.index, item.lock_group


def _answered(one: FailedWrite, way: Item | Outcome) -> FailedWrite:
    """The failed write with its new outcome, if that is a rejection."""
    return replace_dataclass(one, outcome=way) if isinstance(way, Retry | Rejected) else one


def at(write: RecordWrite, kept: KeptRecord) -> RecordWrite:
    """The write by the kept record's Id, with our external ID if the record has none."""
    key = {}
    if write.key_field != ID_FIELD and kept.value(write.key_field) in {None, ""}:
        key = {write.key_field: write.key}
    return write.at(kept.record_id, {**write.set, **key})


def _for_a_person(why: str) -> Rejected:
    return Rejected(reason=Reason.NEEDS_PERSON, detail=f"a duplicate rule holds it up: {why}", code=duplicates.CODE)


def _matched(found: Matches) -> str:
    rule = f" ({found.rule})" if found.rule else ""
    return f"it matches {', '.join(found.record_ids) or 'records that the integration user may not see'}{rule}"


def _by_object(writes: Iterable[Write]) -> dict[str, list[Write]]:
    objects: dict[str, list[Write]] = {}
    for one in writes:
        objects.setdefault(one.write.object, []).append(one)
    return objects
