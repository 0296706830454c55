"""The sandbox's control interface under /_sandbox/: faults, a person's edits, deletions and merges, statistics and history."""

from collections.abc import Callable
from sqlite3 import IntegrityError
from typing import Any

import orjson
from aiohttp import web

from connector.sandbox.salesforce import org
from connector.sandbox.salesforce.automation import USERS, AutomationError
from connector.sandbox.salesforce.bulk import Bulk
from connector.sandbox.salesforce.conversion import convert
from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.drafts import Author
from connector.sandbox.salesforce.faults import FaultError, Faults, read_fault
from connector.sandbox.salesforce.fields import SObject
from connector.sandbox.salesforce.identifiers import canonical
from connector.sandbox.salesforce.login import Sessions
from connector.sandbox.salesforce.outbound import FIRST_GAP, Outbound, Target
from connector.sandbox.salesforce.reading import Reader
from connector.sandbox.salesforce.recycling import Recycling, RecyclingError
from connector.sandbox.salesforce.refusals import RecordRefusedError, RequestRefusedError
from connector.sandbox.salesforce.seeding import MOST, seed
from connector.sandbox.salesforce.usage import Usage
from connector.sandbox.salesforce.values import as_moment
from connector.sandbox.salesforce.wording import FORMS, LANGUAGES
from connector.sandbox.salesforce.writing import Outcome, Writer


class ControlError(Exception):
    """A control request is invalid; the text says why and what to do."""


