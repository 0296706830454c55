"""The adapter of the made-up CRM: what a CRM must bring, and no more. The registry builds it as it builds the others."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import aiohttp
import orjson
from pydantic import Field

from connector.config.secrets import SecretRef, resolve
from connector.config.validation import Strict
from connector.crm.crm import Crm, DescribeResult, FeedSpec, Needs
from connector.delivery.call_failures import outcome_of
from connector.delivery.throttle import Quota, Usage
from connector.model.consent_fields import ConsentFields
from connector.model.crm_schema import FieldKind, FieldSchema, ObjectSchema
from connector.model.crm_traits import CrmTraits
from connector.model.errors import ConnectorError, PeerUnavailable
from connector.model.finding import SIGN_IN, Finding, Level
from connector.model.http import Http, HttpCall, HttpError, HttpReply
from connector.model.operation import ID_FIELD, Parent, RecordWrite, Value
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.model.record_number import NumberReader
from connector.ports import Feed, Page, Records, Row, Task

PAGE = 2000
KINDS = {"text": FieldKind.TEXT, "number": FieldKind.NUMBER, "flag": FieldKind.BOOLEAN, "time": FieldKind.DATETIME}
STATUSES = {
    401: Retry(reason=Reason.CREDENTIALS),
    429: Retry(reason=Reason.RATE_LIMITED),
    500: Retry(reason=Reason.SERVER_ERROR, in_doubt=True),
    503: Retry(reason=Reason.UNAVAILABLE),
}
CODES = {
    "no_object": Reason.CONFIGURATION,
    "no_field": Reason.CONFIGURATION,
    "no_key": Reason.CONFIGURATION,
    "bad_key": Reason.BAD_VALUE,
    "key_taken": Reason.DUPLICATE_RECORD,
    "not_found": Reason.RECORD_MISSING,
}
CURES = {"bad_key": "write the key without a plus sign: {from: msisdn, phone: digits}"}


def relationship_column(name: str) -> str:
    """The column of a relationship."""
    return f"{name}_id"


TRAITS = CrmTraits(relationship_column=relationship_column, refused_in_keys=frozenset("+"), finds_by_number=False)


class ConsentFieldsSettings(Strict):
    """Which fields of an object hold consent."""

    flag: str
    phone: str | None = None
    along: tuple[str, ...] = ()


class MadeUpSettings(Strict):
    """One org of the made-up CRM."""

    type: Literal["madeup"] = "madeup"
    url: str
    secret: SecretRef
    consent_fields: dict[str, ConsentFieldsSettings] = Field(default_factory=dict)
    direction: Literal["two_way", "one_way"] = Field("two_way", alias="consent")
    batch: int = 3000

    @property
    def consent(self) -> Mapping[str, ConsentFields]:
        """The consent fields, by object."""
        return {
            name: ConsentFields(object=name, flag=one.flag, phone=one.phone, along=one.along)
            for name, one in self.consent_fields.items()
        }


class Failed(Exception):  # noqa: N818 - a whole request failed, which is an outcome.
    """A request brought no answer that can be used."""

    def __init__(self, outcome: Retry, *, spoiled: bool = False) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome
        self.spoiled = spoiled


async def call(http: Http, method: str, path: str, body: Any = None) -> Any:
    """The answer to one call. Raises Failed."""
    raw = None if body is None else orjson.dumps(body)
    try:
        reply = await http.call(HttpCall(method=method, path=f"/v1/{path}", body=raw))
    except HttpError as error:
        raise Failed(outcome_of(error)) from None
    return _read(reply)


def _read(reply: HttpReply) -> Any:
    try:
        body = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Failed(Retry(reason=Reason.UNEXPECTED_ANSWER, detail="no JSON", in_doubt=True))
    if reply.status == 200:
        return body
    code = str(body.get("code"))
    if code == "no_object":
        raise Failed(Retry(reason=Reason.CONFIGURATION, detail="no such object"))
    outcome = STATUSES.get(reply.status, Retry(reason=Reason.SERVER_ERROR, detail=code, in_doubt=True))
    raise Failed(outcome, spoiled=code == "spoiled")


class Credentials:
    """The address of the org, and a token for it."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._secret = secret
        self._headers: Mapping[str, str] = {}
        self._lock = asyncio.Lock()
        self.user: str | None = None

    async def authorization(self) -> tuple[str, Mapping[str, str]]:
        """The address and the headers. Raises ConnectorError."""
        if not self._headers:
            await self.refresh({})
        return self._url, self._headers

    async def refresh(self, stale: Mapping[str, str]) -> None:
        """Sign in, unless another call has done it meanwhile."""
        async with self._lock:
            if self._headers != stale:
                return
            try:
                async with (
                    aiohttp.ClientSession() as session,
                    session.post(f"{self._url}/v1/sign-in", json={"secret": self._secret}) as answer,
                ):
                    if answer.status != 200:
                        raise ConnectorError("the made-up CRM refuses the sign-in: check secret:")
                    body = await answer.json()
            except aiohttp.ClientError as error:
                raise PeerUnavailable("the made-up CRM does not answer") from error
            self._headers = {"Authorization": f"Bearer {body['token']}"}
            self.user = body["user"]


