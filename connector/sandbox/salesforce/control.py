"""The sandbox's own interface under /_sandbox/: faults, a person's edits, merges, statistics and history."""

from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from connector.sandbox.salesforce import org
from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.drafts import Author
from connector.sandbox.salesforce.faults import FaultError, Faults, read_fault
from connector.sandbox.salesforce.fields import Kind, SObject
from connector.sandbox.salesforce.login import Sessions
from connector.sandbox.salesforce.outbound import FIRST_GAP, Outbound, Target
from connector.sandbox.salesforce.reading import Reader
from connector.sandbox.salesforce.refusals import RequestRefusedError
from connector.sandbox.salesforce.usage import Usage
from connector.sandbox.salesforce.values import as_moment
from connector.sandbox.salesforce.writing import Outcome, Writer

USERS = {"person": org.PERSON_USER, "integration": org.INTEGRATION_USER}


class ControlError(Exception):
    """The wish cannot be met; the text says why and what to do."""


class Control:
    """Answers everything below /_sandbox/."""

    def __init__(
        self,
        *,
        database: Database,
        reader: Reader,
        writer: Writer,
        faults: Faults,
        sessions: Sessions,
        usage: Usage,
        outbound: Outbound,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._reader = reader
        self._writer = writer
        self._faults = faults
        self._sessions = sessions
        self._usage = usage
        self._outbound = outbound
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """For the application's router."""
        return [
            web.get("/_sandbox/faults", self.list_faults),
            web.post("/_sandbox/faults", self.add_fault),
            web.delete("/_sandbox/faults", self.clear_faults),
            web.get("/_sandbox/stats", self.stats),
            web.put("/_sandbox/usage", self.allow),
            web.post("/_sandbox/reset", self.reset),
            web.get("/_sandbox/records/{object}", self.list_records),
            web.post("/_sandbox/records/{object}", self.edit_records),
            web.post("/_sandbox/merge", self.merge),
            web.get("/_sandbox/history", self.history),
            web.get("/_sandbox/outbound", self.list_outbound),
            web.post("/_sandbox/outbound", self.add_outbound),
        ]

    async def list_faults(self, _: web.Request) -> web.Response:
        """Which faults are on, and how often each fired."""
        return _json({"faults": [fault.shown() for fault in self._faults.all]})

    async def add_fault(self, request: web.Request) -> web.Response:
        """Switch a fault on."""
        try:
            fault = read_fault(await _document(request))
        except FaultError as error:
            raise ControlError(str(error)) from error
        self._faults.all.append(fault)
        if fault.name == "expired_session" and fault.after == 0 and fault.every is None:
            # Without a delay the tokens die now; that is the first of its times.
            self._sessions.end_all()
            fault.fired += 1
        return _json(fault.shown())

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Switch all faults off, or with ?fault=NAME those of one name."""
        self._faults.clear(request.query.get("fault"))
        return _json({"faults": [fault.shown() for fault in self._faults.all]})

    async def stats(self, _: web.Request) -> web.Response:
        """How much was asked of the org, and how much it holds."""
        return _json(
            {
                "api_calls": self._usage.calls,
                "most_writes_at_once": self._usage.most_writes,
                "logins": self._usage.logins,
                "requests": dict(self._usage.requests),
                "records": self._database.counts(),
            }
        )

    async def allow(self, request: web.Request) -> web.Response:
        """Set the daily limit and how much of it is used up: {"limit": 1000, "used": 990}."""
        body = await _document(request)
        limit, used = body.get("limit", self._usage.limit), body.get("used", self._usage.used)
        if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in (limit, used)):
            raise ControlError("limit and used must be whole numbers, 0 or more.")
        self._usage.allow(limit, used)
        return _json({"limit": limit, "used": used})

    async def reset(self, _: web.Request) -> web.Response:
        """Forget records, history, faults, statistics and outbound targets; sessions live on."""
        self._database.reset()
        self._faults.clear()
        self._usage.reset()
        await self._outbound.stop()
        return _json({"reset": True})

    async def list_records(self, request: web.Request) -> web.Response:
        """All rows of an object with all fields."""
        return _json({"records": self._reader.every(_object(request.match_info["object"]))})

    async def edit_records(self, request: web.Request) -> web.Response:
        """A person's edit or a mass load: by Id, by the external ID field named as `key`, or as new records; all or none."""
        known = _object(request.match_info["object"])
        body = await _document(request)
        records = body.get("records")
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise ControlError('records must be a list of objects: {"records": [{"LastName": "Ås"}]}.')
        key = None
        if "key" in body:
            key = known.find(str(body["key"]))
            if key is None or not key.keyed:
                raise ControlError(f"{body['key']} is no external ID field of {known.name}.")
        author = self._author(str(body.get("by", "person")))
        with self._database.transaction():
            outcomes = self._writer.upsert(known, key, records, author) if key else self._by_id(known, records, author)
            refused = [
                f"record {index}: {outcome.refusal.code}: {outcome.refusal.message}"
                for index, outcome in enumerate(outcomes)
                if outcome.refusal is not None
            ]
            if refused:
                raise ControlError("Nothing was written. " + "; ".join(refused[:10]))
        ids = [str(outcome.id) for outcome in outcomes]
        if author.user == org.PERSON_USER:
            self._outbound.changed(known, ids)
        return _json({"ids": ids})

    def _by_id(self, known: SObject, records: list[dict[str, Any]], author: Author) -> list[Outcome]:
        changed = iter(self._writer.update(known, [record for record in records if "Id" in record], author))
        new = iter(self._writer.insert(known, [record for record in records if "Id" not in record], author))
        return [next(changed) if "Id" in record else next(new) for record in records]

    async def merge(self, request: web.Request) -> web.Response:
        """Merge the record `loser` into `winner`: it is deleted, and what pointed to it points to the winner."""
        body = await _document(request)
        known = _object(str(body.get("object")))
        if not known.mergeable:
            raise ControlError(f"{known.name} records cannot be merged; Account, Contact and Lead can.")
        winner, loser = str(body.get("winner")), str(body.get("loser"))
        author = self._author("person")
        with self._database.transaction():
            outcome = self._writer.update(known, [{"Id": winner}], author)[0]
            gone = self._writer.delete(known, [loser], author, MasterRecordId=outcome.id)[0]
            refusal = outcome.refusal or gone.refusal
            if refusal is not None or outcome.id == gone.id:
                reason = refusal.message if refusal else "they are the same record"
                raise ControlError(f"{loser} cannot be merged into {winner}: {reason}.")
            for child in org.OBJECTS.values():
                for field in child.fields:
                    if field.kind is Kind.REFERENCE and known.name in field.targets and field.writable:
                        self._repoint(child, field.name, (str(gone.id), str(outcome.id)), author)
        self._outbound.changed(known, [str(outcome.id)])
        return _json({"id": outcome.id, "mergedRecordIds": [gone.id]})

    def _repoint(self, child: SObject, field: str, ids: tuple[str, str], author: Author) -> None:
        loser, winner = ids
        rows = self._database.connection.execute(
            f'SELECT "Id" FROM "{child.name}" WHERE "{field}" = ? AND "IsDeleted" = 0',  # noqa: S608 - names are ours
            (loser,),
        ).fetchall()
        self._writer.update(child, [{"Id": row[0], field: winner} for row in rows], author)

    async def history(self, request: web.Request) -> web.Response:
        """Every accepted write in order, of one object and after one sequence number if asked."""
        since = request.query.get("since", "0")
        if not since.isdigit():
            raise ControlError("since must be the sequence number after which to begin: ?since=0.")
        return _json({"history": self._database.history(request.query.get("object"), int(since))})

    async def list_outbound(self, _: web.Request) -> web.Response:
        """Where outbound messages go, and how many wait for their Ack."""
        return _json({"outbound": self._outbound.shown()})

    async def add_outbound(self, request: web.Request) -> web.Response:
        """Send outbound messages about an object to a URL from now on."""
        body = await _document(request)
        known = _object(str(body.get("object")))
        url, fields = body.get("url"), body.get("fields")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise ControlError("url must be the http address of the receiver.")
        if not isinstance(fields, list) or not all(isinstance(name, str) and known.find(name) for name in fields):
            raise ControlError(f"fields must be a list of fields of {known.name}.")
        target = Target(
            url=url, known=known, fields=tuple(fields), first_gap=float(body.get("retry_seconds", FIRST_GAP))
        )
        self._outbound.add(target)
        return _json(target.shown())

    def _author(self, name: str) -> Author:
        if name not in USERS:
            raise ControlError(f"by must be one of {', '.join(USERS)}.")
        now = self._clock()
        # A person's edit strikes no fault but that of the late commit, which is made for it.
        late = self._faults.strike_commit()
        return Author(user=USERS[name], time=now, stamp=as_moment(now - late))


@web.middleware
async def refusing(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """Turns a control call's refusal into a 400 that says what to do."""
    try:
        response: web.StreamResponse = await handler(request)
    except ControlError as error:
        return _json({"error": str(error)}, status=400)
    except RequestRefusedError as refusal:
        return _json({"error": f"{refusal.code}: {refusal.message}"}, status=400)
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


def _object(name: str) -> SObject:
    known = org.find_object(name)
    if known is None:
        raise ControlError(f"The org has no object {name}; it has {', '.join(org.OBJECTS)}.")
    return known