class Control:
    """Answers calls below /_sandbox/."""

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
        bulk: Bulk,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._reader = reader
        self._writer = writer
        self._recycling = Recycling(database, writer)
        self._faults = faults
        self._sessions = sessions
        self._usage = usage
        self._outbound = outbound
        self._bulk = bulk
        self._clock = clock

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
            web.put("/_sandbox/usage", self.allow),
            web.put("/_sandbox/wording", self.word),
            web.post("/_sandbox/reset", self.reset),
            web.get("/_sandbox/records/{object}", self.list_records),
            web.post("/_sandbox/records/{object}", self.edit_records),
            web.post("/_sandbox/seed/{object}", self.seed),
            web.post("/_sandbox/merge", self.merge),
            web.post("/_sandbox/convert", self.convert),
            web.post("/_sandbox/duplicate_rules", self.add_duplicate_rule),
            web.post("/_sandbox/delete", self.delete),
            web.post("/_sandbox/undelete", self.undelete),
            web.post("/_sandbox/erase", self.erase),
            web.get("/_sandbox/history", self.history),
            web.get("/_sandbox/outbound", self.list_outbound),
            web.post("/_sandbox/outbound", self.add_outbound),
        ]

    async def list_faults(self, _: web.Request) -> web.Response:
        """The active faults, and how often each occurred."""
        return _json({"faults": [fault.as_json() for fault in self._faults.all]})

    async def add_fault(self, request: web.Request) -> web.Response:
        """Add a fault."""
        try:
            fault = read_fault(await _document(request))
        except FaultError as error:
            raise ControlError(str(error)) from error
        self._faults.all.append(fault)
        if fault.name == "expired_session" and fault.after == 0 and fault.every is None:
            # Without a delay the tokens expire now, which counts as the first time.
            self._sessions.end_all()
            fault.fired += 1
        return _json(fault.as_json())

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Remove all faults, or with ?fault=NAME those of one name."""
        self._faults.clear(request.query.get("fault"))
        return _json({"faults": [fault.as_json() for fault in self._faults.all]})

    async def list_automation(self, _: web.Request) -> web.Response:
        """The active automation."""
        return _json({"automation": [one.as_json() for one in self._writer.automation.all]})

    async def add_automation(self, request: web.Request) -> web.Response:
        """Add automation that rewrites fields in the transaction that saves a record; see Automation.add()."""
        try:
            new = self._writer.automation.add(self._database.schema, await _document(request))
        except AutomationError as error:
            raise ControlError(str(error)) from error
        return _json({"automation": [one.as_json() for one in new]})

    async def clear_automation(self, _: web.Request) -> web.Response:
        """Remove all automation."""
        self._writer.automation.all.clear()
        return _json({"automation": []})

    async def stats(self, _: web.Request) -> web.Response:
        """The number of calls to the org, and of its records."""
        return _json({**self._usage.as_json(), "records": self._database.counts()})

    async def allow(self, request: web.Request) -> web.Response:
        """Set the daily limit and its used part: {"limit": 1000, "used": 990}."""
        body = await _document(request)
        limit, used = body.get("limit", self._usage.limit), body.get("used", self._usage.used)
        if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in (limit, used)):
            raise ControlError("limit and used must be whole numbers, 0 or more.")
        self._usage.allow(limit, used)
        return _json({"limit": limit, "used": used})

    async def word(self, request: web.Request) -> web.Response:
        """Set the language of rejections and the form of DUPLICATE_VALUE: {"language": "fr", "duplicates": "short_id"}."""
        body = await _document(request)
        wording = self._database.wording
        language, form = body.get("language"), body.get("duplicates", wording.duplicates)
        if (language is not None and language not in LANGUAGES) or form not in FORMS:
            raise ControlError(f"language is one of {', '.join(LANGUAGES)}; duplicates one of {', '.join(FORMS)}.")
        wording.language = LANGUAGES[language] if language is not None else wording.language
        wording.duplicates = form
        return _json({"language": wording.language.code, "duplicates": wording.duplicates})

    async def reset(self, _: web.Request) -> web.Response:
        """Delete records, history, faults, statistics, bulk jobs and outbound targets; sessions are kept."""
        self._database.reset()
        self._faults.clear()
        self._writer.duplicate_rules.all.clear()
        self._writer.automation.all.clear()
        self._usage.reset()
        await self._outbound.stop()
        await self._bulk.forget()
        return _json({"reset": True})

    async def add_duplicate_rule(self, request: web.Request) -> web.Response:
        """Add a duplicate rule: records with equal `fields` are duplicates; `action` is alert or block."""
        body = await _document(request)
        rule = self._writer.duplicate_rules.add(self._object(str(body.get("object"))), body)
        return _json(rule.as_json())

    async def list_records(self, request: web.Request) -> web.Response:
        """All rows of an object with all fields."""
        return _json({"records": self._reader.read_all(self._object(request.match_info["object"]))})

    async def edit_records(self, request: web.Request) -> web.Response:
        """A person's edit or a mass load: by Id, by the external ID field `key`, or as new records; all or none.

        `before` in the answer holds the records that were named by Id as they were until this edit.
        """
        sobject = self._object(request.match_info["object"])
        body = await _document(request)
        records = body.get("records")
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise ControlError('records must be a list of objects: {"records": [{"LastName": "Ås"}]}.')
        key = None
        if "key" in body:
            key = sobject.find(str(body["key"]))
            if key is None or not key.keyed:
                raise ControlError(f"{body['key']} is no external ID field of {sobject.name}.")
        author = self._author(str(body.get("by", "person")))
        before = self._reader.as_stored(sobject, [canonical(record.get("Id")) for record in records])
        with self._database.transaction():
            outcomes = (
                self._writer.upsert(sobject, key, records, author) if key else self._by_id(sobject, records, author)
            )
            refused = [
                f"record {index}: {outcome.refusal.code}: {outcome.refusal.message}"
                for index, outcome in enumerate(outcomes)
                if outcome.refusal is not None
            ]
            if refused:
                raise ControlError("Nothing was written. " + "; ".join(refused[:10]))
        ids = [str(outcome.id) for outcome in outcomes]
        if author.user == org.PERSON_USER:
            self._outbound.changed(sobject, ids)
        return _json({"ids": ids, "before": before})

    async def seed(self, request: web.Request) -> web.Response:
        """Create many records: {"count": 200000, "fields": {"LastName": "Donor ######"}}; seeding.py explains patterns."""
        sobject = self._object(request.match_info["object"])
        body = await _document(request)
        count, first, fields = body.get("count"), body.get("first", 0), body.get("fields")
        if not isinstance(count, int) or not 1 <= count <= MOST or not isinstance(first, int) or first < 0:
            raise ControlError(f"count must be a whole number from 1 to {MOST}, first one from 0.")
        if not isinstance(fields, dict):
            raise ControlError(
                'fields must be an object: {"LastName": "Donor ######", "MobilePhone": ["+479#######", null]}.'
            )
        try:
            with self._database.transaction():
                ids = seed(self._database, sobject, fields, range(first, first + count), self._author("person"))
        except RecordRefusedError as refusal:
            raise ControlError(f"{refusal.code}: {refusal.message}") from refusal
        except IntegrityError:
            raise ControlError(
                "A unique field would hold one value twice: give its pattern more #, or another first."
            ) from None
        return _json({"first": ids[0], "last": ids[1]})

    def _by_id(self, sobject: SObject, records: list[dict[str, Any]], author: Author) -> list[Outcome]:
        changed = iter(self._writer.update(sobject, [record for record in records if "Id" in record], author))
        new = iter(self._writer.insert(sobject, [record for record in records if "Id" not in record], author))
        return [next(changed) if "Id" in record else next(new) for record in records]

    async def merge(self, request: web.Request) -> web.Response:
        """Merge the record `loser`, or up to two `losers`, into `winner`; `fields` are the values chosen by the person.

        `before` in the answer holds the winner and the losers as they were until the merge.
        """
        body = await _document(request)
        sobject = self._object(str(body.get("object")))
        losers = body.get("losers", [body.get("loser")])
        fields = body.get("fields", {})
        if not isinstance(losers, list) or not isinstance(fields, dict):
            raise ControlError("losers must be a list of ids, and fields an object.")
        author = self._author("person")
        before = self._reader.as_stored(sobject, [canonical(one) for one in (body.get("winner"), *losers)])
        with self._database.transaction():
            winner, gone = self._recycling.merge(
                sobject, str(body.get("winner")), [str(one) for one in losers], fields, author
            )
        self._outbound.changed(sobject, [winner])
        return _json({"id": winner, "mergedRecordIds": gone, "before": before})

    async def convert(self, request: web.Request) -> web.Response:
        """Convert the lead `lead` to the contact `contact`, or to a new one."""
        body = await _document(request)
        contact = body.get("contact")
        with self._database.transaction():
            made = convert(
                self._database,
                self._writer,
                str(body.get("lead")),
                None if contact is None else str(contact),
                self._author("person"),
            )
        return _json({"contact": made})

    async def delete(self, request: web.Request) -> web.Response:
        """Move the records `ids` to the recycle bin, as a person would."""
        sobject, ids = await self._named(request)
        with self._database.transaction():
            return _json({"ids": self._recycling.delete(sobject, ids, self._author("person"))})

    async def undelete(self, request: web.Request) -> web.Response:
        """Restore the records `ids` from the recycle bin."""
        sobject, ids = await self._named(request)
        with self._database.transaction():
            back = self._recycling.undelete(sobject, ids, self._author("person"))
        self._outbound.changed(sobject, back)
        return _json({"ids": back})

    async def erase(self, request: web.Request) -> web.Response:
        """Delete the records `ids` permanently, whether they are in the recycle bin or not."""
        sobject, ids = await self._named(request)
        with self._database.transaction():
            return _json({"ids": self._recycling.erase(sobject, ids)})

    async def _named(self, request: web.Request) -> tuple[SObject, list[str]]:
        body = await _document(request)
        ids = body.get("ids")
        if not isinstance(ids, list):
            raise ControlError("ids must be a list of record ids.")
        return self._object(str(body.get("object"))), [str(one) for one in ids]

    async def history(self, request: web.Request) -> web.Response:
        """Every accepted write in order; optionally of one object and after a sequence number."""
        since = request.query.get("since", "0")
        if not since.isdigit():
            raise ControlError("since must be the sequence number after which to begin: ?since=0.")
        return _json({"history": self._database.history(request.query.get("object"), int(since))})

    async def list_outbound(self, _: web.Request) -> web.Response:
        """The targets of outbound messages, and how many messages are not acknowledged."""
        return _json({"outbound": self._outbound.as_json()})

    async def add_outbound(self, request: web.Request) -> web.Response:
        """Start sending outbound messages about an object to a URL."""
        body = await _document(request)
        sobject = self._object(str(body.get("object")))
        url, fields = body.get("url"), body.get("fields")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise ControlError("url must be the http address of the receiver.")
        if not isinstance(fields, list) or not all(isinstance(name, str) and sobject.find(name) for name in fields):
            raise ControlError(f"fields must be a list of fields of {sobject.name}.")
        target = Target(
            url=url, sobject=sobject, fields=tuple(fields), first_gap=float(body.get("retry_seconds", FIRST_GAP))
        )
        self._outbound.add(target)
        return _json(target.as_json())

    def _object(self, name: str) -> SObject:
        schema = self._database.schema
        sobject = schema.find(name)
        if sobject is None:
            raise ControlError(f"The org has no object {name}; it has {', '.join(schema.objects)}.")
        return sobject

    def _author(self, name: str) -> Author:
        if name not in USERS:
            raise ControlError(f"by must be one of {', '.join(USERS)}.")
        now = self._clock()
        # Only the late-commit fault affects a person's edit; it is made for this.
        late = self._faults.strike_commit()
        return Author(user=USERS[name], time=now, stamp=as_moment(now - late), allow_save=True)


@web.middleware
async def refusing(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """Convert a control call's error to a 400 that says what to do."""
    try:
        response: web.StreamResponse = await handler(request)
    except ControlError as error:
        return _json({"error": str(error)}, status=400)
    except RecyclingError as error:
        return _json({"error": f"Nothing was written: {error}."}, status=400)
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