class MadeUpSink:
    """Writes to one org."""

    traits = TRAITS

    def __init__(self, name: str, batch: int, consent: Mapping[str, ConsentFields]) -> None:
        self.name = name
        self.batch = batch
        self._consent = consent

    async def write(self, http: Http, tasks: Sequence[Task]) -> Sequence[Outcome]:
        """Write the batch in the given order, in one call unless a record spoils it."""
        outcomes: dict[int, Outcome] = {}
        writes: dict[int, RecordWrite] = {}
        for index, task in enumerate(tasks):
            write = task.operation
            if not isinstance(write, RecordWrite):
                outcomes[index] = Rejected(reason=Reason.BAD_COMMAND, detail="a CRM takes records")
            elif not write.key.strip():
                outcomes[index] = Rejected(reason=Reason.MISSING_KEY, detail=f"the key for {write.key_field} is empty")
            else:
                writes[index] = write
        try:
            left_out = await self._set_by_a_person(http, {index: tasks[index] for index in writes})
            bodies = {index: _body(writes[index], left_out.get(index, ())) for index in _in_order(writes)}
            answers = await self._send(http, bodies)
        except Failed as failed:
            outcomes |= dict.fromkeys(writes, failed.outcome)
            return [outcomes[index] for index in range(len(tasks))]
        for index, answer in answers.items():
            outcomes[index] = self._outcome(writes[index], answer, left_out.get(index, ()), writes, outcomes)
        return [outcomes[index] for index in range(len(tasks))]

    async def _set_by_a_person(self, http: Http, tasks: Mapping[int, Task]) -> dict[int, tuple[str, ...]]:
        """Writes that would clear a flag that a person has set since our last look: the fields to leave out."""
        clearing = {
            index: task.operation
            for index, task in tasks.items()
            if isinstance(task.operation, RecordWrite) and task.operation.clears_flag
        }
        found: dict[int, tuple[str, ...]] = {}
        for object_name in {one.object for one in clearing.values()}:
            here = {index: one for index, one in clearing.items() if one.object == object_name}
            by = [_key(one.key_field, one.key) for one in here.values()]
            rows = (await call(http, "POST", "find", {"object": object_name, "by": by}))["records"]
            flag = self._consent[object_name].flag
            for (index, one), row in zip(here.items(), rows, strict=True):
                shadow = tasks[index].shadow or {}
                if row is not None and row["fields"][flag] is True and shadow.get(flag) is not True:
                    found[index] = one.consent
        return found

    async def _send(self, http: Http, records: Mapping[int, Any]) -> dict[int, Any]:
        """The answer for each record: the API's, or the outcome of its request. A spoiled request is halved."""
        if not records:
            return {}
        try:
            results = (await call(http, "POST", "write", {"records": list(records.values())}))["results"]
        except Failed as failed:
            if not failed.spoiled:
                return dict.fromkeys(records, failed.outcome)
            if len(records) == 1:
                return dict.fromkeys(records, Rejected(reason=Reason.UNKNOWN, detail="the record spoils its request"))
            indexes = list(records)
            halves = indexes[: len(indexes) // 2], indexes[len(indexes) // 2 :]
            first, second = [await self._send(http, {index: records[index] for index in half}) for half in halves]
            return first | second
        return dict(zip(records, results, strict=True))

    def _outcome(
        self,
        write: RecordWrite,
        answer: Any,
        left_out: tuple[str, ...],
        writes: Mapping[int, RecordWrite],
        outcomes: Mapping[int, Outcome],
    ) -> Outcome:
        if isinstance(answer, Retry | Rejected):
            return answer
        if "id" in answer:
            unneeded = tuple(name for name in write.create if name not in write.consent) if write.consent_only else ()
            return Delivered(record_id=answer["id"], created=answer["created"], left_out=left_out or unneeded)
        code, detail = answer["code"], answer["message"]
        if code == "locked":
            return Retry(reason=Reason.ROW_LOCKED, detail=detail, code=code)
        if code == "no_parent":
            named = {(one.key_field, one.key) for parent in write.parents for one in parent.ways}
            ours = [outcomes[index] for index, one in writes.items() if index in outcomes and one.record[1:] in named]
            if any(isinstance(one, Rejected) for one in ours):
                return Rejected(reason=Reason.PARENT_FAILED, detail=detail, code=code)
            reason = Reason.PARENT_WAITING if any(isinstance(one, Retry) for one in ours) else Reason.PARENT_MISSING
            return Retry(reason=reason, detail=detail, code=code)
        return Rejected(reason=CODES[code], detail=detail, code=code, field=answer["field"])


def _in_order(writes: Mapping[int, RecordWrite]) -> list[int]:
    """The writes with parents before their children. A record that is its own ancestor stays where it is."""
    places = {(write.key_field, write.key): index for index, write in writes.items()}
    ordered: dict[int, None] = {}

    def visit(index: int, below: tuple[int, ...] = ()) -> None:
        for way in (way for parent in writes[index].parents for way in parent.ways):
            place = places.get((way.key_field, way.key))
            if place is not None and place not in (*below, index):
                visit(place, (*below, index))
        ordered[index] = None

    for index in writes:
        visit(index)
    return list(ordered)


def _body(write: RecordWrite, left_out: Sequence[str]) -> dict[str, Any]:
    create = {
        name: _value(value) for name, value in write.create.items() if name in write.consent or not write.consent_only
    }
    return {
        "object": write.object,
        "key": _key(write.key_field, write.key),
        "set": {name: _value(value) for name, value in write.set.items() if name not in left_out},
        "create": create,
        "update_only": not write.may_create,
    }


def _key(name: str, key: str) -> list[str]:
    return ["id" if name == ID_FIELD else name, key]


def _value(value: Value) -> Any:
    if isinstance(value, Parent):
        return {"ways": [_key(one.key_field, one.key) for one in value.ways], "or_none": value.or_none}
    return value


class MadeUpFeed:
    """Changes of one object, by their place in the order of all changes."""

    traits = TRAITS

    def __init__(self, crm: str, spec: FeedSpec, consent: ConsentFields | None, user: Callable[[], str | None]) -> None:
        self.crm = crm
        self.object = spec.object
        self.name = f"{crm}.{spec.object}"
        self.fields = spec.fields
        self.key_fields = spec.key_fields
        self.every = spec.every
        self._flag = consent.flag if consent is not None and consent.flag in spec.fields else None
        self._user = user

    async def ask(self, http: Http, position: str | None) -> Page | Retry:
        """The next page after the position."""
        after = position or "0"
        try:
            found = (await call(http, "GET", f"changes/{self.object}?after={after}&limit={PAGE}"))["records"]
        except Failed as failed:
            return failed.outcome
        following = str(found[-1]["place"]) if found else after
        return Page(rows=self._rows(found), position=following, last=len(found) < PAGE)

    async def ask_opted_out(self, http: Http, position: str) -> Page | Retry:
        """The opted-out records that were changed after the position, latest first."""
        if self._flag is None:
            return Page()
        try:
            path = f"flagged/{self.object}?after={position}&flag={self._flag}"
            found = (await call(http, "GET", path))["records"]
        except Failed as failed:
            return failed.outcome
        return Page(rows=self._rows(found))

    async def look(self, http: Http, record_ids: Sequence[str]) -> Page | Retry:
        """These records as they are now, and what became of deleted ones."""
        question = {"object": self.object, "by": [["id", one] for one in record_ids], "deleted": True}
        try:
            found = (await call(http, "POST", "find", question))["records"]
        except Failed as failed:
            return failed.outcome
        return Page(rows=self._rows([one for one in found if one is not None]))

    async def read_all(self, http: Http, position: str | None) -> Records | Retry:
        """All records, in one page."""
        try:
            found = (await call(http, "GET", f"changes/{self.object}?after=0&limit=1000000"))["records"]
        except Failed as failed:
            return failed.outcome
        return Records(rows=self._rows(found), position=position or "", last=True, total=len(found))

    def _rows(self, found: Sequence[Mapping[str, Any]]) -> tuple[Row, ...]:
        wanted = dict.fromkeys((*self.fields, *self.key_fields))
        return tuple(
            Row(
                record_id=one["id"],
                stamp=datetime.fromisoformat(one["stamp"]),
                fields={name: one["fields"].get(name) for name in wanted},
                deleted=one["deleted"],
                merged_into=one["merged_into"],
                by_us=one["by"] == self._user(),
            )
            for one in found
        )


async def describe(http: Http, objects: Sequence[str]) -> Mapping[str, DescribeResult]:
    """Describe objects, by the requested names."""
    return {name: await _described(http, name) for name in objects}


async def _described(http: Http, name: str) -> DescribeResult:
    try:
        body = await call(http, "GET", f"objects/{name}")
    except Failed as failed:
        return None if failed.outcome.reason is Reason.CONFIGURATION else failed.outcome
    usable = {"createable": True, "updateable": True}
    fields = [
        FieldSchema(
            name=field, kind=KINDS[kind], unique=field in body["keys"], external_id=field in body["keys"], **usable
        )
        for field, kind in body["fields"].items()
    ]
    for relation, target in body["relations"].items():
        column = relationship_column(relation)
        fields.append(
            FieldSchema(name=column, kind=FieldKind.REFERENCE, relationship=relation, parents=(target,), **usable)
        )
    return ObjectSchema(name=name, fields=(FieldSchema(name=ID_FIELD, kind=FieldKind.ID), *fields))


async def diagnose(http: Http, needs: Sequence[Needs], now: Callable[[], datetime]) -> list[Finding]:
    """Whether we can sign in."""
    try:
        await call(http, "POST", "find", {"object": needs[0].object if needs else "", "by": []})
    except Failed as failed:
        return [Finding(area=SIGN_IN, level=Level.FAIL, text=failed.outcome.detail, cure="check url: and secret:")]
    return [Finding(area=SIGN_IN, level=Level.OK, text="signed in")]


def usage(headers: Mapping[str, str]) -> Usage | None:
    """The org's count of calls."""
    used, _, maximum = headers.get("x-calls", "").partition("/")
    return Usage(used=int(used), maximum=int(maximum)) if maximum else None


def cure_of(code: str) -> str:
    """What a person does about an error code."""
    return CURES.get(code, "")


def record_address(settings: MadeUpSettings, name: str, record_id: str) -> str:
    """Where a person sees the record."""
    return f"{settings.url}/show/{name}/{record_id}"


def build(name: str, settings: MadeUpSettings, base: Path, numbers: NumberReader) -> Crm:
    """Build the CRM of that name."""
    credentials = Credentials(settings.url, resolve(settings.secret, base).get_secret_value())

    def feed(spec: FeedSpec) -> Feed:
        return MadeUpFeed(name, spec, settings.consent.get(spec.object), lambda: credentials.user)

    async def prepare(http: Http, needs: Sequence[Needs]) -> None:
        """Nothing can be asked in advance."""

    return Crm(
        name=name,
        credentials=credentials,
        sink=MadeUpSink(name, settings.batch, settings.consent),
        traits=TRAITS,
        prepare=prepare,
        feed=feed,
        quota=Quota(share=0.5, reserve=500),
        usage=usage,
        describe=describe,
        diagnose=diagnose,
        consent_fields=settings.consent,
    )
