"""The sink: turns a batch of record writes into look-ups, then batches of the Web API, then one outcome per write."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from connector.crm.dynamics.client.api import GUID, BadName, identifier
from connector.crm.dynamics.client.responses import RequestFailed
from connector.crm.dynamics.client.tables import Tables
from connector.crm.dynamics.client.web_api import Gate, WebApi
from connector.crm.dynamics.traits import TRAITS
from connector.crm.dynamics.write.batch import Batch, not_sent
from connector.crm.dynamics.write.dependencies import find_dependencies, relations
from connector.crm.dynamics.write.match import Matching
from connector.model.consent_fields import ConsentFields
from connector.model.http import Http
from connector.model.operation import ID_FIELD, Parent, RecordWrite
from connector.model.outcome import Outcome, Reason, Rejected
from connector.model.record_number import NO_REGION, NumberReader
from connector.ports import Task


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
        web = WebApi(http, self._gate)
        outcomes: dict[int, Outcome] = {}
        writes: dict[int, RecordWrite] = {}
        for index, task in enumerate(tasks):
            validated = self._validated(task)
            if isinstance(validated, RecordWrite):
                writes[index] = validated
            else:
                outcomes[index] = validated
        records = {index: task.operation for index, task in enumerate(tasks) if isinstance(task.operation, RecordWrite)}
        related = {index: named for index, write in records.items() if (named := relations(write))}
        matching = Matching(web, self._tables.get, numbers=self._numbers, consent=self._consent_fields)
        try:
            await self._learn(web, writes, related, outcomes)
            await matching.run(
                {
                    index: tasks[index]
                    for index, one in writes.items()
                    if one.match is not None and index not in outcomes
                }
            )
        except RequestFailed as failed:
            outcomes |= {index: not_sent(failed) for index in writes if index not in outcomes}
            return [outcomes[index] for index in range(len(tasks))]
        writes |= matching.writes
        outcomes |= matching.outcomes
        dependencies = find_dependencies(records, related)
        matching.link_children(dependencies, writes, outcomes)
        batch = Batch(
            web, self._tables, self._consent_fields, tasks, writes, dependencies, outcomes, dict(matching.found)
        )
        await batch.run()
        for name in batch.stale:
            self._tables.forget(name)
        await matching.conclude(outcomes, partial(self.write, http))
        return [outcomes[index] for index in range(len(tasks))]

    async def prepare(self, http: Http, names: Iterable[str]) -> None:
        """Read the definitions of these tables, as the first batch would."""
        with suppress(RequestFailed, BadName):
            await self._tables.learn(WebApi(http, self._gate), [one for one in names if identifier(one)])

    def _validated(self, task: Task) -> RecordWrite | Rejected:
        write = task.operation
        if not isinstance(write, RecordWrite):
            return Rejected(reason=Reason.BAD_COMMAND, detail="Dynamics takes records, not service commands")
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
        return write

    async def _learn(
        self,
        web: WebApi,
        writes: Mapping[int, RecordWrite],
        related: Mapping[int, Sequence[tuple[str, Parent]]],
        outcomes: dict[int, Outcome],
    ) -> None:
        """Read the definitions of the tables, and of those that lookups point to. Raises RequestFailed."""
        await self._tables.learn(web, {write.object for write in writes.values()})
        targets: set[str] = set()
        for index, write in writes.items():
            table = self._tables.get(write.object)
            if table is None:
                detail = f"the org has no table {write.object}, or the application user may not see it"
                outcomes[index] = Rejected(reason=Reason.CONFIGURATION, detail=detail)
                continue
            for name, _ in related.get(index, ()):
                targets |= table.lookups.get(name, {}).keys()
        await self._tables.learn(web, targets)
