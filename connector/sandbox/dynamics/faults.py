"""Faults that can be switched on: their definitions, and which of them affect a request."""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.sandbox.dynamics.errors import RefusedError, plugin_fault
from connector.sandbox.dynamics.login import REFUSALS
from connector.sandbox.dynamics.tables import Table

# Each of these ends the request in its own way, so only one of them applies to a request.
ENDINGS = frozenset(
    {
        "expired_session",
        "limit_exceeded",
        "execution_limit",
        "concurrent_limit",
        "unavailable",
        "bad_gateway",
        "server_error",
        "sql_timeout",
        "html_401",
        "no_privilege",
        "dropped_before",
        "dropped",
        "garbage",
        "no_user",
    }
)
# These are states of the org, not incidents: they last until they are cleared, unless `times` is given.
STATES = frozenset({"refuse", "plugin", "bad_record", "late_commit", "redirect", "row_lock"})
NAMES = ENDINGS | STATES | {"slow", "held_answer", "login_refused", "expired_links"}
ONLY_WRITES = frozenset({"plugin", "bad_record", "late_commit", "dropped", "sql_timeout", "row_lock"})
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
        "table",
        "to",
        "refusal",
    }
)
OF_RECORDS = frozenset({"refuse", "plugin", "bad_record", "row_lock"})
LIMIT_CODES = {
    "limit_exceeded": (
        "0x80072322",
        "Number of requests exceeded the limit of 6000 over time window of 300 seconds.",
    ),
    "execution_limit": (
        "0x80072321",
        "Combined execution time of incoming requests exceeded limit of 1,200,000 milliseconds.",
    ),
    "concurrent_limit": ("0x80072326", "Number of concurrent requests exceeded the limit of 52."),
}


class FaultError(ValueError):
    """A fault request is invalid; the text says why and what to do."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One active fault.

    `times` is how often it still occurs (None: until cleared), after `after` unaffected requests; with `every` it
    affects each n-th request. `seconds` is for slow and late_commit, and the Retry-After of the three limits.
    `records`, a fraction or texts that a record's values must hold, is for refuse, plugin and row_lock.

    `bad_record` is a record on which a plug-in crashes. `refuse` answers with any `code` and `message`: for the whole
    request if it has a `status` and no `records`, else for the records. `plugin` rejects records in the words of
    `message`. `redirect` sends every call to another address (`to`).
    """

    name: str
    times: int | None
    after: int
    every: int | None
    seconds: float
    records: float | tuple[str, ...] | None
    only: str
    status: int | None = None
    code: str = ""
    message: str = ""
    table: str = ""
    to: str = ""
    refusal: str = "wrong_secret"
    seen: int = 0
    fired: int = 0
    owed: float = 0.0
    cleared: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ends(self) -> bool:
        """Whether it ends a request."""
        return self.name in ENDINGS or self.name == "redirect" or (self.name == "refuse" and self.records is None)

    def strikes(self) -> bool:
        """Whether it affects the current request."""
        if self.every is not None:
            return self.seen % self.every == 0
        return self.seen > self.after and (self.times is None or self.fired < self.times)

    def hits(self, row: Mapping[str, Any]) -> bool:
        """Whether it affects a record."""
        if isinstance(self.records, tuple):
            values = [value.casefold() for value in row.values() if isinstance(value, str)]
            return any(one in values for one in self.records)
        self.owed += self.records if self.records is not None else 1.0
        if self.owed < 1 - 1e-9:
            return False
        self.owed -= 1
        return True

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
            **{name: getattr(self, name) for name in ("status", "code", "table", "to") if getattr(self, name)},
            "fired": self.fired,
        }


