"""Commands for MessageCloud, which are settled in our own books: there is no call that ends a subscription in Norway.

Source: "Strex Norway with One-click Subscriptions", Transaction Flow, 8: further charges are made by the merchant's own calls. Whoever
is opted out is not charged again, and nothing need be told to anybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from connector.model.crm_traits import PLAIN, CrmTraits
from connector.model.http import Exchange
from connector.model.operation import ServiceCommand
from connector.model.outcome import Delivered, Outcome, Reason, Rejected
from connector.ports import Task

ACTIONS = frozenset({"stop", "unsubscribe"})
BATCH = 200  # nothing is sent; it only bounds a transaction
SETTLED = Delivered(detail="no call exists: the subscription is ended in our books, and is not charged again")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCommands:
    """The sink (ports.py) that confirms opt-outs without a call."""

    name: str
    batch: int = BATCH
    traits: CrmTraits = PLAIN

    def write(self, tasks: Sequence[Task]) -> Exchange[Sequence[Outcome]]:
        """One outcome for each; nobody is called."""
        yield from ()  # An exchange is a generator, also where nobody is called.
        return [_outcome(task.operation) for task in tasks]


def _outcome(operation: object) -> Outcome:
    if not isinstance(operation, ServiceCommand):
        detail = "MessageCloud takes service commands only; name the CRM in the mapping's operation"
        return Rejected(reason=Reason.BAD_COMMAND, detail=detail)
    if operation.action not in ACTIONS:
        detail = f"MessageCloud has no command {operation.action!r}; it has {', '.join(sorted(ACTIONS))}"
        return Rejected(reason=Reason.BAD_COMMAND, detail=detail)
    return SETTLED
