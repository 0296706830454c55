"""CreateMultiple, UpdateMultiple and UpsertMultiple: one transaction, so that one bad record rolls back all."""

from typing import Any

from connector.sandbox.dynamics.errors import RefusedError, bad_payload, does_not_exist, no_segment
from connector.sandbox.dynamics.exchange import Answer, Call
from connector.sandbox.dynamics.odata import segments
from connector.sandbox.dynamics.records import Records
from connector.sandbox.dynamics.storage import Storage
from connector.sandbox.dynamics.tables import CRM, Table

ACTIONS = frozenset({"CreateMultiple", "UpdateMultiple", "UpsertMultiple"})


class Bulk:
    """The bulk actions of a table."""

    def __init__(self, storage: Storage, records: Records) -> None:
        self._storage = storage
        self._records = records

    def answer(self, call: Call, table: Table, action: str) -> Answer:
        """Do one action. Raises RefusedError."""
        name = action.removeprefix(CRM)
        if name not in ACTIONS or not table.bulk:
            raise no_segment(action)
        targets = call.json().get("Targets")
        if not isinstance(targets, list) or not all(isinstance(one, dict) for one in targets):
            raise bad_payload("The parameter 'Targets' is missing.")
        for one in targets:
            if str(one.get("@odata.type", "")).removeprefix("#") != f"{CRM}{table.name}":
                raise bad_payload("A type annotation is expected: '@odata.type' is missing or wrong.")
        if name == "CreateMultiple":
            made = [self._records.create(call, table, one)[table.primary_id] for one in targets]
            return Answer(body={"@odata.context": f"{call.base_url}$metadata", "Ids": made})
        seen: set[str] = set()
        for one in targets:
            self._apply(call, table, one, seen, upsert=name == "UpsertMultiple")
        return Answer(status=204)

    def _apply(self, call: Call, table: Table, target: dict[str, Any], seen: set[str], *, upsert: bool) -> None:
        body = {name: value for name, value in target.items() if not name.startswith("@")}
        address = target.get("@odata.id")
        inside = segments(str(address))[0].key or "" if address else str(body.pop(table.primary_id, ""))
        row, record_id, values = self._records.identify(table, inside)
        if upsert and inside.casefold() in seen:
            raise RefusedError(400, "0x80040203", "A duplicate record was found in the Targets parameter.")
        seen.add(inside.casefold())
        if row is not None:
            self._records.update(call, table, row, {name: value for name, value in body.items() if name not in values})
        elif not upsert:
            raise does_not_exist(table.name, record_id or inside)
        elif values.keys() & body.keys():
            raise RefusedError(400, "0x80040216", "An unexpected error occurred.")
        else:
            self._records.create(call, table, {**values, **body}, record_id)
