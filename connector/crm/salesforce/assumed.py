"""One batch: what is to be written, what is assumed of each record, and what became of it so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from connector.crm.salesforce.kin import Kin
from connector.crm.salesforce.lookups import Found
from connector.crm.salesforce.presence import Stance, Surprises
from connector.model.operation import RecordWrite
from connector.model.outcome import Outcome, Reason, Retry
from connector.model.roles import Task

NOT_ASKED = Found(record_id="")  # stands for a record of which it makes no difference whether it exists


@dataclass(slots=True)
class Batch:
    """It is sent, and then once more what was not as it was assumed to be."""

    tasks: Sequence[Task]
    writes: Mapping[int, RecordWrite]  # by their places in the batch, as everything here
    family: Kin
    outcomes: dict[int, Outcome]
    owners: dict[int, Found | None]  # of keys and numbers, where they are known; None: there is no such record
    stances: dict[int, Stance] = field(default_factory=dict)
    found: dict[int, Found | None] = field(default_factory=dict)  # None: there is no such record

    def assume(self, stances: Mapping[int, Stance], asked: Mapping[int, Found | None]) -> None:
        """Take the records for what they seem to be; `asked` are those that were looked up."""
        self.stances |= stances
        for index, stance in stances.items():
            self.found[index] = self._found(index, stance, asked)

    def _found(self, index: int, stance: Stance, asked: Mapping[int, Found | None]) -> Found | None:
        match stance:
            case Stance.ANY:
                return NOT_ASKED
            case Stance.ASK:
                return asked.get(index)
            case Stance.NEW:
                return None
            case Stance.KNOWN:
                record_id = self.tasks[index].record_id
                return Found(record_id=record_id) if record_id else None
            case Stance.FOUND:
                return self.owners.get(index)

    def second_thoughts(self, surprises: Surprises) -> dict[int, Stance]:
        """What is sent once more, and what is assumed of it now."""
        self.owners |= {index: Found(record_id=record_id) for index, record_id in surprises.existing.items()}
        again = {
            **{index: self.stances[index] for index in surprises.orphans},
            **dict.fromkeys((*surprises.doubted, *surprises.absent), Stance.ASK),
            **{index: Stance.ASK if self.writes[index].clears_flag else Stance.FOUND for index in surprises.existing},
        }
        for index, outcome in list(self.outcomes.items()):
            if isinstance(outcome, Retry) and outcome.reason is Reason.PARENT_MISSING:
                # Its parent was known and had nothing to change, so that it was not sent; and it is gone.
                gone = [one for one in self.family.parents[index] if self.stances.get(one) is Stance.KNOWN]
                if gone:
                    again |= {**dict.fromkeys(gone, Stance.ASK), index: self.stances[index]}
        for index in again:
            self.outcomes.pop(index, None)
        return again
