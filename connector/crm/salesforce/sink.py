"""The sink: a batch of record writes becomes look-ups, then collections, then one outcome for each."""

from collections.abc import Mapping, Sequence

from connector.crm.salesforce.decode import Usage
from connector.crm.salesforce.detours import Detours
from connector.crm.salesforce.duplicates import Policy
from connector.crm.salesforce.encode import RECORD_ID, Api, BadName, Unencodable, identifier, record
from connector.crm.salesforce.kin import kin
from connector.crm.salesforce.lookups import Found, LookUp, Wanted
from connector.crm.salesforce.matching import PEOPLE, Matching, known_of, same
from connector.crm.salesforce.parcels import Item
from connector.crm.salesforce.poison import Suspects
from connector.crm.salesforce.sending import Composite, Sending
from connector.crm.salesforce.survivors import Survivor
from connector.model.exchange import Exchange
from connector.model.operation import ID_FIELD, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.model.roles import ConsentFields, Task

NOT_ASKED = Found(record_id="")  # stands for a record that needs no look-up


class SalesforceSink:
    """Writes to one Salesforce org. Sans I/O: whoever drives the exchanges sends the calls."""

    def __init__(
        self,
        name: str,
        *,
        api: Api,
        consent_fields: Mapping[str, ConsentFields] | None = None,
        region: str | None = None,
        batch: int = 3000,
        composite: Composite = Composite.UNTRIED,
        duplicates: Mapping[str, Policy] | None = None,
        recreate: bool = True,
    ) -> None:
        """`region` is of numbers that the org holds without a country code.

        `duplicates`: what is done about new records that a duplicate rule holds up, by object; `recreate`: deleted ones.
        """
        self.name = name
        self.batch = batch
        self.usage: Usage | None = None  # of the org's API calls, as last heard
        self._api = api
        self._consent_fields = {entry.casefold(): fields for entry, fields in (consent_fields or {}).items()}
        self._composite = composite
        self._region = region
        self._people = PEOPLE  # of one search; fewer once that has proved to take the org too long
        self._duplicates = {entry.casefold(): policy for entry, policy in (duplicates or {}).items()}
        self._recreate = recreate
        self._suspects = Suspects()

    def write(self, tasks: Sequence[Task]) -> Exchange[Sequence[Outcome]]:
        """Write the batch: parents before children, up to a thousand records for one API call.

        Failed calls and refused records become outcomes; nothing is raised for them.
        """
        outcomes: dict[int, Outcome] = {}
        writes: dict[int, RecordWrite] = {}
        for index, task in enumerate(tasks):
            checked = self._checked(task)
            if isinstance(checked, RecordWrite):
                writes[index] = checked
            else:
                outcomes[index] = checked
        matching = Matching(self._api, region=self._region, consent=self._consent_fields, people=self._people)
        yield from matching.run({index: tasks[index] for index, write in writes.items() if write.match is not None})
        self.usage, self._people = matching.usage or self.usage, matching.people
        if matching.stopped is not None:
            outcomes |= dict.fromkeys(writes, matching.stopped)
            return [outcomes[index] for index in range(len(tasks))]
        writes |= matching.writes
        outcomes |= matching.outcomes
        look_up = LookUp(self._api)
        look_up.found |= matching.found
        wanted = [
            want
            for index, write in writes.items()
            if index not in matching.found
            and index not in outcomes
            and (want := self._wanted(index, write, tasks[index].gone))
        ]
        if wanted:
            yield from look_up.run(wanted)
            self.usage = look_up.usage or self.usage
            if look_up.stopped is not None:
                outcomes |= dict.fromkeys(writes, look_up.stopped)
                return [outcomes[index] for index in range(len(tasks))]
            outcomes |= look_up.failed
        family = kin(
            {index: task.operation for index, task in enumerate(tasks) if isinstance(task.operation, RecordWrite)}
        )
        matching.lead(family, writes, outcomes)

        def make(index: int, write: RecordWrite, survivor: Survivor | None = None) -> Item | Outcome:
            task, found = tasks[index], look_up.found.get(index, NOT_ASKED)
            if survivor is not None:
                flag = survivor.value(self._consent(write).flag) if write.clears_flag else None
                # What our shadow says is not of this record: an opt-out that it bears counts as a person's.
                task, found = Task(write), Found(record_id=survivor.record_id, flag=flag)
            ready = self._ready(index, family.stages[index], task, write, found)
            return self._suspects.apart(ready, writes[index].record) if isinstance(ready, Item) else ready

        detours = Detours(self._api, writes, make, policy=self._policy, columns=self._columns)
        moved = yield from self._moved(detours, writes, look_up, tasks)
        made = {index: outcomes.get(index) or moved.get(index) or make(index, write) for index, write in writes.items()}
        outcomes |= {index: one for index, one in made.items() if not isinstance(one, Item)}
        items = [one for one in made.values() if isinstance(one, Item)]
        hunt = self._suspects.hunt()
        sending = Sending(self._api, family, outcomes, self._composite, detours=detours, hunt=hunt)
        yield from sending.run(items)
        self._suspects.end(hunt, outcomes, {index: write.record for index, write in writes.items()})
        self._composite = sending.composite
        self.usage = sending.usage or self.usage
        yield from matching.conclude(outcomes, self.write)
        return [outcomes[index] for index in range(len(tasks))]

    def _checked(self, task: Task) -> RecordWrite | Rejected:
        """The task's write, if it can be asked for by its key."""
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
            return Rejected(reason=Reason.BAD_VALUE, detail=f"the key for {write.key_field} is no proper text")
        if not write.key.strip():
            return Rejected(reason=Reason.MISSING_KEY, detail=f"the key for {write.key_field} is empty")
        if write.key_field == ID_FIELD and not RECORD_ID.fullmatch(write.key):
            return Rejected(reason=Reason.BAD_VALUE, detail="a Salesforce Id has 15 or 18 letters and digits")
        if write.clears_flag and write.object.casefold() not in self._consent_fields:
            detail = (
                f"consent_fields says nothing of {write.object}, so its flag cannot be looked at before it is cleared"
            )
            return Rejected(reason=Reason.CONFIGURATION, detail=detail)
        return write

    def _wanted(self, index: int, write: RecordWrite, gone: str | None) -> Wanted | None:
        """What must be known before this write; None where nothing is."""
        if write.clears_flag:
            return Wanted(index=index, write=write, flag=self._consent(write).flag)
        by_id = write.key_field == ID_FIELD
        if not by_id and (write.create or not write.may_create or gone is not None):
            return Wanted(index=index, write=write)
        return None

    def _moved(
        self, detours: Detours, writes: Mapping[int, RecordWrite], look_up: LookUp, tasks: Sequence[Task]
    ) -> Exchange[dict[int, Item | Outcome]]:
        """The writes whose key named a record that is gone: they follow it where it was merged into another."""
        gone = {
            index: record_id
            for index, found in look_up.found.items()
            if found is None and (record_id := look_up.gone.get(index) or tasks[index].gone) is not None
        }
        living = yield from detours.moved(gone)
        if isinstance(living, Retry):
            return dict.fromkeys(gone, living)
        ways: dict[int, Item | Outcome] = {}
        for index, survivor in living.items():
            write = writes[index]
            if survivor is not None:
                ways[index] = detours.redirect(index, survivor)
            elif not self._recreate and not (write.consent and not write.clears_flag):
                detail = f"its record {gone[index]} was deleted: restore it, then release this, or discard it"
                ways[index] = Rejected(reason=Reason.NEEDS_PERSON, detail=detail)
        return ways

    def _policy(self, object_name: str) -> Policy:
        return self._duplicates.get(object_name.casefold(), Policy.ALLOW)

    def _columns(self, write: RecordWrite) -> Sequence[str]:
        """What must be known of another record before this write goes to it."""
        key = [write.key_field] if write.key_field != ID_FIELD else []
        return [*key, *([self._consent(write).flag] if write.clears_flag else ())]

    def _consent(self, write: RecordWrite) -> ConsentFields:
        return self._consent_fields[write.object.casefold()]

    def _ready(self, index: int, stage: int, task: Task, write: RecordWrite, found: Found | None) -> Item | Outcome:
        """The record as it is to be sent, or the outcome where nothing is."""
        by_id = write.key_field == ID_FIELD
        if found is None and (by_id or not write.may_create):
            detail = f"{write.object} has no record with this {write.key_field}"
            return Rejected(reason=Reason.RECORD_MISSING, detail=detail)
        fields = {**write.create, **write.set} if found is None else dict(write.set)
        left_out: tuple[str, ...] = ()
        if found is not None and write.clears_flag and self._set_by_a_person(task, write, found):
            left_out = tuple(name for name in write.consent if name in fields)
            fields = {name: value for name, value in fields.items() if name not in left_out}
        known = found if found is not NOT_ASKED else None
        if known is not None and not fields:
            return Delivered(record_id=known.record_id, left_out=left_out)
        # A record that may only be updated is written by its Id, so that not even a race can create it.
        only_update = by_id or not write.may_create
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
            allow=known is not None or only_update or self._policy(write.object) is Policy.ALLOW,
        )

    def _set_by_a_person(self, task: Task, write: RecordWrite, found: Found) -> bool:
        """Whether the record says opted out now and the shadow does not: somebody has set it since we last looked."""
        consent = self._consent(write)
        if not same(found.flag, consent.opted_out):
            return False
        shadow = known_of(task, found.record_id)
        return shadow is None or not same(shadow.get(consent.flag), consent.opted_out)
