"""Faults that can be switched on: their definitions, and which of them affect a request."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connector.sandbox.salesforce.drafts import Record
from connector.sandbox.salesforce.fields import SObject
from connector.sandbox.salesforce.governor import CODE as CANNOT_SAVE
from connector.sandbox.salesforce.governor import QUERIES, GovernorLimit
from connector.sandbox.salesforce.login_refusals import LOGIN_REFUSALS
from connector.sandbox.salesforce.refusals import RecordRefusedError

# Each of these ends the request in its own way, so only one of them applies to a request.
ENDINGS = frozenset(
    {
        "expired_session",
        "limit_exceeded",
        "concurrent_limit",
        "long_concurrent_limit",
        "api_disabled",
        "server_unavailable",
        "unavailable",
        "server_error",
        "html_401",
        "dropped_before",
        "dropped",
        "garbage",
    }
)
# These are states of the org, not incidents: they last until they are cleared, unless `times` is given.
STATES = frozenset(
    {
        "bad_record",
        "overtaken",
        "no_composite_upsert",
        "late_commit",
        "no_metadata_access",
        "job_held",
        "job_row_lock",
        "refuse",
        "redirect",
        "limit",
    }
)
# These affect the work of bulk jobs piece by piece, and no requests.
IN_JOBS = frozenset({"job_held", "job_fails", "job_row_lock"})
NAMES = ENDINGS | STATES | IN_JOBS | {"row_lock", "slow", "held_answer", "login_refused"}
# `held_answer`: the response is ready, but held back until the fault is cleared.
ONLY_WRITES = frozenset({"row_lock", "bad_record", "overtaken", "late_commit", "dropped", "limit"})
FIELDS = frozenset(
    {
        "fault",
        "times",
        "after",
        "every",
        "seconds",
        "records",
        "only",
        "status",
        "code",
        "message",
        "object",
        "to",
        "sign_in",
        "refusal",
    }
)
REDIRECTS = frozenset({301, 302, 303, 307, 308})
CODE = re.compile(r"[A-Z][A-Z0-9_]*")


class FaultError(ValueError):
    """A fault request is invalid; the text says why and what to do."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One active fault.

    `times` is how often it still occurs (None: until cleared), after `after` unaffected requests; with `every` it
    affects each n-th request. `seconds` is for slow and late_commit; `records`, a fraction or keys, for row_lock,
    bad_record, overtaken and refuse.

    `refuse` responds with any `code` and `message`: for the whole request if it has a `status` (400 or more), else for
    the records; with an `object` only for requests or records of that object. `redirect` sends every call to another
    address (`to`), with `status` 301, 302, 303, 307 or 308; sign-ins return that address, unless `sign_in` is "old"
    (the requested one) or "moved" (the sign-in is redirected too). With `limit`, the org's triggers reject a
    transaction with more than this many `records` (of an `object`), each record with `code` and `message`.
    `login_refused` rejects token requests with one of LOGIN_REFUSALS (`refusal`).
    """

    name: str
    times: int | None
    after: int
    every: int | None
    seconds: float
    records: float | tuple[str, ...]
    only: str
    status: int | None = None
    code: str = ""
    message: str = ""
    object: str = ""
    to: str = ""
    sign_in: str = "new"
    refusal: str = "no_run_as_user"
    seen: int = 0
    fired: int = 0
    cleared: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ends(self) -> bool:
        """Whether it ends a request."""
        return self.name in ENDINGS or self.name == "redirect" or (self.name == "refuse" and self.status is not None)

    def strikes(self) -> bool:
        """Whether it affects the current request."""
        if self.every is not None:
            return self.seen % self.every == 0
        return self.seen > self.after and (self.times is None or self.fired < self.times)

    def as_json(self) -> dict[str, Any]:
        """The JSON for the control interface."""
        return {
            "fault": self.name,
            "times": self.times,
            "after": self.after,
            "every": self.every,
            "seconds": self.seconds,
            "records": self.records,
            "only": self.only,
            **({"status": self.status, "code": self.code, "object": self.object} if self.name == "refuse" else {}),
            **({"code": self.code, "object": self.object} if self.name == "limit" else {}),
            **({"refusal": self.refusal} if self.name == "login_refused" else {}),
            **({"status": self.status, "to": self.to, "sign_in": self.sign_in} if self.name == "redirect" else {}),
            "fired": self.fired,
        }


def read_fault(document: Any) -> Fault:
    """A fault from its JSON.

    Raises:
        FaultError: it does not exist or has invalid options.
    """
    if not isinstance(document, dict) or document.get("fault") not in NAMES:
        raise FaultError(f"Name one of these as fault: {', '.join(sorted(NAMES))}.")
    unknown = sorted(set(document) - FIELDS)
    if unknown:
        raise FaultError(f"{', '.join(unknown)} is unknown; a fault has {', '.join(sorted(FIELDS))}.")
    name = document["fault"]
    every = document.get("every")
    times = document.get("times", None if name in STATES or every is not None else 1)
    for label, value, least in (("times", times, 1), ("every", every, 1), ("after", document.get("after", 0), 0)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            raise FaultError(f"{label} must be a whole number, {least} or more.")
    seconds = document.get("seconds", 1.0)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds < 0:
        raise FaultError("seconds must be a number, 0 or more.")
    records = _read_records(name, document)
    only = document.get("only", "writes" if name in ONLY_WRITES else "any")
    if only not in {"any", "reads", "writes"}:
        raise FaultError("only must be any, reads or writes.")
    chosen = _read_refusal(name, document) if "refusal" in document else _read_chosen(name, document)
    return Fault(
        name=name,
        times=times,
        after=document.get("after", 0),
        every=every,
        seconds=float(seconds),
        records=records,
        only=only,
        **chosen,
    )


def _read_records(name: str, document: Mapping[str, Any]) -> float | tuple[str, ...]:
    records = document.get("records", 50 if name == "limit" else 1.0)
    if name == "limit":
        if isinstance(records, bool) or not isinstance(records, int) or records < 0:
            raise FaultError('limit needs how many records a transaction may have: "records": 50.')
        return records
    if isinstance(records, list):
        return tuple(str(key).casefold() for key in records)
    if isinstance(records, bool) or not isinstance(records, int | float) or not 0 < records <= 1:
        raise FaultError("records must be a list of keys, or a fraction above 0 and up to 1.")
    if name == "bad_record":
        raise FaultError('bad_record needs the keys of the records that spoil a request: "records": ["k1"].')
    return records


def _read_chosen(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `refuse`, `limit` and `redirect`."""
    given = {key: document[key] for key in ("status", "code", "message", "object", "to", "sign_in") if key in document}
    status = given.get("status")
    if name == "redirect":
        given.setdefault("status", 301)
        if given["status"] not in REDIRECTS or not str(given.get("to", "")).startswith("http"):
            raise FaultError('redirect needs the address that it leads to, "to": "http://…", and a status such as 301.')
        if given.get("sign_in", "new") not in {"new", "old", "moved"}:
            raise FaultError("sign_in must be new, old or moved.")
    elif name == "limit":
        given.setdefault("code", CANNOT_SAVE)
        given.setdefault("message", QUERIES)
        if not CODE.fullmatch(str(given["code"])) or {"status", "to", "sign_in"} & given.keys():
            raise FaultError("limit has records, message, and perhaps a code and an object.")
    elif name == "refuse":
        if status is not None and (not isinstance(status, int) or not 400 <= status < 600):  # noqa: PLR2004 - HTTP.
            raise FaultError("status must be one of 400 and more; without it records are refused, and not the request.")
        code = given.get("code", "")
        if not isinstance(code, str) or (not CODE.fullmatch(code) and (code or status is None)):
            raise FaultError('code must be one of Salesforce, such as "code": "ORG_LOCKED".')
    elif given:
        raise FaultError(f"{', '.join(sorted(given))}: only refuse, limit and redirect have these.")
    return given


