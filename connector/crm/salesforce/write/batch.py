"""One batch: what is to be written, what is assumed of each record, and what became of it so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from connector.crm.salesforce.write.dependencies import Dependencies
from connector.crm.salesforce.write.existence import Assumption, WrongAssumptions
from connector.crm.salesforce.write.lookups import Found
from connector.model.operation import RecordWrite
from connector.model.outcome import Outcome, Reason, Retry
from connector.ports import Task

NOT_ASKED = Found(record_id="")  # stands for a record of which it makes no difference whether it exists


@dataclass(slots=True)
class Batch:
    """It is sent, and then once more what was not as it was assumed to be."""

    tasks: Sequence[Task]
    writes: Mapping[int, RecordWrite]  # by their places in the batch, as everything here
    family: Dependencies
    outcomes: dict[int, Outcome]
    owners: dict[int, Found | None]  # of keys and numbers, where they are known; None: there is no such record
    assumptions: dict[int, Assumption] = field(default_factory=dict)
    found: dict[int, Found | None] = field(default_factory=dict)  # None: there is no such record

    def assume(self, assumptions: Mapping[int, Assumption], asked: Mapping[int, Found | None]) -> None:
        """Take the records for what they seem to be; `asked` are those that were looked up."""
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
        """What is sent once more, and what is assumed of it now."""
        self.owners |= {index: Found(record_id=record_id) for index, record_id in wrong_assumptions.existing.items()}
        again = {
            **{index: self.assumptions[index] for index in wrong_assumptions.orphans},
            **dict.fromkeys((*wrong_assumptions.doubted, *wrong_assumptions.absent), Assumption.ASK),
            **{
                index: Assumption.ASK if self.writes[index].clears_flag else Assumption.FOUND
                for index in wrong_assumptions.existing
            },
        }
        for index, outcome in list(self.outcomes.items()):
            if isinstance(outcome, Retry) and outcome.reason is Reason.PARENT_MISSING:
                # Its parent was known and had nothing to change, so that it was not sent; and it is gone.
                gone = [one for one in self.family.parents[index] if self.assumptions.get(one) is Assumption.KNOWN]
                if gone:
                    again |= {**dict.fromkeys(gone, Assumption.ASK), index: self.assumptions[index]}
        for index in again:
            self.outcomes.pop(index, None)
        return again
