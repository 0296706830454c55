"""Who delivers: one worker for each loop of a sink. What it has claimed is settled, or goes back, whatever happens in between."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from connector.consent.guard import carries_opt_out
from connector.delivery.channels import SendAllowance
from connector.model.consent import Phase
from connector.model.errors import StoreUnavailable
from connector.model.event import Verdict
from connector.model.outcome import Reason
from connector.model.states import UnitState
from connector.pipeline.settle import settled_fact
from connector.store.outbox import Outbox
from connector.store.units import Confirmation, Settlement, Unit
from connector.telemetry.error_location import place
from connector.telemetry.log_events import Emit

# So many dead letters in a row, with nothing delivered between them, are no fault of single units: then nothing more is given up.
MOST_GIVEN_UP = 3


@dataclass(slots=True)
class DeliveryWorker:
    """What one worker holds. It does one step at a time, so that between two steps nothing is claimed in its name."""

    claim: str  # its name in the claims; it begins with the id of this start of the process
    held: Sequence[Unit] = ()
    returns: bool = False  # a step has raised, so that units may still be claimed in its name
    singly: int = 0  # units that are still taken one at a time, after a bug in a batch
    given_up: int = 0  # dead letters of bugs in a row

    @asynccontextmanager
    async def at_work(self, outbox: Outbox, emit: Emit, now: Callable[[], datetime]) -> AsyncIterator[None]:
        """One step. Whatever it raises, what it has claimed goes back in doubt: now, or before anything new is claimed.

        After a bug the units are taken one at a time, and one that fails alone becomes a dead letter, so that the others go on.
        """
        if self.returns:
            await self._give_back(outbox, now())
        self.held, self.returns = [], True
        try:
            yield
        except StoreUnavailable:
            raise
        except Exception as error:
            await self._after_bug(outbox, emit, now(), place(error))
            raise
        self.returns = False
        if self.held:
            self.singly, self.given_up = max(0, self.singly - len(self.held)), 0

    def may_take(self, turn: SendAllowance) -> SendAllowance:
        """What it may take of a turn."""
        return replace(turn, size=1) if self.singly else turn

    async def _give_back(self, outbox: Outbox, now: datetime) -> None:
        await outbox.release(self.claim, now)
        self.returns = False

    async def _after_bug(self, outbox: Outbox, emit: Emit, now: datetime, bug: str) -> None:
        # What is claimed may never have come into our hands: where the store could not read it.
        claimed = outbox.claimed_by(self.claim)
        if len(claimed) > 1 and not self.singly:
            self.singly = len(claimed)
        elif claimed and self.given_up < MOST_GIVEN_UP:
            # Units of one person that are in doubt come together: the first of them goes.
            unit = next((one for one in self.held if one.id == claimed[0]), None)
            end = _given_up(claimed[0], unit, bug)
            await outbox.settle([end], now=now)
            if unit is not None:
                emit(settled_fact(unit, end, now))
            self.given_up += 1
        await self._give_back(outbox, now)


def _given_up(unit_id: int, unit: Unit | None, bug: str) -> Settlement:
    """The unit as a dead letter; an opt-out in it stays open."""
    detail = f"{bug}: please report this bug"
    operations = unit.operations if unit is not None else ()
    opts_out = any(carries_opt_out(one, Verdict.OPT_OUT) for one in operations)
    return Settlement(
        unit_id=unit_id,
        state=UnitState.DEAD,
        reason=Reason.BUG,
        detail=detail,
        counts_attempt=False,
        rule=operations[0].rule if operations else "",
        confirmations=(Confirmation(phase=Phase.FAILED, detail=detail),) if opts_out else (),
    )
