"""Routes the Web API: finds the answer for each address and method. Knows no web framework."""

from collections.abc import Callable

from connector.sandbox.dynamics import org
from connector.sandbox.dynamics.automation import Automation
from connector.sandbox.dynamics.batch import answer_batch
from connector.sandbox.dynamics.bulk import Bulk
from connector.sandbox.dynamics.errors import RefusedError, no_segment
from connector.sandbox.dynamics.exchange import Answer, Call
from connector.sandbox.dynamics.limits import Limits
from connector.sandbox.dynamics.metadata import Metadata
from connector.sandbox.dynamics.odata import Segment, segments
from connector.sandbox.dynamics.records import Records
from connector.sandbox.dynamics.storage import Storage
from connector.sandbox.dynamics.tables import CRM, definition_id

DEFINITIONS = frozenset({"EntityDefinitions", "RelationshipDefinitions", "CreateEntities"})
GLOBAL_ACTIONS = frozenset({"PublishXml", "PublishAllXml"})


class Api:
    """Answers calls below /api/data/v9.2/."""

    def __init__(self, storage: Storage, limits: Limits) -> None:
        self._storage = storage
        self._limits = limits
        self.automation = Automation()
        self.records = Records(storage, self.automation)
        self.metadata = Metadata(storage)
        self._bulk = Bulk(storage, self.records)

    def answer(self, call: Call) -> Answer:
        """The answer to a request, which may be a batch. Never raises RefusedError."""
        try:
            if call.path == "$batch" and call.method == "POST":
                return answer_batch(call, self.dispatch, self._atomic)
        except RefusedError as refusal:
            return Answer(status=refusal.status, body=refusal.body(), headers=refusal.headers)
        return self.dispatch(call)

    def dispatch(self, call: Call) -> Answer:
        """The answer to one operation, in a transaction of its own. Never raises RefusedError."""
        self._limits.operations += 1
        try:
            with self._storage.transaction():
                return self._routed(call, segments(call.path))
        except RefusedError as refusal:
            return Answer(status=refusal.status, body=refusal.body(), headers=refusal.headers)

    def _atomic(self, run: Callable[[], list[bytes]]) -> list[bytes]:
        with self._storage.transaction():
            return run()

    def _routed(self, call: Call, parts: list[Segment]) -> Answer:
        first = parts[0].name
        if not first:
            return Answer(
                body={"value": [{"name": one.set_name, "kind": "EntitySet"} for one in self._storage.tables.values()]}
            )
        if first == "WhoAmI" and call.method == "GET":
            ids = {"BusinessUnitId": org.BUSINESS_UNIT, "UserId": call.user, "OrganizationId": org.ORGANIZATION}
            return Answer(body=ids)
        if first in DEFINITIONS:
            return self.metadata.answer(call, parts)
        if first == "sdkmessagefilters":
            return self.metadata.filters(call)
        if first in GLOBAL_ACTIONS and call.method == "POST":
            return Answer(status=204)
        if first == "ReactivateEntityKey" and call.method == "POST":
            return self._reactivate(call)
        if len(parts) == 2 and parts[1].name.startswith(CRM):  # noqa: PLR2004 - set and action.
            return self._bulk.answer(call, self.records.table(parts[0]), parts[1].name)
        return self.records.answer(call, parts)

    def _reactivate(self, call: Call) -> Answer:
        body = call.json()
        table = self._storage.tables.get(str(body.get("EntityLogicalName")))
        name = str(body.get("EntityKeyLogicalName"))
        if table is None or name not in table.keys:
            raise no_segment(definition_id(name))
        self.metadata.index(table, name)
        return Answer(status=204)