def read_fault(document: Any) -> Fault:
    """A fault from its JSON.

    Raises:
        FaultError: it does not exist or has invalid options.
    """
    if not isinstance(document, dict) or document.get("fault") not in NAMES:
        raise FaultError(f"Name one of these as fault: {', '.join(sorted(NAMES))}.")
    if unknown := sorted(set(document) - FIELDS):
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
    only = document.get("only", "writes" if name in ONLY_WRITES else "any")
    if only not in {"any", "reads", "writes"}:
        raise FaultError("only must be any, reads or writes.")
    if document.get("refusal", "wrong_secret") not in REFUSALS:
        raise FaultError(f"refusal must be one of {', '.join(REFUSALS)}.")
    if name == "refuse" and not (
        document.get("status") and re.fullmatch("0x[0-9a-f]{0,8}", str(document.get("code", "0x")))
    ):
        raise FaultError('refuse needs a status and a code: "status": 400, "code": "0x80040265".')
    if name == "redirect" and not str(document.get("to", "")).startswith("http"):
        raise FaultError('redirect needs the address that it leads to: "to": "http://…".')
    return Fault(
        name=name,
        times=times,
        after=document.get("after", 0),
        every=every,
        seconds=float(seconds),
        records=_read_records(name, document),
        only=only,
        **{one: document[one] for one in ("status", "code", "message", "table", "to", "refusal") if one in document},
    )


def _read_records(name: str, document: Mapping[str, Any]) -> float | tuple[str, ...] | None:
    records = document.get("records", 1.0 if name in OF_RECORDS - {"refuse"} else None)
    if records is None:
        return None
    if isinstance(records, list):
        return tuple(str(one).casefold() for one in records)
    if isinstance(records, bool) or not isinstance(records, int | float) or not 0 < records <= 1:
        raise FaultError("records must be a list of values, or a fraction above 0 and up to 1.")
    return float(records)


class Faults:
    """All active faults, oldest first."""

    def __init__(self) -> None:
        self.all: list[Fault] = []

    def clear(self, name: str | None = None) -> None:
        """Remove all faults, or those of one name; held answers go out."""
        for fault in self.all:
            if name in {None, fault.name}:
                fault.cleared.set()
        self.all = [fault for fault in self.all if name is not None and fault.name != name]

    def strike(self, *, writes: bool, text: bytes) -> dict[str, Fault]:
        """The faults, by name, that affect a request with this text; counts them."""
        struck: dict[str, Fault] = {}
        ended = False
        for fault in self.all:
            if fault.name == "login_refused" or fault.only == ("reads" if writes else "writes"):
                continue
            if fault.table and fault.table.encode() not in text:
                continue
            fault.seen += 1
            if not fault.strikes():
                continue
            if (ended and fault.ends) or fault.name in struck:
                fault.seen -= 1  # it will apply to the next request
                continue
            ended = ended or fault.ends
            fault.fired += 1
            struck[fault.name] = fault
        return struck

    def strike_named(self, name: str) -> Fault | None:
        """The fault of that name, if it affects the current sign-in or edit."""
        for fault in self.all:
            if fault.name == name:
                fault.seen += 1
                if fault.strikes():
                    fault.fired += 1
                    return fault
        return None


def limit_refusal(fault: Fault) -> RefusedError:
    """One of the three service protection limits."""
    code, message = LIMIT_CODES[fault.name]
    return RefusedError(429, code, message, {"Retry-After": str(round(fault.seconds))})


def record_refusals(struck: Mapping[str, Fault]) -> Callable[[Table, Mapping[str, Any]], RefusedError | None] | None:
    """A function that returns the rejection of a record by a fault, if any."""
    faults = [fault for name, fault in struck.items() if name in OF_RECORDS and not fault.ends]
    if not faults:
        return None

    def refusal(table: Table, row: Mapping[str, Any]) -> RefusedError | None:
        for fault in faults:
            if (fault.table and fault.table != table.name) or not fault.hits(row):
                continue
            if fault.name == "bad_record":
                return RefusedError(400, "0x80040224", "ISV code aborted the operation.")
            if fault.name == "plugin":
                return plugin_fault(fault.message or "The plug-in does not accept this record.")
            if fault.name == "row_lock":
                return RefusedError(
                    500, "0x80044150", "Generic SQL error. The transaction was deadlocked on lock resources."
                )
            return RefusedError(fault.status or 400, fault.code, fault.message)
        return None

    return refusal
