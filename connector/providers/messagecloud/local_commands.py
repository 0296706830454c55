"""Commands for MessageCloud, which are settled locally: there is no call that ends a subscription in Norway.

Source: "Strex Norway with One-click Subscriptions", Transaction Flow, 8: further charges are made by the merchant's own
calls. A subscriber who is opted out is not charged again, so MessageCloud need not be informed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from connector.model.crm_traits import PLAIN, CrmTraits
from connector.model.http import Http
from connector.model.operation import ServiceCommand
from connector.model.outcome import Delivered, Outcome, Reason, Rejected
from connector.ports import Task

ACTIONS = frozenset({"stop", "unsubscribe"})
BATCH = 200  # nothing is sent; this only limits the size of a transaction
SETTLED = Delivered(
    detail="MessageCloud has no such call: the subscription is ended in our ledger, and is not charged again"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCommands:
    """The sink (ports.py) that confirms opt-outs without a call."""

    name: str
    batch: int = BATCH
    traits: CrmTraits = PLAIN

    async def write(self, http: Http, tasks: Sequence[Task]) -> Sequence[Outcome]:  # noqa: ARG002 - it makes no call.
        """Return one outcome for each task, without a call."""
        return [_outcome(task.operation) for task in tasks]


def _outcome(operation: object) -> Outcome:
    if not isinstance(operation, ServiceCommand):
        detail = "MessageCloud takes service commands only; name the CRM in the mapping's operation"
        return Rejected(reason=Reason.BAD_COMMAND, detail=detail)
    if operation.action not in ACTIONS:
        detail = f"MessageCloud has no command {operation.action!r}; it has {', '.join(sorted(ACTIONS))}"
        return Rejected(reason=Reason.BAD_COMMAND, detail=detail)
    return SETTLED
