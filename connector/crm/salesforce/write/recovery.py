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
Rebuild = Callable[[Write, RecordWrite, KeptRecord | None], Item | Outcome]


class Recovery:
    """Recoveries for the writes of one batch."""

    def __init__(
        self,
        rest: RestClient,
        rebuild: Rebuild,
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
        self._rebuild = rebuild
        self._policy = policy
        self._columns = columns
        self._fields = fields
        self._consent = consent
        self._parents_checked: set[tuple[int, tuple[str, ...]]] = set()  # records whose parents were queried
        self._with_next_parents: dict[Write, RecordWrite] = {}  # writes with the next alternative for a parent

    def can_recover(self, outcome: Retry | Rejected, item: Item, *, again: bool) -> bool:
        """Whether this outcome may be recoverable; `again` for a record that was already recovered once."""
        if other_parents.replaceable(item.fields, outcome):
            return True
        if missing_parents.may_lack_parent(outcome, item) and _parents_of(item) not in self._parents_checked:
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
        results: dict[Write, Item | Outcome] = {
            one.of: one.item for one in failed_writes if duplicate_values.is_unclear(one.outcome, one.item.key_field)
        }
        unsure = [one for one in failed_writes if missing_parents.may_lack_parent(one.outcome, one.item)]
        if unsure:
            checked = await _or_unavailable(
                (one.of for one in unsure),
                missing_parents.check_parents(self._rest, self._fields, unsure),
            )
            # A record whose parents all exist is sent once more, and they are not queried again.
            self._parents_checked |= {_parents_of(one.item) for one in unsure if isinstance(checked[one.of], Item)}
            results |= checked
            failed_writes = [_with_outcome(one, checked.get(one.of, one.outcome)) for one in failed_writes]
        blocked = [one for one in failed_writes if one.outcome.code == duplicates.CODE]
        deleted = [one for one in failed_writes if one.outcome.code == DELETED]
        children_of_missing = [one for one in failed_writes if merged_parents.parent_was_merged(one.outcome)]
        unreadable = [one for one in failed_writes if one.outcome.code == UNREADABLE]
        converted = [one for one in failed_writes if one.outcome.code == converted_leads.CODE]
        for some, recovered in (
            (blocked, self._blocked_by_duplicate_rule),
            (converted, self._converted),
            (deleted, self._deleted),
            (children_of_missing, self._children_of_missing),
            (unreadable, self._as_text),
        ):
            if some:
                results |= await _or_unavailable((one.of for one in some), recovered(some))
        for one in failed_writes:
            names = other_parents.replaceable(one.item.fields, one.outcome)
            if names and not isinstance(results.get(one.of), Item):
                results[one.of] = self._use_next_parents(one.of, names)
        return results

    def _write(self, one: Write) -> RecordWrite:
        return self._with_next_parents.get(one, one.write)

    def _use_next_parents(self, one: Write, names: list[str]) -> Item | Outcome:
        """The write with the next alternative for its parents."""
        write = self._with_next_parents[one] = other_parents.with_next_parents(self._write(one), names)
        return self._rebuild(one, write, None)

    async def _as_text(self, unreadable: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """Writes that a text field may have rejected: sent as text if the org now describes the field as text."""
        await self._fields.learn_again(self._rest, (one.item.object for one in unreadable))
        results: dict[Write, Item | Outcome] = {}
        for one in unreadable:
            item = one.item
            changes = self._fields.with_text_values(item.object, item.fields) is not item.fields
            results[one.of] = self._rebuild(one.of, self._write(one.of), None) if changes else one.outcome
        return results

    async def find_kept(self, records: Mapping[Write, str]) -> dict[Write, KeptRecord | None]:
        """The kept records for writes whose records, with these Ids, no longer exist. Raises RequestFailed."""
        found: dict[Write, KeptRecord | None] = {}
        for name, some in _by_object(records).items():
            columns = {column for one in some for column in self._columns(one.write)}
            kept_records = await find_kept(self._rest, name, {records[one] for one in some}, sorted(columns))
            found |= {one: kept_records.get(comparable(records[one])) for one in some}
        return found

    def redirect_to_kept(self, one: Write, kept: KeptRecord) -> Item | Outcome:
        """The write, redirected to the kept record, which gets our external ID if it has none."""
        return self._rebuild(one, at_kept(one.write, kept), kept)

    async def _blocked_by_duplicate_rule(self, blocked: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """Writes blocked by a duplicate rule. An existing record is not a new duplicate, and is saved."""
        existing = await self._existing([one.of for one in blocked])
        results: dict[Write, Item | Outcome] = {}
        asked: list[FailedWrite] = []
        for one in blocked:
            if one.of in existing:
                results[one.of] = replace(one.item, allow=True)
            elif one.item.plain:
                results[one.of] = _for_a_person("its matches cannot be asked for")
            else:
                asked.append(one)
        singles = [
            Single(
                object=one.item.object, fields=one.item.fields, key_field=one.of.write.key_field, key=one.of.write.key
            )
            for one in asked
        ]
        answers = await duplicates.probe(self._rest, singles)
        single_matches: dict[Write, str] = {}
        for one, answer in zip(asked, answers, strict=True):
            if not isinstance(answer, Matches):
                results[one.of] = answer
            elif self._policy(one.item.object) is Policy.MATCH and len(answer.record_ids) == 1:
                single_matches[one.of] = answer.record_ids[0]
            else:
                results[one.of] = _for_a_person(_describe(answer))
        if single_matches:
            results |= await _or_unavailable(single_matches, self._update_single_matches(single_matches))
        return results

    async def _existing(self, writes: Sequence[Write]) -> set[Write]:
        """The writes whose record exists."""
        keys: dict[tuple[str, str], dict[str, Write]] = {}
        for one in writes:
            keys.setdefault((one.write.object, one.write.key_field), {})[one.write.key.lower()] = one
        existing: set[Write] = set()
        for (name, field), by_key in keys.items():
            wanted = [one.write.key for one in by_key.values()]
            queries = [
                soql(name, [field], field, wanted[start : start + KEYS]) for start in range(0, len(wanted), KEYS)
            ]
            answers = await self._rest.rows_of(queries)
            kept_records = [
                KeptRecord(record_id="", row=row) for rows in answers for row in rows if not is_deleted(row)
            ]
            existing |= {by_key[key] for row in kept_records if (key := str(row.value(field)).lower()) in by_key}
        return existing

    async def _update_single_matches(self, single_matches: Mapping[Write, str]) -> dict[Write, Item | Outcome]:
        """Writes that match exactly one record: update that record, unless it has another key."""
        kept_records = await self.find_kept(single_matches)
        results: dict[Write, Item | Outcome] = {}
        for one, record_id in single_matches.items():
            kept, write = kept_records[one], one.write
            if kept is None:
                results[one] = Retry(reason=Reason.RACE, detail=f"{record_id} was deleted meanwhile")
            elif str(kept.value(write.key_field) or write.key).lower() != write.key.lower():
                results[one] = _for_a_person(f"it matches {kept.record_id}, which has another {write.key_field}")
            else:
                results[one] = self.redirect_to_kept(one, kept)
        return results

    async def _deleted(self, deleted: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """Updates by Id, or writes with a parent named by Id, where one of these records is gone."""
        own = {one.of: one.item.record_id for one in deleted if one.item.record_id is not None}
        kept_records = await self.find_kept(own)
        results: dict[Write, Item | Outcome] = {}
        parents: list[FailedWrite] = []
        for one in deleted:
            kept = kept_records.get(one.of)
            if kept is not None and comparable(kept.record_id) != comparable(one.item.record_id or ""):
                results[one.of] = self.redirect_to_kept(one.of, kept)
            else:
                parents.append(one)
        if parents:
            results |= await _or_unavailable((one.of for one in parents), self._follow_ids(parents))
        return results

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
        return {one.of: self._redirect_converted(one, writes[one.of], became.get(one.of)) for one in converted}

    def _redirect_converted(
        self, one: FailedWrite, write: RecordWrite, successor: converted_leads.Successor | None
    ) -> Item | Outcome:
        if successor is None or not isinstance(one.outcome, Rejected):
            return one.outcome
        opt_out = converted_leads.opt_out_of(write, successor, self._consent)
        if opt_out is None:
            return converted_leads.explain_to_person(one.outcome, successor)
        made = self._rebuild(one.of, opt_out, KeptRecord(record_id=successor.record_id, row={}))
        return replace(made, other_object=True) if isinstance(made, Item) else made

    def _changed(
        self, failed_writes: Sequence[FailedWrite], changed: Mapping[Write, RecordWrite]
    ) -> dict[Write, Item | Outcome]:
        """The changed writes; for the others their existing outcomes."""
        return {
            one.of: self._rebuild(one.of, changed[one.of], None) if one.of in changed else one.outcome
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


def _parents_of(item: Item) -> tuple[int, tuple[str, ...]]:
    """The record's position in the batch, and the names of its parents."""
    return item.index, item.lock_group


def _with_outcome(one: FailedWrite, result: Item | Outcome) -> FailedWrite:
    """The failed write with its new outcome, if that is a rejection."""
    return replace_dataclass(one, outcome=result) if isinstance(result, Retry | Rejected) else one


def at_kept(write: RecordWrite, kept: KeptRecord) -> RecordWrite:
    """The write by the kept record's Id, with our external ID if the record has none."""
    key = {}
    if write.key_field != ID_FIELD and kept.value(write.key_field) in {None, ""}:
        key = {write.key_field: write.key}
    return write.at(kept.record_id, {**write.set, **key})


def _for_a_person(why: str) -> Rejected:
    return Rejected(reason=Reason.NEEDS_PERSON, detail=f"a duplicate rule holds it up: {why}", code=duplicates.CODE)


def _describe(found: Matches) -> str:
    rule = f" ({found.rule})" if found.rule else ""
    return f"it matches {', '.join(found.record_ids) or 'records that the integration user may not see'}{rule}"


def _by_object(writes: Iterable[Write]) -> dict[str, list[Write]]:
    objects: dict[str, list[Write]] = {}
    for one in writes:
        objects.setdefault(one.write.object, []).append(one)
    return objects
