"""Faults of the made-up CRM that a test switches on, by the names that the other sandboxes use."""

import asyncio
from dataclasses import dataclass, field

WRITING = frozenset({"row_lock", "bad_record", "dropped"})
LASTING = frozenset({"bad_record", "late_commit"})  # until they are cleared


@dataclass(slots=True, kw_only=True)
class Fault:
    """`times` is how often it strikes (None: until it is cleared), after `after` requests that it lets through."""

    fault: str
    times: int | None = None
    after: int = 0
    seconds: float = 1.0
    records: float | list[str] = 1.0  # keys or ids, or the share of the records
    only: str = ""
    seen: int = 0
    fired: int = 0
    cleared: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.only = self.only or ("writes" if self.fault in WRITING else "any")
        if self.times is None and self.fault not in LASTING:
            self.times = 1

    def strikes(self) -> bool:
        self.seen += 1
        struck = self.seen > self.after and (self.times is None or self.fired < self.times)
        self.fired += struck
        return struck


class Faults:
    """All active faults, oldest first."""

    def __init__(self) -> None:
        self.all: list[Fault] = []

    def clear(self) -> None:
        for fault in self.all:
            fault.cleared.set()
        self.all.clear()

    def strike(self, *, writes: bool, text: bytes) -> Fault | None:
        """The first fault that strikes a request with this body."""
        for fault in self.all:
            if fault.fault == "late_commit" or fault.only == ("reads" if writes else "writes"):
                continue
            if isinstance(fault.records, list) and not any(key.encode() in text for key in fault.records):
                continue
            if fault.strikes():
                return fault
        return None

    def late(self) -> float:
        """How many seconds before its commit a person's edit was made."""
        found = next((fault for fault in self.all if fault.fault == "late_commit"), None)
        return found.seconds if found and found.strikes() else 0.0
