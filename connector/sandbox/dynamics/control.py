"""The sandbox's control interface under /_sandbox/: faults, a person's edits, deletions and merges, statistics and history."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from connector.sandbox.dynamics import org
from connector.sandbox.dynamics.api import Api
from connector.sandbox.dynamics.automation import AutomationError
from connector.sandbox.dynamics.errors import RefusedError
from connector.sandbox.dynamics.exchange import Call
from connector.sandbox.dynamics.faults import FaultError, Faults, read_fault
from connector.sandbox.dynamics.limits import Limits
from connector.sandbox.dynamics.login import Sessions
from connector.sandbox.dynamics.storage import Row, Storage, new_id
from connector.sandbox.dynamics.tables import Table
from connector.sandbox.dynamics.values import read_values

MOST = 2_000_000  # records per seed request


class ControlError(Exception):
    """A control request is invalid; the text says why and what to do."""


class Control:
    """Answers calls below /_sandbox/."""

    def __init__(
        self,
        *,
        storage: Storage,
        api: Api,
        faults: Faults,
        sessions: Sessions,
        limits: Limits,
        starting: Callable[[], None],
    ) -> None:
        self._storage = storage
        self._api = api
        self._faults = faults
        self._sessions = sessions
        self._limits = limits
        self._starting = starting

    def routes(self) -> list[web.RouteDef]:
        """The routes for the application's router."""
        return [
            web.get("/_sandbox/faults", self.list_faults),
            web.post("/_sandbox/faults", self.add_fault),
            web.delete("/_sandbox/faults", self.clear_faults),
            web.get("/_sandbox/automation", self.list_automation),
            web.post("/_sandbox/automation", self.add_automation),
            web.delete("/_sandbox/automation", self.clear_automation),
            web.get("/_sandbox/stats", self.stats),
            web.put("/_sandbox/limits", self.set_limits),
            web.put("/_sandbox/tables/{table}", self.set_table),
            web.patch("/_sandbox/fields/{table}/{column}", self.set_column),
            web.put("/_sandbox/keys", self.set_keys),
            web.post("/_sandbox/reset", self.reset),
            web.get("/_sandbox/records/{table}", self.list_records),
            web.post("/_sandbox/records/{table}", self.edit_records),
            web.post("/_sandbox/seed/{table}", self.seed),
            web.post("/_sandbox/merge", self.merge),
            web.post("/_sandbox/delete", self.delete),
            web.post("/_sandbox/undelete", self.undelete),
            web.get("/_sandbox/history", self.history),
        ]

    async def list_faults(self, _: web.Request) -> web.Response:
        """The active faults, and how often each occurred."""
        return _json({"faults": [fault.as_json() for fault in self._faults.all]})

    async def add_fault(self, request: web.Request) -> web.Response:
        """Add a fault; `expired_session` and `expired_links` without a delay act at once."""
        try:
            fault = read_fault(await _document(request))
        except FaultError as error:
            raise ControlError(str(error)) from error
        if fault.name == "expired_links":
            self._api.records.expire_links()
            fault.fired += 1
        else:
            self._faults.all.append(fault)
        if fault.name == "expired_session" and fault.after == 0 and fault.every is None:
            self._sessions.end_all()
            fault.fired += 1
        return _json(fault.as_json())

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Remove all faults, or with ?fault=NAME those of one name."""
        self._faults.clear(request.query.get("fault"))
        return _json({"faults": [fault.as_json() for fault in self._faults.all]})

    async def list_automation(self, _: web.Request) -> web.Response:
        """The active plug-ins."""
        return _json({"automation": [one.as_json() for one in self._api.automation.all]})

    async def add_automation(self, request: web.Request) -> web.Response:
        """Add a plug-in that rewrites columns in the transaction that saves a record; see Automation.add()."""
        try:
            new = self._api.automation.add(self._storage.tables, await _document(request))
        except AutomationError as error:
            raise ControlError(str(error)) from error
        return _json({"automation": [one.as_json() for one in new]})

    async def clear_automation(self, _: web.Request) -> web.Response:
        """Remove all plug-ins."""
        self._api.automation.all.clear()
        return _json({"automation": []})

    async def stats(self, _: web.Request) -> web.Response:
        """The number of calls to the org, of their operations, and of its records."""
        records = {name: len(rows) for name, rows in self._storage.rows.items()}
        return _json({**self._limits.as_json(), "records": records})

    async def set_limits(self, request: web.Request) -> web.Response:
        """Set the service protection limits and the recommended parallelism: {"requests": 6000, "at_once": 52}."""
        body = await _document(request)
        for name in ("requests", "seconds", "at_once", "parallelism"):
            value = body.pop(name, getattr(self._limits, name))
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise ControlError(f"{name} must be a number, 0 or more.")
            setattr(self._limits, name, value)
        if body:
            raise ControlError("Only requests, seconds, at_once and parallelism can be set.")
        return _json({})

    async def set_table(self, request: web.Request) -> web.Response:
        """Switch change tracking or the bulk messages of a table: {"tracked": false, "bulk": false}."""
        table = self._table(request.match_info["table"])
        body = await _document(request)
        table.tracked = bool(body.get("tracked", table.tracked))
        table.bulk = bool(body.get("bulk", table.bulk))
        return _json({"tracked": table.tracked, "bulk": table.bulk})

    async def set_column(self, request: web.Request) -> web.Response:
        """Change a column: {"scale": 0} (decimals), {"length": 200} (characters), or {"name": "crmc_words"}.

        A name cannot be changed in an org: the column is deleted, and one with the new name is made.
        """
        table = self._table(request.match_info["table"])
        column = table.columns.get(request.match_info["column"])
        body = await _document(request)
        numbers = [body[name] for name in ("scale", "length") if name in body]
        if column is None or any(isinstance(one, bool) or not isinstance(one, int) for one in numbers):
            raise ControlError("scale and length must be whole numbers, and the column one of the table.")
        name = str(body.get("name", column.name))
        table.remove(column)
        table.add(
            replace(
                column,
                name=name,
                schema_name=name if "name" in body else column.schema_name,
                precision=body.get("scale", column.precision),
                length=body.get("length", column.length),
            )
        )
        return _json(body)

    async def set_keys(self, request: web.Request) -> web.Response:
        """{"pending": true} leaves new keys Pending; {"pending": false} finishes them, as the system job would."""
        self._api.metadata.pending_keys = bool((await _document(request)).get("pending"))
        if not self._api.metadata.pending_keys:
            self._api.metadata.activate_keys()
        return _json({"pending": self._api.metadata.pending_keys})

    async def reset(self, _: web.Request) -> web.Response:
        """Delete records, history, faults, plug-ins and statistics; sessions and definitions are kept."""
        self._storage.reset()
        self._faults.clear()
        self._api.automation.all.clear()
        self._limits.reset()
        self._starting()
        return _json({"reset": True})

    async def list_records(self, request: web.Request) -> web.Response:
        """All rows of a table with all columns; deleted ones, which can be restored, have `deleted`."""
        table = self._table(request.match_info["table"])
        return _json({"records": [*self._storage.rows[table.name].values(), *self._storage.deleted_rows(table)]})

    async def edit_records(self, request: web.Request) -> web.Response:
        """A person's edit or a mass load: by id, by the alternate key `key`, or as new records; all or none.

        `before` in the answer holds the records that existed as they were until this edit.
        """
        table = self._table(request.match_info["table"])
        body = await _document(request)
        records = body.get("records")
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise ControlError('records must be a list of objects: {"records": [{"lastname": "Ås"}]}.')
        by = str(body.get("by", "person"))
        if by not in org.USERS:
            raise ControlError(f"by must be one of {', '.join(org.USERS)}.")
        # Only the late-commit fault affects a person's edit; it is made for this.
        late = self._faults.strike_named("late_commit")
        call = Call(
            method="PATCH",
            path="",
            query="",
            headers={},
            raw=b"",
            base_url="",
            user=org.USERS[by],
            late=late.seconds if late else 0.0,
        )
        ids, before = [], []
        with self._storage.transaction():
            for record in records:
                row = self._named(table, body.get("key"), record)
                if row is None:
                    made = self._api.records.create(call, table, record)
                else:
                    before.append(row)
                    values = {name: value for name, value in record.items() if name != table.primary_id}
                    made = self._api.records.update(call, table, row, values)
                ids.append(made[table.primary_id])
        return _json({"ids": ids, "before": before})

    def _named(self, table: Table, key: Any, record: Row) -> Row | None:
        if key is None:
            record_id = record.get(table.primary_id)
            row = self._storage.get(table, str(record_id))
            if record_id is not None and row is None:
                raise ControlError(f"{table.name} has no record {record_id}.")
            return row
        found = [one for one in table.keys.values() if one.columns == (key,)]
        if not found:
            raise ControlError(f"{key} is no alternate key of {table.name}.")
        return self._storage.find(table, found[0], record)

    async def seed(self, request: web.Request) -> web.Response:
        """Create many records: {"count": 200000, "fields": {"lastname": "Donor ######"}}; each `#` becomes a digit."""
        table = self._table(request.match_info["table"])
        body = await _document(request)
        count, first, fields = body.get("count"), body.get("first", 0), body.get("fields")
        if not isinstance(count, int) or not 1 <= count <= MOST or not isinstance(first, int) or first < 0:
            raise ControlError(f"count must be a whole number from 1 to {MOST}, first one from 0.")
        if not isinstance(fields, dict):
            raise ControlError('fields must be an object: {"lastname": "Donor ######", "mobilephone": "+479#######"}.')
        ids = []
        with self._storage.transaction():
            for number in range(first, first + count):
                values = {name: _numbered(value, number, first) for name, value in fields.items()}
                values = read_values(table, values, self._api.records.bound, new=True)
                ids.append(self._storage.create(table, new_id(), values, org.PERSON_USER)[table.primary_id])
        return _json({"first": ids[0], "last": ids[-1]})

    async def merge(self, request: web.Request) -> web.Response:
        """Merge the record `loser`, or several `losers`, into `winner`; `fields` are the values chosen by the person.

        A merged record stays, inactive, and names its master. `before` holds all of them as they were until the merge.
        """
        body = await _document(request)
        table = self._table(str(body.get("table")))
        if not table.mergeable:
            raise ControlError(f"{table.name} cannot be merged.")
        losers = body.get("losers", [body.get("loser")])
        rows = [self._existing(table, one) for one in (body.get("winner"), *losers)]
        winner, others = rows[0], rows[1:]
        with self._storage.transaction():
            for row in others:
                gone = {"merged": True, "_masterid_value": winner[table.primary_id], "statecode": 1, "statuscode": 2}
                self._storage.update(table, row, gone, org.PERSON_USER)
            fields = read_values(table, body.get("fields", {}), self._api.records.bound, new=False)
            self._storage.update(table, winner, fields, org.PERSON_USER)
            self._move_children(table, [row[table.primary_id] for row in others], winner[table.primary_id])
        return _json(
            {
                "id": winner[table.primary_id],
                "mergedRecordIds": [row[table.primary_id] for row in others],
                "before": rows,
            }
        )

    def _move_children(self, table: Table, losers: list[str], winner: str) -> None:
        for child in self._storage.tables.values():
            for relationship in child.relationships:
                if relationship.target != table.name or relationship.column in {"masterid", "ownerid"}:
                    continue
                stored = child.columns[relationship.column].stored_as
                for row in list(self._storage.rows[child.name].values()):
                    if row.get(stored) in losers:
                        self._storage.update(child, row, {stored: winner}, org.PERSON_USER)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete the records `ids`, as a person would."""
        body = await _document(request)
        table = self._table(str(body.get("table")))
        ids = body.get("ids")
        if not isinstance(ids, list):
            raise ControlError("ids must be a list of record ids.")
        rows = [self._existing(table, one) for one in ids]
        for row in rows:
            self._storage.delete(table, row[table.primary_id], org.PERSON_USER)
        return _json({"ids": ids})

    async def undelete(self, request: web.Request) -> web.Response:
        """Restore the deleted records `ids`, as an org does that keeps deleted records for a while."""
        body = await _document(request)
        table = self._table(str(body.get("table")))
        ids = body.get("ids")
        if not isinstance(ids, list) or not all(self._storage.is_deleted(table, str(one)) for one in ids):
            raise ControlError("ids must be a list of ids of deleted records.")
        with self._storage.transaction():
            for one in ids:
                self._storage.restore(table, str(one), org.PERSON_USER)
        return _json({"ids": ids})

    async def history(self, request: web.Request) -> web.Response:
        """Every accepted write in order; optionally of one table and after a sequence number."""
        since = request.query.get("since", "0")
        if not since.isdigit():
            raise ControlError("since must be the sequence number after which to begin: ?since=0.")
        of = request.query.get("table")
        wanted = [one for one in self._storage.history if one["sequence"] > int(since) and of in {None, one["table"]}]
        return _json({"history": wanted})

    def _existing(self, table: Table, record_id: Any) -> Row:
        row = self._storage.get(table, str(record_id))
        if row is None:
            raise ControlError(f"{table.name} has no record {record_id}.")
        return row

    def _table(self, name: str) -> Table:
        table = self._storage.tables.get(name)
        if table is None:
            raise ControlError(f"The org has no table {name}; it has {', '.join(self._storage.tables)}.")
        return table


def _numbered(value: Any, number: int, first: int) -> Any:
    if isinstance(value, list):
        return _numbered(value[(number - first) % len(value)], number, first)
    if not isinstance(value, str) or "#" not in value:
        return value
    digits = iter(str(number).zfill(value.count("#"))[-value.count("#") :])
    return "".join(next(digits) if one == "#" else one for one in value)


@web.middleware
async def refusing(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """Convert a control call's error to a 400 that says what to do."""
    try:
        response: web.StreamResponse = await handler(request)
    except ControlError as error:
        return _json({"error": str(error)}, status=400)
    except RefusedError as refusal:
        return _json({"error": f"Nothing was written: {refusal.code}: {refusal.message}"}, status=400)
    return response


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


async def _document(request: web.Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise ControlError(f"The body must be JSON: {error}") from error
    if not isinstance(body, dict):
        raise ControlError("The body must be a JSON object.")
    return body
