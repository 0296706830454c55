"""One batch: what is to be written, what is assumed about each record, and the results so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from connector.crm.salesforce.write.dependencies import Dependencies
from connector.crm.salesforce.write.existence import Assumption, WrongAssumptions
from connector.crm.salesforce.write.lookups import Found
from connector.model.operation import RecordWrite
from connector.model.outcome import Outcome, Reason, Retry
from connector.ports import Task

NOT_ASKED = Found(record_id="")  # used if it does not matter whether the record exists


@dataclass(slots=True)
class Batch:
    """Sent once; writes whose assumption (new or existing) was wrong are sent a second time."""

    tasks: Sequence[Task]
    writes: Mapping[int, RecordWrite]  # by position in the batch, as everything here
    family: Dependencies
    outcomes: dict[int, Outcome]
    owners: dict[int, Found | None]  # known records of keys and numbers; None: there is no such record
    assumptions: dict[int, Assumption] = field(default_factory=dict)
    found: dict[int, Found | None] = field(default_factory=dict)  # None: there is no such record

    def assume(self, assumptions: Mapping[int, Assumption], asked: Mapping[int, Found | None]) -> None:
        """Set the assumption of each record; `asked` are those that were looked up."""
        self.assumptions |= assumptions
        for index, assumption in assumptions.items():
            self.found[index] = self._found(index, assumption, asked)

    def _found(self, index: int, assumption: Assumption, asked: Mapping[int, Found | None]) -> Found | None:
        match assumption:
            case Assumption.ANY:
                return NOT_ASKED
            case Assumption.ASK:
                return asked.get(index)
            case Assumption.NEW:
                return None
            case Assumption.KNOWN:
                record_id = self.tasks[index].record_id
                return Found(record_id=record_id) if record_id else None
            case Assumption.FOUND:
                return self.owners.get(index)

    def resend_plan(self, wrong_assumptions: WrongAssumptions) -> dict[int, Assumption]:
        """The writes to send a second time, with their new assumptions."""
        self.owners |= {index: Found(record_id=record_id) for index, record_id in wrong_assumptions.existing.items()}
        again = {
            **{index: self.assumptions[index] for index in wrong_assumptions.children_of_missing},
            **dict.fromkeys((*wrong_assumptions.doubted, *wrong_assumptions.absent), Assumption.ASK),
            **{
                index: Assumption.ASK if self.writes[index].clears_flag else Assumption.FOUND
                for index in wrong_assumptions.existing
            },
        }
        for index, outcome in list(self.outcomes.items()):
            if isinstance(outcome, Retry) and outcome.reason is Reason.PARENT_MISSING:
                # Its parent was known and unchanged, so that it was not sent; but it no longer exists.
                gone = [one for one in self.family.parents[index] if self.assumptions.get(one) is Assumption.KNOWN]
                if gone:
                    again |= {**dict.fromkeys(gone, Assumption.ASK), index: self.assumptions[index]}
        for index in again:
            self.outcomes.pop(index, None)
        return again
