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
        open_now = {(opt_out.event_id, opt_out.sink) for opt_out in late}
        for opt_out in late:
            key = (opt_out.event_id, opt_out.sink)
            passed = sum(opt_out.age >= step for step in self._steps) + opt_out.without_rule
            if passed > (self._raised[key][0] if key in self._raised else 0):
                self._raised[key] = (passed, opt_out)
                alarm = _without_rule(opt_out) if opt_out.without_rule else _late(opt_out, self._steps[passed - 1])
                self._emit(alarm)
        for key in self._raised.keys() - open_now:
            _, opt_out = self._raised.pop(key)
            self._emit(Cleared(kind=WITHOUT_RULE if opt_out.without_rule else LATE, about=_about(opt_out)))
        self._check_feeds()
        return 0


def _late(opt_out: OpenOptOut, after: timedelta) -> Alarm:
    return Alarm(
        kind=LATE,
        about=_about(opt_out),
        message=f"{opt_out.sink} has not confirmed an opt-out after {after}",
        cure=f"see `connector explain {opt_out.event_id}`" + (f": {opt_out.failed}" if opt_out.failed else ""),
    )


def _without_rule(opt_out: OpenOptOut) -> Alarm:
    return Alarm(
        kind=WITHOUT_RULE,
        about=_about(opt_out),
        message=f"no rule sends the opt-out of event {opt_out.event_id} to {opt_out.system}: only our ledger has it",
        cure=f"see `connector explain {opt_out.event_id}`, correct the rule, then `connector reload` and "
        f"`connector replay {opt_out.event_id}`",
    )


def _about(opt_out: OpenOptOut) -> str:
    return f"event {opt_out.event_id} at {opt_out.system}"
