"""The sink: turns a batch of record writes into look-ups, then batches of the Web API, then one outcome per write."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from connector.crm.dynamics.client.api import GUID, BadName, identifier
from connector.crm.dynamics.client.responses import RequestFailed
from connector.crm.dynamics.client.tables import Tables
from connector.crm.dynamics.client.web_api import Gate, WebApi
from connector.crm.dynamics.traits import TRAITS
from connector.crm.dynamics.write.batch import Batch
from connector.crm.dynamics.write.dependencies import find_dependencies, parents_by_column
from connector.crm.dynamics.write.match import Matching
from connector.crm.dynamics.write.writes import Write, settle_unsent, without_outcome
from connector.model.consent_fields import ConsentFields
from connector.model.http import Http
from connector.model.operation import ID_FIELD, RecordWrite
from connector.model.outcome import Outcome, Reason, Rejected
from connector.model.record_number import NO_REGION, NumberReader
from connector.ports import Task

NO_RECORD = Rejected(reason=Reason.BAD_COMMAND, detail="Dynamics takes records, not service commands")


class DynamicsSink:
    """Writes to one Dynamics 365 org."""

    traits = TRAITS

    def __init__(
        self,
        name: str,
        *,
        gate: Gate,
        tables: Tables,
        consent_fields: Mapping[str, ConsentFields] | None = None,
        numbers: NumberReader = NO_REGION,
        batch: int = 1500,
    ) -> None:
        """`numbers` reads the org's phone columns; `batch` is the maximum number of writes in one batch."""
        self.name = name
        self.batch = batch
        self._gate = gate
        self._tables = tables
        self._consent_fields = consent_fields or {}
        self._numbers = numbers

    async def write(self, http: Http, tasks: Sequence[Task]) -> Sequence[Outcome]:
        """Write the batch: parents before children, about a hundred records per API call and several calls at once.

        Failed calls and rejected records become outcomes; nothing is raised for them.
        """
        records = [(task, task.operation) for task in tasks if isinstance(task.operation, RecordWrite)]
        writes = [Write(task=task, original=record_write) for task, record_write in records]
        await self._write(http, writes)
        done = iter(writes)
        return [next(done).result if isinstance(task.operation, RecordWrite) else NO_RECORD for task in tasks]

    async def _write(self, http: Http, writes: Sequence[Write]) -> None:
        web = WebApi(http, self._gate)
        for write in writes:
            write.outcome = self._refusal(write.original)
        find_dependencies(writes)
        matching = Matching(web, numbers=self._numbers, consent=self._consent_fields)
        matched: list[Write] = []
        try:
            await self._learn(web, without_outcome(writes))
            matched = [write for write in without_outcome(writes) if write.original.match is not None]
            await matching.run(matched)
        except RequestFailed as failed:
            settle_unsent([*without_outcome(writes), *matched], failed)
            return
        matching.link_children(writes)
        batch = Batch(web, self._tables, self._consent_fields, writes)
        await batch.run()
        for name in batch.stale:
            self._tables.forget(name)
        await matching.conclude(partial(self.write, http))

    async def prepare(self, http: Http, names: Iterable[str]) -> None:
        """Read the definitions of these tables, as the first batch would."""
        with suppress(RequestFailed, BadName):
            await self._tables.learn(WebApi(http, self._gate), [name for name in names if identifier(name)])

    def _refusal(self, write: RecordWrite) -> Rejected | None:
        """Why the write cannot be sent; None if it can."""
        try:
            for name in (write.object, *((write.key_field,) if write.keyed else ())):
                identifier(name)
            for name in write.match.fields if write.match else ():
                identifier(name)
        except BadName as error:
            return Rejected(reason=Reason.CONFIGURATION, detail=str(error))
        if not write.key.strip():
            return Rejected(reason=Reason.MISSING_KEY, detail=f"the key for {write.key_field} is empty")
        if write.key_field == ID_FIELD and not GUID.fullmatch(write.key):
            return Rejected(reason=Reason.BAD_VALUE, detail="an id of Dataverse is a GUID, such as 7d0c6a6e-…")
        if write.clears_flag and write.object not in self._consent_fields:
            detail = (
                f"consent_fields has no entry for {write.object}, so its flag cannot be checked before it is cleared"
            )
            return Rejected(reason=Reason.CONFIGURATION, detail=detail)
        return None

    async def _learn(self, web: WebApi, writes: Sequence[Write]) -> None:
        """Read the definitions of the tables, and of those that lookups point to. Raises RequestFailed."""
        await self._tables.learn(web, {write.original.object for write in writes})
        targets: set[str] = set()
        for write in writes:
            table = self._tables.get(write.original.object)
            if table is None:
                detail = f"the org has no table {write.original.object}, or the application user may not see it"
                write.outcome = Rejected(reason=Reason.CONFIGURATION, detail=detail)
                continue
            write.table = table
            if write.is_child:
                for column, _ in parents_by_column(write.original):
                    targets |= table.lookups.get(column, {}).keys()
        await self._tables.learn(web, targets)
