"""Opt-outs that a side has not confirmed in time: an alarm at the deadline, after an hour and after a day; feeds that are late.

An opt-out that no rule tells to the CRM or the provider is an alarm at once: no waiting will help.
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
    """Looks after the promise that a STOP takes effect everywhere; remembers which alarms were raised."""

    def __init__(
        self,
        store: Store,
        *,
        deadline: timedelta,
        emit: Emit,
        now: Callable[[], datetime],
        check_feeds: Callable[[], None] = lambda: None,
    ) -> None:
        """`check_feeds` calls a person for each feed that has not come to its end in time."""
        self._store = store
        self._check_feeds = check_feeds
        self._steps = (deadline, *(step for step in LATER if step > deadline))
        self._emit = emit
        self._now = now
        self._raised: dict[tuple[int, str], tuple[int, OpenOptOut]] = {}  # (event, sink) → steps told

    async def check(self) -> int:
        """Raise what is new, clear what is done; always 0, for nothing waits behind it."""
        late = self._store.consents.open_opt_outs(self._now(), older_than=self._steps[0])
        open_now = {(one.event_id, one.sink) for one in late}
        for one in late:
            place = (one.event_id, one.sink)
            passed = sum(one.age >= step for step in self._steps) + one.without_rule
            if passed > (self._raised[place][0] if place in self._raised else 0):
                self._raised[place] = (passed, one)
                self._emit(_without_rule(one) if one.without_rule else _late(one, self._steps[passed - 1]))
        for place in self._raised.keys() - open_now:
            _, one = self._raised.pop(place)
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
