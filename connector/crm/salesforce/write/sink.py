"""The sink: turns a batch of record writes into look-ups, then collections, then one outcome per write."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from connector.crm.candidates import same
from connector.crm.salesforce.client.api import RECORD_ID, Api, BadName, Unencodable, identifier, record
from connector.crm.salesforce.client.responses import RequestFailed, read_failure
from connector.crm.salesforce.client.rest import RestClient
from connector.crm.salesforce.traits import TRAITS
from connector.crm.salesforce.write.crash_isolation import KnownCrashers
from connector.crm.salesforce.write.dependencies import find_dependencies
from connector.crm.salesforce.write.duplicates import Policy
from connector.crm.salesforce.write.existence import KeyRegistry
from connector.crm.salesforce.write.lookups import LookUp, Wanted
from connector.crm.salesforce.write.match import PEOPLE, Matching
from connector.crm.salesforce.write.merged_records import KeptRecord
from connector.crm.salesforce.write.org_fields import OrgFields
from connector.crm.salesforce.write.recovery import Recovery
from connector.crm.salesforce.write.requests import Item
from connector.crm.salesforce.write.send import Composite, Sending
from connector.crm.salesforce.write.trigger_limits import TransactionSizes
from connector.crm.salesforce.write.writes import (
    NOT_LOOKED_UP,
    Assumption,
    Found,
    Write,
    known_values,
    settle_all,
    to_resend,
)
from connector.model.consent_fields import ConsentFields
from connector.model.http import Http
from connector.model.operation import ID_FIELD, RecordWrite
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.model.record_number import NO_REGION, NumberReader
from connector.ports import Task

KEY_IN_ANOTHER_CASE = Retry(reason=Reason.HALTED, detail="a key that differs by letter case alone goes first")
NO_RECORD = Rejected(reason=Reason.BAD_COMMAND, detail="Salesforce takes records, not service commands")


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
        self._people_per_search = PEOPLE  # per search; fewer after searches that took the org too long
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
        records = [(task, task.operation) for task in tasks if isinstance(task.operation, RecordWrite)]
        writes = [Write(task=task, original=record, index=index) for index, (task, record) in enumerate(records)]
        await self._write(http, writes)
        done = iter(writes)
        return [next(done).result if isinstance(task.operation, RecordWrite) else NO_RECORD for task in tasks]

    async def _write(self, http: Http, writes: Sequence[Write]) -> None:
        rest = RestClient(self._api, http)
        for write in writes:
            write.outcome = self._refusal(write.original)
        valid = [write for write in writes if write.outcome is None]
        find_dependencies(writes)
        matching = await self._match(rest, writes)
        if matching is not None and matching.stopped is not None:
            settle_all(valid, matching.stopped)
            return
        ready = [write for write in valid if write.outcome is None]
        try:
            await self._keys.assume(rest, ready)
        except RequestFailed as failed:
            settle_all(ready, read_failure(failed))
            return
        await self._learn_required(
            rest, [write for write in ready if write.record_write.consent_only and write.record_write.create]
        )
        self._serialize_keys_in_another_case([write for write in ready if write.record_write.exact])
        await self._send_all(rest, writes, ready)
        if matching is not None:
            await matching.conclude(partial(self.write, http))

    async def _match(self, rest: RestClient, writes: Sequence[Write]) -> Matching | None:
        """Find the records of writes that name a phone number; None if there are no such writes."""
        matched = [write for write in writes if write.outcome is None and write.original.match is not None]
        if not matched:
            return None
        matching = Matching(rest, numbers=self._numbers, consent=self._consent_fields, people=self._people_per_search)
        await matching.run(matched)
        self._people_per_search = matching.people
        if matching.stopped is None:
            matching.link_children(writes)
        return matching

    async def _send_all(self, rest: RestClient, writes: Sequence[Write], ready: Sequence[Write]) -> None:
        """Send the ready writes of the batch, and again those whose assumption was wrong."""
        sending = Sending(
            rest,
            writes,
            self._composite,
            recovery=lambda: self._recovery(rest),
            known_crashers=self._known_crashers,
            sizes=self._sizes,
        )
        while ready:
            await self._send(rest, ready, sending)
            ready = to_resend(writes)
            if sending.stopped is not None:
                settle_all(ready, sending.stopped)
                break
        if sending.bisection is not None or self._known_crashers.records or self._known_crashers.failed:
            self._known_crashers.end(sending.bisection, writes)
        self._composite = sending.composite
        if self._sizes.limits:
            self._sizes.end()

    def _recovery(self, rest: RestClient) -> Recovery:
        return Recovery(
            rest,
            self._prepare_item,
            policy=self._policy,
            columns=self._columns,
            fields=self._fields,
            consent=self._consent_fields,
        )

    def _serialize_keys_in_another_case(self, writes: Sequence[Write]) -> None:
        """Keep keys that differ only in letter case for later batches: the org may treat them as equal."""
        first: dict[tuple[str, str, str], Write] = {}
        for write in [write for write in writes if not self._keys.is_case_safe(write.record_write)]:
            key = (write.record_write.object, write.record_write.key_field, write.record_write.key.lower())
            if first.setdefault(key, write) is not write:
                write.outcome = KEY_IN_ANOTHER_CASE

    async def _learn_required(self, rest: RestClient, writes: Sequence[Write]) -> None:
        """For writes with consent fields only: find out what else a new record would need."""
        try:
            await self._fields.learn_required(rest, {write.record_write.object for write in writes})
        except RequestFailed as failed:
            settle_all(writes, read_failure(failed))

    async def prepare(self, http: Http, keys: Sequence[tuple[str, str]], objects: Sequence[str] = ()) -> None:
        """Describe these keys (object, external ID field) and the text fields of objects, as the first batch would.

        If Salesforce is not available, the first batch asks again.
        """
        rest = RestClient(self._api, http)
        with suppress(RequestFailed):
            await self._keys.learn(rest, keys)
            await self._fields.learn(rest, objects)

    async def _send(self, rest: RestClient, writes: Sequence[Write], sending: Sending) -> None:
        """Send these writes. Afterwards each has an outcome, or its assumption was wrong."""
        asked = [write for write in writes if write.assumption is Assumption.ASK and write.outcome is None]
        redirected: Mapping[Write, Item | Outcome] = {}
        if asked:
            look_up = LookUp(rest)
            await look_up.run(
                [
                    Wanted(write=write, record_write=write.record_write, flag=self._flag(write.record_write))
                    for write in asked
                ]
            )
            if look_up.stopped is not None:
                settle_all(writes, look_up.stopped)
                return
            redirected = await self._redirect_merged(sending, asked, look_up)
        items: list[Item] = []
        for write in writes:
            if write.outcome is None:
                prepared = redirected.get(write) or self._prepare_item(write, write.record_write)
                if isinstance(prepared, Item):
                    items.append(prepared)
                else:
                    write.outcome = prepared
        await sending.run(items)

    def _prepare_item(self, write: Write, record_write: RecordWrite, kept: KeptRecord | None = None) -> Item | Outcome:
        """The item to send, or the outcome if nothing is sent. With `kept` it is for the record that a merge kept."""
        task, found, assumption = write.task, write.found, write.assumption
        if kept is not None:
            # Our shadow is not of this record: an opt-out on it counts as set by a person.
            flag = self._flag(record_write)
            task = Task(record_write)
            found = Found(record_id=kept.record_id, flag=kept.value(flag) if flag else None)
            assumption = Assumption.FOUND
        ready = self._build_item(write, task, record_write, found, assumption)
        if self._known_crashers.records and isinstance(ready, Item):
            return self._known_crashers.isolate(ready, write.record_write)
        return ready

    def _refusal(self, record_write: RecordWrite) -> Rejected | None:
        """Why the write cannot be sent, or its key not be used in a query; None if it can."""
        try:
            identifier(record_write.object)
            for name in (record_write.key_field,) if record_write.keyed else ():
                identifier(name)
            for name in record_write.match.fields if record_write.match else ():
                identifier(name)
            record_write.key.encode()
        except BadName as error:
            return Rejected(reason=Reason.CONFIGURATION, detail=str(error))
        except UnicodeEncodeError:
            return Rejected(reason=Reason.BAD_VALUE, detail=f"the key for {record_write.key_field} is no proper text")
        if not record_write.key.strip():
            return Rejected(reason=Reason.MISSING_KEY, detail=f"the key for {record_write.key_field} is empty")
        if record_write.key_field == ID_FIELD and not RECORD_ID.fullmatch(record_write.key):
            return Rejected(reason=Reason.BAD_VALUE, detail="a Salesforce Id has 15 or 18 letters and digits")
        if record_write.clears_flag and record_write.object.casefold() not in self._consent_fields:
            detail = f"consent_fields has no entry for {record_write.object}, so its flag cannot be checked before it is cleared"
            return Rejected(reason=Reason.CONFIGURATION, detail=detail)
        return None

    def _flag(self, record_write: RecordWrite) -> str | None:
        """The opt-out flag that must be read before this write; None if it clears none."""
        return self._consent(record_write).flag if record_write.clears_flag else None

    async def _redirect_merged(
        self, sending: Sending, asked: Sequence[Write], look_up: LookUp
    ) -> Mapping[Write, Item | Outcome]:
        """Redirect writes whose record was merged; reject those whose record was deleted if `recreate` is off."""
        gone = {
            write: record_id
            for write in asked
            if write.outcome is None
            and write.found is None
            and (record_id := look_up.gone.get(write) or write.task.gone) is not None
        }
        if not gone:
            return {}
        try:
            kept_records = await sending.recovery.find_kept(gone)
        except RequestFailed as failed:
            return dict.fromkeys(gone, read_failure(failed))
        redirected: dict[Write, Item | Outcome] = {}
        for write, kept in kept_records.items():
            if kept is not None:
                redirected[write] = sending.recovery.redirect_to_kept(write, kept)
            elif not self._recreate and not (write.record_write.consent and not write.record_write.clears_flag):
                detail = f"its record {gone[write]} was deleted: restore it, then release this, or discard it"
                redirected[write] = Rejected(reason=Reason.NEEDS_PERSON, detail=detail)
        return redirected

    def _policy(self, object_name: str) -> Policy:
        return self._duplicates.get(object_name.casefold(), Policy.ALLOW)

    def _columns(self, record_write: RecordWrite) -> Sequence[str]:
        """The columns to read of another record before this write is redirected to it."""
        key = [record_write.key_field] if record_write.key_field != ID_FIELD else []
        flag = self._flag(record_write)
        return [*key, *([flag] if flag else ())]

    def _consent(self, record_write: RecordWrite) -> ConsentFields:
        return self._consent_fields[record_write.object.casefold()]

    def _build_item(
        self, write: Write, task: Task, record_write: RecordWrite, found: Found | None, assumption: Assumption
    ) -> Item | Outcome:
        """The item to send, or the outcome if nothing is sent."""
        by_id = record_write.key_field == ID_FIELD
        if found is None and (by_id or not record_write.may_create):
            detail = f"{record_write.object} has no record with this {record_write.key_field}"
            return Rejected(reason=Reason.RECORD_MISSING, detail=detail)
        left_out: tuple[str, ...] = ()
        if found is None and record_write.consent_only:
            left_out = tuple(name for name in record_write.create if not self._is_needed(record_write, name))
        wanted = {**record_write.create, **record_write.set} if found is None else dict(record_write.set)
        for name in left_out:
            del wanted[name]
        fields = self._fields.with_text_values(record_write.object, wanted)
        if found is not None and record_write.clears_flag and self._set_by_a_person(task, record_write, found):
            left_out = tuple(name for name in record_write.consent if name in fields)
            fields = {name: value for name, value in fields.items() if name not in left_out}
        known = found if found is not NOT_LOOKED_UP else None
        if known is not None and not fields:
            return Delivered(record_id=known.record_id, left_out=left_out)
        # A record that may only be updated is written by Id, so that even a race cannot create it.
        only_update = by_id or not record_write.may_create or assumption is Assumption.KNOWN
        key_field = ID_FIELD if only_update else record_write.key_field
        key = known.record_id if known is not None and only_update else record_write.key
        try:
            body = record(record_write.object, key_field, key, fields)
        except BadName as error:
            return Rejected(reason=Reason.CONFIGURATION, detail=str(error))
        except Unencodable as error:
            return Rejected(reason=Reason.BAD_VALUE, detail=str(error))
        return Item(
            index=write.index,
            stage=write.stage,
            object=record_write.object,
            key_field=None if only_update else key_field,
            fields=fields,
            body=body,
            left_out=left_out,
            record_id=key if only_update else None,
            key="" if only_update else key,
            allow=known is not None or only_update or self._policy(record_write.object) is Policy.ALLOW,
            insert=assumption is Assumption.NEW,
            assumed=assumption is Assumption.KNOWN,
        )

    def _is_needed(self, record_write: RecordWrite, name: str) -> bool:
        """Whether a write with consent fields only needs this field to create its record."""
        return name in record_write.consent or self._fields.required(record_write.object, name)

    def _set_by_a_person(self, task: Task, record_write: RecordWrite, found: Found) -> bool:
        """Whether the record is opted out now but not in the shadow: a person has set it since our last read."""
        consent = self._consent(record_write)
        if not same(found.flag, consent.opted_out):
            return False
        shadow = known_values(task, found.record_id)
        return shadow is None or not same(shadow.get(consent.flag), consent.opted_out)