def _read_refusal(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    refusal = document["refusal"]
    if name != "login_refused":
        raise FaultError("refusal: only login_refused has it.")
    if refusal not in LOGIN_REFUSALS:
        raise FaultError(f"refusal must be one of {', '.join(LOGIN_REFUSALS)}.")
    return {"refusal": refusal}


class Faults:
    """All active faults, oldest first."""

    def __init__(self) -> None:
        self.all: list[Fault] = []

    def clear(self, name: str | None = None) -> None:
        """Remove all faults, or all of one name."""
        for fault in self.all:
            if name in {None, fault.name}:
                fault.cleared.set()
        self.all = [fault for fault in self.all if not fault.cleared.is_set()]

    def strike_login(self) -> Fault | None:
        """The fault that rejects a token request, if any."""
        return self.strike_job("login_refused")

    def redirect(self) -> Fault | None:
        """The fault that moves the org to another address, if active."""
        return next((fault for fault in self.all if fault.name == "redirect"), None)

    def strike_job(self, name: str) -> Fault | None:
        """The fault of that name, if it affects the current piece of a bulk job, or the current sign-in."""
        for fault in self.all:
            if fault.name == name:
                fault.seen += 1
                if fault.strikes():
                    fault.fired += 1
                    return fault
        return None

    def strike_commit(self) -> float:
        """The delay in seconds with which a person's edit is committed."""
        for fault in self.all:
            if fault.name == "late_commit":
                fault.seen += 1
                if fault.strikes():
                    fault.fired += 1
                    return fault.seconds
        return 0.0

    def strike(self, *, writes: bool, text: bytes, at: str = "") -> dict[str, Fault]:
        """The faults, by name, that affect a data request with this text (target and body) to this address; counts them."""
        struck: dict[str, Fault] = {}
        ended = False
        folded = b""
        for fault in self.all:
            if fault.name in IN_JOBS | {"login_refused"} or fault.only == ("reads" if writes else "writes"):
                continue
            if fault.name == "redirect" and fault.to.rstrip("/") == at:
                continue
            if fault.object and re.search(rf"\b{re.escape(fault.object)}\b".encode(), text) is None:
                continue
            if isinstance(fault.records, tuple):
                folded = folded or text.lower()
                if not any(key.encode() in folded for key in fault.records):
                    continue
            fault.seen += 1
            if not fault.strikes():
                continue
            if (ended and fault.ends) or fault.name in struck:
                # It will apply to the next request.
                fault.seen -= 1
                continue
            ended = ended or fault.ends
            fault.fired += 1
            struck[fault.name] = fault
        return struck


def hits(fault: Fault | None) -> Callable[[Record], bool] | None:
    """A function that says whether a fault affects a record: those with a given key, or an even share."""
    if fault is None:
        return None
    if isinstance(fault.records, tuple):
        return _by_key(fault.records)
    share = fault.records
    owed = 0.0

    def by_share(_: Record) -> bool:
        nonlocal owed
        owed += share
        if owed < 1 - 1e-9:
            return False
        owed -= 1
        return True

    return by_share


def refusals(fault: Fault | None) -> Callable[[SObject, Record], RecordRefusedError | None] | None:
    """A function that returns the rejection of a record by a `refuse` fault, if any."""
    if fault is None or fault.status is not None:
        return None
    hit = hits(fault)

    def refusal(sobject: SObject, record: Record) -> RecordRefusedError | None:
        if hit is None or (fault.object and fault.object != sobject.name) or not hit(record):
            return None
        return RecordRefusedError(fault.code, fault.message)

    return refusal


def limits(fault: Fault | None) -> tuple[GovernorLimit, ...]:
    """The governor limit of a `limit` fault."""
    if fault is None or not isinstance(fault.records, int | float):
        return ()
    objects = frozenset({fault.object} if fault.object else ())
    return (GovernorLimit(records=int(fault.records), code=fault.code, message=fault.message, objects=objects),)


def _by_key(keys: Sequence[str]) -> Callable[[Record], bool]:
    wanted = frozenset(keys)

    def by_key(record: Mapping[str, Any]) -> bool:
        return any(isinstance(value, str) and value.casefold() in wanted for value in record.values())

    return by_key
