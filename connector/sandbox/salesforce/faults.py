"""Faults that can be switched on: which there are, and which of them strike a request."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connector.sandbox.salesforce.drafts import Record

# Each of these ends the request in its own way, so one request meets at most one of them.
ENDINGS = frozenset(
    {
        "expired_session",
        "limit_exceeded",
        "concurrent_limit",
        "unavailable",
        "server_error",
        "html_401",
        "dropped_before",
        "dropped",
        "garbage",
    }
)
# These are states of the org rather than incidents: they last until they are cleared, unless `times` is given.
STATES = frozenset(
    {"bad_record", "overtaken", "no_composite_upsert", "late_commit", "no_metadata_access", "job_held", "job_row_lock"}
)
# These strike the work of bulk jobs, piece by piece, and no request.
IN_JOBS = frozenset({"job_held", "job_fails", "job_row_lock"})
NAMES = ENDINGS | STATES | IN_JOBS | {"row_lock", "slow", "held_answer", "login_refused"}
# `held_answer`: the answer is made, and on its way until the fault is cleared.
ONLY_WRITES = frozenset({"row_lock", "bad_record", "overtaken", "late_commit", "dropped"})
FIELDS = frozenset({"fault", "times", "after", "every", "seconds", "records", "only"})


class FaultError(ValueError):
    """The wish for a fault cannot be met; the text says why and what to do."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault that was switched on.

    `times` is how often it still strikes (None: until cleared), after `after` requests that it let pass; with `every` it strikes
    each so many requests. `seconds` belongs to slow and late_commit; `records`, a fraction or keys, to row_lock, bad_record and
    overtaken.
    """

    name: str
    times: int | None
    after: int
    every: int | None
    seconds: float
    records: float | tuple[str, ...]
    only: str
    seen: int = 0
    fired: int = 0
    cleared: asyncio.Event = field(default_factory=asyncio.Event)

    def strikes(self) -> bool:
        """Whether the request that comes now is one of those that it strikes."""
        if self.every is not None:
            return self.seen % self.every == 0
        return self.seen > self.after and (self.times is None or self.fired < self.times)

    def shown(self) -> dict[str, Any]:
        """For the control interface."""
        return {
            "fault": self.name,
            "times": self.times,
            "after": self.after,
            "every": self.every,
            "seconds": self.seconds,
            "records": self.records,
            "only": self.only,
            "fired": self.fired,
        }


def read_fault(document: Any) -> Fault:
    """A fault from the JSON that asks for it.

    Raises:
        FaultError: it does not exist or cannot be that way.
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
    records = document.get("records", 1.0)
    if isinstance(records, list):
        records = tuple(str(key).casefold() for key in records)
    elif isinstance(records, bool) or not isinstance(records, int | float) or not 0 < records <= 1:
        raise FaultError("records must be a list of keys, or a fraction above 0 and up to 1.")
    if name == "bad_record" and not isinstance(records, tuple):
        raise FaultError('bad_record needs the keys of the records that spoil a request: "records": ["k1"].')
    only = document.get("only", "writes" if name in ONLY_WRITES else "any")
    if only not in {"any", "reads", "writes"}:
        raise FaultError("only must be any, reads or writes.")
    return Fault(
        name=name,
        times=times,
        after=document.get("after", 0),
        every=every,
        seconds=float(seconds),
        records=records,
        only=only,
    )


class Faults:
    """All faults that are switched on, in the order in which they came."""

    def __init__(self) -> None:
        self.all: list[Fault] = []

    def clear(self, name: str | None = None) -> None:
        """Switch off all, or all of one name."""
        for fault in self.all:
            if name in {None, fault.name}:
                fault.cleared.set()
        self.all = [fault for fault in self.all if not fault.cleared.is_set()]

    def strike_login(self) -> bool:
        """Whether a token request is refused."""
        for fault in self.all:
            if fault.name == "login_refused":
                fault.seen += 1
                if fault.strikes():
                    fault.fired += 1
                    return True
        return False

    def strike_job(self, name: str) -> Fault | None:
        """The fault of that name, if it strikes the piece of a bulk job that comes now."""
        for fault in self.all:
            if fault.name == name:
                fault.seen += 1
                if fault.strikes():
                    fault.fired += 1
                    return fault
        return None

    def strike_commit(self) -> float:
        """The seconds by which a person's edit commits late."""
        for fault in self.all:
            if fault.name == "late_commit":
                fault.seen += 1
                if fault.strikes():
                    fault.fired += 1
                    return fault.seconds
        return 0.0

    def strike(self, *, writes: bool, text: bytes) -> dict[str, Fault]:
        """The faults that strike a data request with this text (target and body), by name; counts them as fired."""
        struck: dict[str, Fault] = {}
        ended = False
        folded = b""
        for fault in self.all:
            if fault.name in IN_JOBS | {"login_refused"} or fault.only == ("reads" if writes else "writes"):
                continue
            if isinstance(fault.records, tuple):
                folded = folded or text.lower()
                if not any(key.encode() in folded for key in fault.records):
                    continue
            fault.seen += 1
            if not fault.strikes():
                continue
            if (ended and fault.name in ENDINGS) or fault.name in struck:
                # Its turn comes with the next request.
                fault.seen -= 1
                continue
            ended = ended or fault.name in ENDINGS
            fault.fired += 1
            struck[fault.name] = fault
        return struck


def hits(fault: Fault | None) -> Callable[[Record], bool] | None:
    """A function that tells which records a fault hits: those with a named key, or an even share of them."""
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


def _by_key(keys: Sequence[str]) -> Callable[[Record], bool]:
    wanted = frozenset(keys)

    def by_key(record: Mapping[str, Any]) -> bool:
        return any(isinstance(value, str) and value.casefold() in wanted for value in record.values())

    return by_key
