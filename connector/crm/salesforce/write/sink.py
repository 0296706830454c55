"""The sink: turns a batch of record writes into look-ups, then collections, then one outcome per write."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from connector.crm.salesforce.client.api import RECORD_ID, Api, BadName, Unencodable, identifier, record
from connector.crm.salesforce.client.responses import RequestFailed, read_failure
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.traits import TRAITS
from connector.crm.salesforce.write.batch import NOT_ASKED, Batch
from connector.crm.salesforce.write.crash_isolation import KnownCrashers
from connector.crm.salesforce.write.dependencies import find_dependencies
from connector.crm.salesforce.write.duplicates import Policy
from connector.crm.salesforce.write.existence import Assumption, KeyRegistry
from connector.crm.salesforce.write.lookups import Found, LookUp, Wanted
from connector.crm.salesforce.write.match import PEOPLE, Matching, known_of, same
from connector.crm.salesforce.write.merged_records import KeptRecord
from connector.crm.salesforce.write.org_fields import OrgFields
from connector.crm.salesforce.write.recovery import Recovery
from connector.crm.salesforce.write.requests import Item
from connector.crm.salesforce.write.send import Composite, Sending
from connector.crm.salesforce.write.trigger_limits import TransactionSizes
from connector.model.consent_fields import ConsentFields
from connector.model.http import Http
from connector.model.operation import ID_FIELD, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.model.record_number import NO_REGION, NumberReader
from connector.ports import Task

SAME_BUT_FOR_CASE = Retry(reason=Reason.HALTED, detail="a key that differs by letter case alone goes first")


class SalesforceSink:
    """Writes to one Salesforce org."""

    traits = TRAITS

    def __init__(
        self,
        name: str,
        *,
        api: Api,
        consent_fields: Mapping[str, ConsentFields] | None = None,
        numbers: NumberReader = NO_REGION,
        batch: int = 3000,
        composite: Composite = Composite.UNTRIED,
        duplicates: Mapping[str, Policy] | None = None,
        recreate: bool = True,
    ) -> None:
        """`numbers` reads the org's phone fields.

        `duplicates`: by object, the policy for new records blocked by a duplicate rule; `recreate`: create deleted
        records again.
        """
        self.name = name
        self.batch = batch
        self._api = api
        self._consent_fields = {entry.casefold(): fields for entry, fields in (consent_fields or {}).items()}
        self._composite = composite
        self._numbers = numbers
        self._people = PEOPLE  # per search; fewer after searches that took the org too long
        self._duplicates = {entry.casefold(): policy for entry, policy in (duplicates or {}).items()}
        self._recreate = recreate
        self._known_crashers = KnownCrashers()
        self._sizes = TransactionSizes()
        self._fields = OrgFields()
        self._keys = KeyRegistry(self._fields, inserts=recreate)

    async def write(self, http: Http, tasks: Sequence[Task]) -> Sequence[Outcome]:
        """Write the batch: parents before children, up to a thousand records per API call.

        Failed calls and rejected records become outcomes; nothing is raised for them.
        """
        rest = RestClient(self._api, http)
        outcomes: dict[int, Outcome] = {}
        writes: dict[int, RecordWrite] = {}
        for index, task in enumerate(tasks):
            checked = self._checked(task)
            if isinstance(checked, RecordWrite):
                writes[index] = checked
            else:
                outcomes[index] = checked
        matching = Matching(rest, numbers=self._numbers, consent=self._consent_fields, people=self._people)
        await matching.run({index: tasks[index] for index, write in writes.items() if write.match is not None})
        self._people = matching.people
        if matching.stopped is not None:
            outcomes |= dict.fromkeys(writes, matching.stopped)
            return [outcomes[index] for index in range(len(tasks))]
        writes |= matching.writes
        outcomes |= matching.outcomes
        family = find_dependencies(
            {index: task.operation for index, task in enumerate(tasks) if isinstance(task.operation, RecordWrite)}
        )
        matching.link_children(family, writes, outcomes)
        open_writes = {index: one for index, one in writes.items() if index not in outcomes}
        try:
            assumptions = await self._keys.assumptions(rest, open_writes, tasks, matching.found)
        except RequestFailed as failed:
            outcomes |= dict.fromkeys(open_writes, read_failure(failed))
            return [outcomes[index] for index in range(len(tasks))]
        await self._learn_required(rest, open_writes, outcomes)
        outcomes |= self._same_but_for_case(open_writes)
        batch = Batch(tasks, writes, family, outcomes, dict(matching.found))
        recovery = Recovery(
            rest,
            writes,
            partial(self._make, batch),
            policy=self._policy,
            columns=self._columns,
            fields=self._fields,
            consent=self._consent_fields,
        )
        bisection = self._known_crashers.start_bisection()
        sending = Sending(
            rest, family, outcomes, self._composite, recovery=recovery, bisection=bisection, sizes=self._sizes
        )
        await self._send(rest, batch, assumptions, sending, recovery)
        wrong_assumptions = sending.take_wrong_assumptions()
        if sending.stopped is not None:
            outcomes.update(dict.fromkeys(wrong_assumptions, sending.stopped))
        else:
            await self._send(rest, batch, batch.resend_plan(wrong_assumptions), sending, recovery)
        self._known_crashers.end(bisection, outcomes, writes)
        self._composite = sending.composite
        self._sizes.end()
        await matching.conclude(outcomes, partial(self.write, http))
        return [outcomes[index] for index in range(len(tasks))]

    def _same_but_for_case(self, writes: Mapping[int, RecordWrite]) -> dict[int, Outcome]:
        """Keys that differ only in letter case, which the org may treat as equal: they are written one after the other."""
        first: dict[tuple[str, str, str], int] = {}
        unsure = {index: one for index, one in writes.items() if one.exact and not self._keys.tells_case(one)}
        return {
            index: SAME_BUT_FOR_CASE
            for index, one in unsure.items()
            if first.setdefault((one.object, one.key_field, one.key.lower()), index) != index
        }

    async def _learn_required(
        self, rest: RestClient, writes: Mapping[int, RecordWrite], outcomes: dict[int, Outcome]
    ) -> None:
        """For writes with consent fields only: find out what else a new record would need."""
        least = {index: one for index, one in writes.items() if one.consent_only and one.create}
        try:
            await self._fields.learn_required(rest, (one.object for one in least.values()))
        except RequestFailed as failed:
            outcomes |= dict.fromkeys(least, read_failure(failed))

    async def prepare(self, http: Http, keys: Sequence[tuple[str, str]], objects: Sequence[str] = ()) -> None:
        """Query for these keys (object, external ID field) what the first batch would ask, and the text fields of objects.

        If Salesforce is not available, the first batch asks again.
        """
        rest = RestClient(self._api, http)
        with suppress(RequestFailed):
            await self._keys.learn(rest, keys)
            await self._fields.learn(rest, objects)

    async def _send(
        self,
        rest: RestClient,
        batch: Batch,
        assumptions: Mapping[int, Assumption],
        sending: Sending,
        recovery: Recovery,
    ) -> None:
        """Send these writes of the batch. Afterwards each has an outcome or a wrong assumption."""
        look_up = LookUp(rest)
        wanted = [
            self._wanted(index, batch.writes[index]) for index, one in assumptions.items() if one is Assumption.ASK
        ]
        if wanted:
            await look_up.run(wanted)
            if look_up.stopped is not None:
                batch.outcomes.update(dict.fromkeys(assumptions, look_up.stopped))
                return
            batch.outcomes.update(look_up.failed)
        batch.assume(assumptions, look_up.found)
        moved = await self._moved(recovery, batch, look_up)
        items: list[Item] = []
        for index in assumptions:
            if index in batch.outcomes:
                continue
            made = moved.get(index) or self._make(batch, index, batch.writes[index])
            if isinstance(made, Item):
                items.append(made)
            else:
                batch.outcomes[index] = made
        await sending.run(items)

    def _make(self, batch: Batch, index: int, write: RecordWrite, kept: KeptRecord | None = None) -> Item | Outcome:
        """The item to send, or its outcome; for the kept record if the record was merged."""
        task, found, assumption = batch.tasks[index], batch.found[index], batch.assumptions[index]
        if kept is not None:
            flag = kept.value(self._consent(write).flag) if write.clears_flag else None
            # Our shadow is not of this record: an opt-out on it counts as set by a person.
            task, found = Task(write), Found(record_id=kept.record_id, flag=flag)
            assumption = Assumption.FOUND
        ready = self._ready(index, batch.family.stages[index], task, write, found, assumption)
        return self._known_crashers.isolate(ready, batch.writes[index]) if isinstance(ready, Item) else ready

    def _checked(self, task: Task) -> RecordWrite | Rejected:
        """The task's write, if its key can be used in a query."""
        write = task.operation
        if not isinstance(write, RecordWrite):
            return Rejected(reason=Reason.BAD_COMMAND, detail="Salesforce takes records, not service commands")
        try:
            identifier(write.object)
            for name in (write.key_field,) if write.keyed else ():
                identifier(name)
            for name in write.match.fields if write.match else ():
                identifier(name)
            write.key.encode()
        except BadName as error:
            return Rejected(reason=Reason.CONFIGURATION, detail=str(error))
        except UnicodeEncodeError:
            return Rejected(
                reason=Reason.BAD_VALUE, detail=f"the key for {write.key_field} contains invalid characters"
            )
        if not write.key.strip():
            return Rejected(reason=Reason.MISSING_KEY, detail=f"the key for {write.key_field} is empty")
        if write.key_field == ID_FIELD and not RECORD_ID.fullmatch(write.key):
            return Rejected(reason=Reason.BAD_VALUE, detail="a Salesforce Id has 15 or 18 letters and digits")
        if write.clears_flag and write.object.casefold() not in self._consent_fields:
            detail = (
                f"consent_fields has no entry for {write.object}, so its flag cannot be checked before it is cleared"
            )
            return Rejected(reason=Reason.CONFIGURATION, detail=detail)
        return write

    def _wanted(self, index: int, write: RecordWrite) -> Wanted:
        """What must be read before this write."""
        return Wanted(index=index, write=write, flag=self._consent(write).flag if write.clears_flag else None)

    async def _moved(self, recovery: Recovery, batch: Batch, look_up: LookUp) -> dict[int, Item | Outcome]:
        """Writes whose key belonged to a record that is gone: they are redirected if it was merged."""
        gone = {
            index: record_id
            for index, found in look_up.found.items()
            if found is None and (record_id := look_up.gone.get(index) or batch.tasks[index].gone) is not None
        }
        try:
            living = await recovery.moved(gone)
        except RequestFailed as failed:
            return dict.fromkeys(gone, read_failure(failed))
        ways: dict[int, Item | Outcome] = {}
        for index, kept in living.items():
            write = batch.writes[index]
            if kept is not None:
                ways[index] = recovery.redirect_to_kept(index, kept)
            elif not self._recreate and not (write.consent and not write.clears_flag):
                detail = f"its record {gone[index]} was deleted: restore it, then release this, or discard it"
                ways[index] = Rejected(reason=Reason.NEEDS_PERSON, detail=detail)
        return ways

    def _policy(self, object_name: str) -> Policy:
        return self._duplicates.get(object_name.casefold(), Policy.ALLOW)

    def _columns(self, write: RecordWrite) -> Sequence[str]:
        """The columns to read of another record before this write is redirected to it."""
        key = [write.key_field] if write.key_field != ID_FIELD else []
        return [*key, *([self._consent(write).flag] if write.clears_flag else ())]

    def _consent(self, write: RecordWrite) -> ConsentFields:
        return self._consent_fields[write.object.casefold()]

    def _ready(
        self, index: int, stage: int, task: Task, write: RecordWrite, found: Found | None, assumption: Assumption
    ) -> Item | Outcome:
        """The item to send, or the outcome if nothing is sent."""
        by_id = write.key_field == ID_FIELD
        if found is None and (by_id or not write.may_create):
            detail = f"{write.object} has no record with this {write.key_field}"
            return Rejected(reason=Reason.RECORD_MISSING, detail=detail)
        left_out: tuple[str, ...] = ()
        if found is None and write.consent_only:
            left_out = tuple(name for name in write.create if not self._needed(write, name))
        wanted = {**write.create, **write.set} if found is None else dict(write.set)
        for name in left_out:
            del wanted[name]
        fields = self._fields.fitted(write.object, wanted)
        if found is not None and write.clears_flag and self._set_by_a_person(task, write, found):
            left_out = tuple(name for name in write.consent if name in fields)
            fields = {name: value for name, value in fields.items() if name not in left_out}
        known = found if found is not NOT_ASKED else None
        if known is not None and not fields:
            return Delivered(record_id=known.record_id, left_out=left_out)
        # A record that may only be updated is written by Id, so that even a race cannot create it.
        only_update = by_id or not write.may_create or assumption is Assumption.KNOWN
        key_field = ID_FIELD if only_update else write.key_field
        key = known.record_id if known is not None and only_update else write.key
        try:
            body = record(write.object, key_field, key, fields)
        except BadName as error:
            return Rejected(reason=Reason.CONFIGURATION, detail=str(error))
        except Unencodable as error:
            return Rejected(reason=Reason.BAD_VALUE, detail=str(error))
        return Item(
            index=index,
            stage=stage,
            object=write.object,
            key_field=None if only_update else key_field,
            fields=fields,
            body=body,
            left_out=left_out,
            record_id=key if only_update else None,
            key="" if only_update else key,
            allow=known is not None or only_update or self._policy(write.object) is Policy.ALLOW,
            insert=assumption is Assumption.NEW,
            assumed=assumption is Assumption.KNOWN,
        )

    def _needed(self, write: RecordWrite, name: str) -> bool:
        """Whether a write with consent fields only needs this field to create its record."""
        return name in write.consent or self._fields.required(write.object, name)

    def _set_by_a_person(self, task: Task, write: RecordWrite, found: Found) -> bool:
        """Whether the record is opted out now but not in the shadow: a person has set it since our last read."""
        consent = self._consent(write)
        if not same(found.flag, consent.opted_out):
            return False
        shadow = known_of(task, found.record_id)
        return shadow is None or not same(shadow.get(consent.flag), consent.opted_out)
