"""Commands for MessageCloud, which are settled locally: no call ends a subscription in Norway, or changes its price.

Source: "Strex Norway with One-click Subscriptions", Transaction Flow, 8: further charges are made by the merchant's own
calls. A subscriber who is opted out is not charged again, so MessageCloud need not be informed. A new price is the amount
of the next Send DOB.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from connector.model.crm_traits import PLAIN, CrmTraits
from connector.model.http import Http
from connector.model.operation import ServiceCommand
from connector.model.outcome import Delivered, Outcome, Reason, Rejected
from connector.ports import Task

CHANGES_PRICE = "changesubscriberprice"
ACTIONS = frozenset({"stop", "unsubscribe", CHANGES_PRICE})
BATCH = 200  # nothing is sent; this only limits the size of a transaction
SETTLED = Delivered(
    detail="MessageCloud has no such call: the subscription is ended in our ledger, and is not charged again"
)
NEW_PRICE = Delivered(detail="the new amount is charged from the next period on")


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
    if operation.action != CHANGES_PRICE:
        return SETTLED
    if operation.price is None or operation.price <= 0 or operation.price != int(operation.price):
        return Rejected(reason=Reason.BAD_COMMAND, detail="MessageCloud charges whole amounts in NOK only")
    if not operation.known_active:
        return Rejected(reason=Reason.PRICE_NOT_CHANGED, detail="the donor has no active subscription to this keyword")
    return NEW_PRICE
