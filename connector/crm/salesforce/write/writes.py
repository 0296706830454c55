"""One write of a batch: what was asked, what is assumed about its record, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from msgspec import Struct

from connector.crm.salesforce.client.record_ids import comparable
from connector.crm.salesforce.write.requests import Item
from connector.model.operation import RecordWrite
from connector.model.outcome import Outcome, Reason, Rejected, Retry
from connector.ports import Shadow, Task


class Assumption(Enum):
    """What is assumed about a record before it is sent."""

    ANY = auto()  # it does not matter whether it exists
    ASK = auto()  # look it up first
    NEW = auto()  # never seen before: the result of an insert will show
    KNOWN = auto()  # it existed before: an update by Id fails if it is gone
    FOUND = auto()  # it was already looked up


class WrongAssumption(Enum):
    """Why a write is sent again."""

    EXISTING = auto()  # it was assumed to be new, but it exists: `found` says which record it is
    DOUBTED = auto()  # it was rejected as new, perhaps for a reason that does not apply to an existing record
    ABSENT = auto()  # it was assumed to exist, but it is gone
    PARENT = auto()  # a parent of it is sent again


class Found(Struct, frozen=True, kw_only=True):
    """A record that exists."""

    record_id: str
    flag: object = None  # the current value of the opt-out flag, if requested
    key: str = ""  # the record's spelling of the key, if it was looked up by key


NOT_LOOKED_UP = Found(record_id="")  # used if it does not matter whether the record exists


@dataclass(slots=True, eq=False)
class Write:
    """A write of a batch. It is sent once, and again if its assumption was wrong."""

    task: Task
    original: RecordWrite  # the task's operation
    index: int  # position among the writes of the batch
    record_write: RecordWrite = field(init=False)  # what is sent: perhaps to another record than the task names
    wait_for: Sequence["Write"] = ()  # writes of the batch that may be of its parents
    parents: Mapping[str, "Write"] = field(default_factory=dict)  # by relationship: the parents that are certain
    stage: int = 0  # 0: no parent in the batch
    assumption: Assumption = Assumption.ANY
    wrong: WrongAssumption | None = None
    found: Found | None = None  # None: there is no such record
    outcome: Outcome | None = None
    waited: bool = False  # for a parent that was not yet settled
    was_split: bool = False  # its request was split because of a trigger limit
    recovered: bool = False  # after a rejection; a second recovery would be for the same cause

    def __post_init__(self) -> None:
        self.record_write = self.original

    @property
    def result(self) -> Outcome:
        """Its outcome, at the end of the batch."""
        assert self.outcome is not None, "each write of a batch has an outcome"  # noqa: S101
        return self.outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedWrite:
    """A rejected write: what was sent, and the reason."""

    write: Write
    item: Item
    outcome: Retry | Rejected


def to_resend(writes: Sequence[Write]) -> list[Write]:
    """The writes to send again, with their new assumptions."""
    again = dict.fromkeys(write for write in writes if write.wrong is not None)
    for write in again:
        if write.wrong in {WrongAssumption.DOUBTED, WrongAssumption.ABSENT}:
            write.assumption = Assumption.ASK
        elif write.wrong is WrongAssumption.EXISTING:
            write.assumption = Assumption.ASK if write.record_write.clears_flag else Assumption.FOUND
        write.wrong, write.recovered = None, False
    for write in writes:
        if isinstance(write.outcome, Retry) and write.outcome.reason is Reason.PARENT_MISSING:
            # Its parent was known and unchanged, so that it was not sent; but it no longer exists.
            gone = [parent for parent in write.parents.values() if parent.assumption is Assumption.KNOWN]
            for parent in gone:
                parent.assumption = Assumption.ASK
            again.update(dict.fromkeys([*gone, write] if gone else ()))
    for write in again:
        write.outcome = None
    return list(again)


def settle_all(writes: Sequence[Write], outcome: Retry | Rejected) -> None:
    """Give all of these writes the same outcome."""
    for write in writes:
        write.outcome = outcome


def known_values(task: Task, record_id: str) -> Shadow:
    """The known values of the record that the task is now for."""
    remembered, write = task.remembered, task.operation
    if not isinstance(write, RecordWrite) or write.match is None:
        moved = task.record_id is not None and comparable(task.record_id) != comparable(record_id)
        return None if moved else task.shadow
    shadow = remembered.shadows.get(record_id)
    if remembered.record_id is not None and comparable(remembered.record_id) != comparable(record_id):
        return shadow  # the task's own values are of the record that was meant before
    return shadow if task.shadow is None else {**(shadow or {}), **task.shadow}
