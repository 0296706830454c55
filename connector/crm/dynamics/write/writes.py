"""One write of a batch: what was asked, what is assumed about its record, and what became of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from msgspec.structs import replace

from connector.crm.dynamics.client.responses import RequestFailed
from connector.crm.dynamics.client.tables import TableInfo
from connector.crm.dynamics.write.lookups import Found
from connector.model.operation import RecordWrite
from connector.model.outcome import Outcome, Rejected, Retry
from connector.ports import Task


class Assumption(Enum):
    """What is assumed about a record before it is sent."""

    ANY = auto()  # it does not matter whether it exists
    ASK = auto()  # nothing: look it up first
    NEW = auto()  # it does not exist: an insert fails if it does
    FOUND = auto()  # `found` is the record, or None if there is none


@dataclass(slots=True, eq=False)
class Write:
    """A write of a batch. It is sent, and sent again if its assumption was wrong."""

    task: Task
    original: RecordWrite  # the task's operation
    record_write: RecordWrite = field(init=False)  # what is sent: perhaps to another record than the task names
    table: TableInfo = field(init=False, repr=False)  # missing if the org has no such table; such a write is refused
    own_id: str | None = None  # the record's id if the key says it, as bodies.own_id() returns it
    is_child: bool = False  # it names a parent, in the batch or not
    wait_for: Sequence["Write"] = ()  # writes of the batch that may be of its parents
    parents: Mapping[str, "Write"] = field(default_factory=dict)  # by lookup column: the parents that are certain
    stage: int = 0  # 0: no parent in the batch
    assumption: Assumption = Assumption.ANY
    found: Found | None = None
    conflict: Rejected | None = None  # the outcome if no record has its key, and yet none can be created
    to_resend: bool = False  # its assumption was wrong, or that of a parent
    record_id: str | None = None  # id of the record that was written
    unchanged: bool = False  # delivered without a call, because there was nothing to change
    outcome: Outcome | None = None

    def __post_init__(self) -> None:
        self.record_write = self.original

    @property
    def result(self) -> Outcome:
        """Its outcome, at the end of the batch."""
        assert self.outcome is not None, "each write of a batch has an outcome"  # noqa: S101
        return self.outcome

    def use_record(self, found: Found | None) -> None:
        """Assume that this is its record; None: that there is none."""
        self.assumption, self.found = Assumption.FOUND, found

    def look_up_again(self) -> None:
        """Look up its record and send it again: its assumption was wrong."""
        self.assumption, self.found, self.to_resend = Assumption.ASK, None, True


def without_outcome(writes: Iterable[Write]) -> list[Write]:
    """The writes that have no outcome yet."""
    return [write for write in writes if write.outcome is None]


def settle_unsent(writes: Iterable[Write], failed: RequestFailed) -> None:
    """Give an outcome to writes that were not sent because a read before them failed."""
    outcome = failed.outcome
    for write in writes:
        write.outcome = replace(outcome, in_doubt=False) if isinstance(outcome, Retry) else outcome
