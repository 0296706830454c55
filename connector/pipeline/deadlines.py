"""Alarms for opt-outs that a CRM or provider has not confirmed: at the deadline, after an hour and after a day.

An opt-out without a rule for the CRM or the provider raises an alarm at once, because waiting does not help.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from connector.store.consents import OpenOptOut
from connector.store.store import Store
from connector.telemetry.log_events import Alarm, Cleared, Emit

LATER = (timedelta(hours=1), timedelta(hours=24))
LATE = "opt_out_late"
WITHOUT_RULE = "opt_out_without_rule"


class Deadlines:
    """Checks the open opt-outs, and remembers which alarms were raised."""

    def __init__(
        self,
        store: Store,
        *,
        deadline: timedelta,
        emit: Emit,
        now: Callable[[], datetime],
        check_feeds: Callable[[], None] = lambda: None,
    ) -> None:
        """`check_feeds` raises an alarm for each feed whose poll has not ended in time."""
        self._store = store
        self._check_feeds = check_feeds
        self._steps = (deadline, *(step for step in LATER if step > deadline))
        self._emit = emit
        self._now = now
        self._raised: dict[tuple[int, str], tuple[int, OpenOptOut]] = {}  # (event, sink) → steps reported

    async def check(self) -> int:
        """Raise new alarms, and clear those whose opt-out is confirmed. Returns 0: its worker waits for the next check."""
        late = self._store.consents.open_opt_outs(self._now(), older_than=self._steps[0])
        open_now = {(one.event_id, one.sink) for one in late}
        for one in late:
            key = (one.event_id, one.sink)
            passed = sum(one.age >= step for step in self._steps) + one.without_rule
            if passed > (self._raised[key][0] if key in self._raised else 0):
                self._raised[key] = (passed, one)
                self._emit(_without_rule(one) if one.without_rule else _late(one, self._steps[passed - 1]))
        for key in self._raised.keys() - open_now:
            _, one = self._raised.pop(key)
            self._emit(Cleared(kind=WITHOUT_RULE if one.without_rule else LATE, about=_about(one)))
        self._check_feeds()
        return 0


def _late(one: OpenOptOut, after: timedelta) -> Alarm:
    return Alarm(
        kind=LATE,
        about=_about(one),
        message=f"{one.sink} has not confirmed an opt-out after {after}",
        cure=f"see `connector explain {one.event_id}`" + (f": {one.failed}" if one.failed else ""),
    )


def _without_rule(one: OpenOptOut) -> Alarm:
    return Alarm(
        kind=WITHOUT_RULE,
        about=_about(one),
        message=f"no rule sends the opt-out of event {one.event_id} to {one.system}: only our ledger has it",
        cure=f"see `connector explain {one.event_id}`, correct the rule, then `connector reload` and "
        f"`connector replay {one.event_id}`",
    )


def _about(one: OpenOptOut) -> str:
    return f"event {one.event_id} at {one.system}"
