"""The sink: a batch of record writes becomes look-ups, then collections, then one outcome for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from connector.crm.salesforce.encode import RECORD_ID, Api, BadName, Unencodable, identifier, record
from connector.crm.salesforce.kin import Kin, kin
from connector.crm.salesforce.lookups import Found, LookUp, Wanted
from connector.crm.salesforce.parcels import Item
from connector.crm.salesforce.presence import Keys, Stance, Surprises
from connector.crm.salesforce.sending import Composite, Sending
from connector.model.exchange import Exchange
from connector.model.operation import ID_FIELD, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.model.roles import ConsentFields, Task

NOT_ASKED = Found(record_id="")  # stands for a record that needs no look-up
MET = frozenset({Stance.KNOWN, Stance.FOUND})


class SalesforceSink:
    """Writes to one Salesforce org. Sans I/O: whoever drives the exchanges sends the calls."""

    def __init__(
        self,
        name: str,
        *,
        api: Api,
        consent_fields: Mapping[str, ConsentFields] | None = None,
        batch: int = 3000,
        composite: Composite = Composite.UNTRIED,
    ) -> None:
        self.name = name
        self.batch = batch
        self._api = api
        self._consent_fields = {entry.casefold(): fields for entry, fields in (consent_fields or {}).items()}
        self._composite = composite
        self._keys = Keys(api)

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
        family = kin(
            {index: task.operation for index, task in enumerate(tasks) if isinstance(task.operation, RecordWrite)}
        )
        known = {index: record_id for index in writes if (record_id := tasks[index].record_id) is not None}
        stances = yield from self._keys.stances(writes, known)
        if isinstance(stances, Retry):
            outcomes.update(dict.fromkeys(writes, stances))
            return [outcomes[index] for index in range(len(tasks))]
        batch = _Batch(tasks, writes, family, outcomes)
        sending = Sending(self._api, family, outcomes, self._composite)
        found = {index: Found(record_id=record_id) for index, record_id in known.items()}
        yield from self._send(batch, stances, found, sending)
        surprises = sending.take_surprises()
        self._composite = sending.composite
        if sending.stopped is not None:
            outcomes.update(dict.fromkeys(surprises, sending.stopped))
            return [outcomes[index] for index in range(len(tasks))]
        found = {index: Found(record_id=record_id) for index, record_id in surprises.existing.items()}
        yield from self._send(batch, batch.second_thoughts(stances, surprises), found, sending)
        for index, made in surprises.absent.items():
            outcome = outcomes[index]
            if made and isinstance(outcome, Delivered):
                outcomes[index] = replace(outcome, created=True)
        return [outcomes[index] for index in range(len(tasks))]

    def _send(
        self, batch: "_Batch", stances: Mapping[int, Stance], known: Mapping[int, Found], sending: Sending
    ) -> Exchange[None]:
        """Send these of the batch. Each has an outcome then, or is a surprise."""
        look_up = LookUp(self._api)
        wanted = [self._wanted(index, batch.writes[index]) for index, one in stances.items() if one is Stance.ASK]
        if wanted:
            yield from look_up.run(wanted)
            if look_up.stopped is not None:
                batch.outcomes.update(dict.fromkeys(stances, look_up.stopped))
                return
            batch.outcomes.update(look_up.failed)
        items: list[Item] = []
        for index, stance in stances.items():
            if index in batch.outcomes:
                continue
            found = look_up.found if stance is Stance.ASK else known if stance in MET else {}
            ready = self._ready(batch, index, stance, NOT_ASKED if stance is Stance.ANY else found.get(index))
            if isinstance(ready, Item):
                items.append(ready)
            else:
                batch.outcomes[index] = ready
        yield from sending.run(items)

    def _checked(self, task: Task) -> RecordWrite | Rejected:
        """The task's write, if it can be asked for by its key."""
        write = task.operation
        if not isinstance(write, RecordWrite):
            return Rejected(reason=Reason.BAD_COMMAND, detail="Salesforce takes records, not service commands")
        try:
            identifier(write.object)
            identifier(write.key_field)
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

    def _wanted(self, index: int, write: RecordWrite) -> Wanted:
        """What must be known before this write."""
        return Wanted(index=index, write=write, flag=self._consent(write).flag if write.clears_flag else None)

    def _consent(self, write: RecordWrite) -> ConsentFields:
        return self._consent_fields[write.object.casefold()]

    def _ready(self, batch: "_Batch", index: int, stance: Stance, found: Found | None) -> Item | Outcome:
        """The record as it is to be sent, or the outcome where nothing is."""
        task, write = batch.tasks[index], batch.writes[index]
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
            stage=batch.family.stages[index],
            object=write.object,
            key_field=None if only_update else key_field,
            fields=fields,
            body=body,
            left_out=left_out,
            insert=stance is Stance.NEW,
            assumed=stance is Stance.KNOWN,
        )

    def _set_by_a_person(self, task: Task, write: RecordWrite, found: Found) -> bool:
        """Whether the record says opted out now and the shadow does not: somebody has set it since we last looked."""
        consent = self._consent(write)
        if not _same(found.flag, consent.opted_out):
            return False
        return task.shadow is None or not _same(task.shadow.get(consent.flag), consent.opted_out)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is to be written, and what became of it so far."""

    tasks: Sequence[Task]
    writes: Mapping[int, RecordWrite]
    family: Kin
    outcomes: dict[int, Outcome]

    def second_thoughts(self, stances: Mapping[int, Stance], surprises: Surprises) -> dict[int, Stance]:
        """What is sent once more, and what is known of it now."""
        again = {
            **{index: stances[index] for index in surprises.orphans},
            **dict.fromkeys(surprises.doubted, Stance.ASK),
            **{index: Stance.ASK if self.writes[index].clears_flag else Stance.FOUND for index in surprises.existing},
            **dict.fromkeys(surprises.absent, Stance.ABSENT),
        }
        for index, outcome in list(self.outcomes.items()):
            if isinstance(outcome, Retry) and outcome.reason is Reason.PARENT_MISSING:
                # Its parent was known and had nothing to change, so that it was not sent; and it is gone.
                gone = [one for one in self.family.parents[index] if stances[one] is Stance.KNOWN]
                if gone:
                    again |= {**dict.fromkeys(gone, Stance.ABSENT), index: stances[index]}
        for index in again:
            self.outcomes.pop(index, None)
        return again


def _same(one: object, other: object) -> bool:
    """Whether two values of a flag are the same: picklist values compare without regard to case."""
    if isinstance(one, str) and isinstance(other, str):
        return one.casefold() == other.casefold()
    return one == other
