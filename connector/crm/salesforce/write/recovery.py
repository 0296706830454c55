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
            failed.write: failed.item
            for failed in failed_writes
            if duplicate_values.is_unclear(failed.outcome, failed.item.key_field)
        }
        unsure = [failed for failed in failed_writes if missing_parents.may_lack_parent(failed.outcome, failed.item)]
        if unsure:
            checked = await self._check_parents(unsure)
            results |= checked
            failed_writes = [
                _with_outcome(failed, checked.get(failed.write, failed.outcome)) for failed in failed_writes
            ]
        blocked = [failed for failed in failed_writes if failed.outcome.code == duplicates.CODE]
        deleted = [failed for failed in failed_writes if failed.outcome.code == DELETED]
        children_of_missing = [failed for failed in failed_writes if merged_parents.parent_was_merged(failed.outcome)]
        unreadable = [failed for failed in failed_writes if failed.outcome.code == UNREADABLE]
        converted = [failed for failed in failed_writes if failed.outcome.code == converted_leads.CODE]
        for some, recover in (
            (blocked, self._recover_blocked),
            (converted, self._recover_converted),
            (deleted, self._recover_deleted),
            (children_of_missing, self._recover_children_of_missing),
            (unreadable, self._resend_as_text),
        ):
            if some:
                results |= await _or_unavailable((failed.write for failed in some), recover(some))
        for failed in failed_writes:
            names = other_parents.replaceable(failed.item.fields, failed.outcome)
            if names and not isinstance(results.get(failed.write), Item):
                results[failed.write] = self._use_next_parents(failed.write, names)
        return results

    async def _check_parents(self, unsure: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """Find out whether a parent is missing, where the rejection leaves that open."""
        writes = [failed.write for failed in unsure]
        checked = await _or_unavailable(writes, missing_parents.check_parents(self._rest, self._fields, unsure))
        # A record whose parents all exist is sent once more, and they are not queried again.
        self._parents_checked |= {
            _parents_of(failed.item) for failed in unsure if isinstance(checked[failed.write], Item)
        }
        return checked

    def _record_write(self, write: Write) -> RecordWrite:
        """What the write sends now: perhaps with another parent than the batch named."""
        return self._with_next_parents.get(write, write.record_write)

    def _use_next_parents(self, write: Write, names: list[str]) -> Item | Outcome:
        """The write with the next alternative for its parents."""
        record_write = other_parents.with_next_parents(self._record_write(write), names)
        self._with_next_parents[write] = record_write
        return self._rebuild(write, record_write, None)

    async def _resend_as_text(self, unreadable: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """Writes that a text field may have rejected: sent as text if the org now describes the field as text."""
        await self._fields.learn_again(self._rest, (failed.item.object for failed in unreadable))
        results: dict[Write, Item | Outcome] = {}
        for failed in unreadable:
            item, write = failed.item, failed.write
            changes = self._fields.with_text_values(item.object, item.fields) is not item.fields
            results[write] = self._rebuild(write, self._record_write(write), None) if changes else failed.outcome
        return results

    async def find_kept(self, records: Mapping[Write, str]) -> dict[Write, KeptRecord | None]:
        """The kept records for writes whose records, with these Ids, no longer exist. Raises RequestFailed."""
        found: dict[Write, KeptRecord | None] = {}
        for name, some in _by_object(records).items():
            columns = {column for write in some for column in self._columns(write.record_write)}
            kept_records = await find_kept(self._rest, name, {records[write] for write in some}, sorted(columns))
            found |= {write: kept_records.get(comparable(records[write])) for write in some}
        return found

    def redirect_to_kept(self, write: Write, kept: KeptRecord) -> Item | Outcome:
        """The write, redirected to the kept record, which gets our external ID if it has none."""
        return self._rebuild(write, at_kept(write.record_write, kept), kept)

    async def _recover_blocked(self, blocked: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """Writes blocked by a duplicate rule. An existing record is not a new duplicate, and is saved."""
        existing = await self._find_existing([failed.write for failed in blocked])
        results: dict[Write, Item | Outcome] = {}
        asked: list[FailedWrite] = []
        for failed in blocked:
            if failed.write in existing:
                results[failed.write] = replace(failed.item, allow=True)
            elif failed.item.plain:
                results[failed.write] = _leave_to_person("its matches cannot be asked for")
            else:
                asked.append(failed)
        singles = [
            Single(
                object=failed.item.object,
                fields=failed.item.fields,
                key_field=failed.write.record_write.key_field,
                key=failed.write.record_write.key,
            )
            for failed in asked
        ]
        answers = await duplicates.probe(self._rest, singles)
        single_matches: dict[Write, str] = {}
        for failed, answer in zip(asked, answers, strict=True):
            if not isinstance(answer, Matches):
                results[failed.write] = answer
            elif self._policy(failed.item.object) is Policy.MATCH and len(answer.record_ids) == 1:
                single_matches[failed.write] = answer.record_ids[0]
            else:
                results[failed.write] = _leave_to_person(_describe_matches(answer))
        if single_matches:
            results |= await _or_unavailable(single_matches, self._update_single_matches(single_matches))
        return results

    async def _find_existing(self, writes: Sequence[Write]) -> set[Write]:
        """The writes whose record exists."""
        keys: dict[tuple[str, str], dict[str, Write]] = {}
        for write in writes:
            record_write = write.record_write
            keys.setdefault((record_write.object, record_write.key_field), {})[record_write.key.lower()] = write
        existing: set[Write] = set()
        for (name, field), by_key in keys.items():
            wanted = [write.record_write.key for write in by_key.values()]
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
        for write, record_id in single_matches.items():
            kept, record_write = kept_records[write], write.record_write
            if kept is None:
                results[write] = Retry(reason=Reason.RACE, detail=f"{record_id} was deleted meanwhile")
            elif str(kept.value(record_write.key_field) or record_write.key).lower() != record_write.key.lower():
                results[write] = _leave_to_person(
                    f"it matches {kept.record_id}, which has another {record_write.key_field}"
                )
            else:
                results[write] = self.redirect_to_kept(write, kept)
        return results

    async def _recover_deleted(self, deleted: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """Updates by Id, or writes with a parent named by Id, where one of these records is gone."""
        own = {failed.write: failed.item.record_id for failed in deleted if failed.item.record_id is not None}
        kept_records = await self.find_kept(own)
        results: dict[Write, Item | Outcome] = {}
        parents: list[FailedWrite] = []
        for failed in deleted:
            kept = kept_records.get(failed.write)
            if kept is not None and comparable(kept.record_id) != comparable(failed.item.record_id or ""):
                results[failed.write] = self.redirect_to_kept(failed.write, kept)
            else:
                parents.append(failed)
        if parents:
            results |= await _or_unavailable((failed.write for failed in parents), self._follow_ids(parents))
        return results

    async def _follow_ids(self, children: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """Writes with a parent named by an Id that is gone."""
        writes = {failed.write: self._record_write(failed.write) for failed in children}
        return self._rebuild_changed(children, await merged_parents.follow_ids(self._rest, writes))

    async def _recover_children_of_missing(self, children: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """Writes with a parent, named by external ID, that may have been merged."""
        writes = {failed.write: (self._record_write(failed.write), failed.outcome) for failed in children}
        return self._rebuild_changed(children, await merged_parents.follow_keys(self._rest, writes))

    async def _recover_converted(self, converted: Sequence[FailedWrite]) -> dict[Write, Item | Outcome]:
        """Writes to converted leads: opt-outs are redirected; for other writes the message to a person names the contact."""
        writes = {failed.write: self._record_write(failed.write) for failed in converted}
        try:
            became = await converted_leads.successors(self._rest, writes, self._consent)
        except RequestFailed as error:
            if read_failure(error).code != MISSING_FIELD:
                raise
            became = {}
        return {
            failed.write: self._redirect_converted(failed, writes[failed.write], became.get(failed.write))
            for failed in converted
        }

    def _redirect_converted(
        self, failed: FailedWrite, record_write: RecordWrite, successor: converted_leads.Successor | None
    ) -> Item | Outcome:
        if successor is None or not isinstance(failed.outcome, Rejected):
            return failed.outcome
        opt_out = converted_leads.opt_out_of(record_write, successor, self._consent)
        if opt_out is None:
            return converted_leads.explain_to_person(failed.outcome, successor)
        made = self._rebuild(failed.write, opt_out, KeptRecord(record_id=successor.record_id, row={}))
        return replace(made, other_object=True) if isinstance(made, Item) else made

    def _rebuild_changed(
        self, failed_writes: Sequence[FailedWrite], changed: Mapping[Write, RecordWrite]
    ) -> dict[Write, Item | Outcome]:
        """The changed writes; for the others their existing outcomes."""
        return {
            failed.write: self._rebuild(failed.write, changed[failed.write], None)
            if failed.write in changed
            else failed.outcome
            for failed in failed_writes
        }


async def _or_unavailable(
    writes: Iterable[Write], recovered: Awaitable[dict[Write, Item | Outcome]]
) -> dict[Write, Item | Outcome]:
    """The result of a recovery; if Salesforce does not answer its queries, all of these writes are retried later."""
    try:
        return await recovered
    except RequestFailed as error:
        return dict.fromkeys(writes, read_failure(error))


def _parents_of(item: Item) -> tuple[int, tuple[str, ...]]:
    """The record's position in the batch, and the names of its parents."""
    return item.index, item.lock_group


def _with_outcome(failed: FailedWrite, result: Item | Outcome) -> FailedWrite:
    """The failed write with its new outcome, if that is a rejection."""
    return replace_dataclass(failed, outcome=result) if isinstance(result, Retry | Rejected) else failed


def at_kept(record_write: RecordWrite, kept: KeptRecord) -> RecordWrite:
    """The write by the kept record's Id, with our external ID if the record has none."""
    key = {}
    if record_write.key_field != ID_FIELD and kept.value(record_write.key_field) in {None, ""}:
        key = {record_write.key_field: record_write.key}
    return record_write.at(kept.record_id, {**record_write.set, **key})


def _leave_to_person(why: str) -> Rejected:
    return Rejected(reason=Reason.NEEDS_PERSON, detail=f"a duplicate rule holds it up: {why}", code=duplicates.CODE)


def _describe_matches(found: Matches) -> str:
    rule = f" ({found.rule})" if found.rule else ""
    return f"it matches {', '.join(found.record_ids) or 'records that the integration user may not see'}{rule}"


def _by_object(writes: Iterable[Write]) -> dict[str, list[Write]]:
    objects: dict[str, list[Write]] = {}
    for write in writes:
        objects.setdefault(write.record_write.object, []).append(write)
    return objects
