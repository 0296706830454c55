"""Opt-outs that a side has not confirmed in time: an alarm at the deadline, after an hour and after a day; feeds that are late."""

from collections.abc import Callable
from datetime import datetime, timedelta

from connector.model.facts import Alarm, Cleared, Tell
from connector.store.store import Store

LATER = (timedelta(hours=1), timedelta(hours=24))


class Deadlines:
    """Looks after the promise that a STOP takes effect everywhere; remembers which alarms were raised."""

    def __init__(
        self,
        store: Store,
        *,
        deadline: timedelta,
        tell: Tell,
        now: Callable[[], datetime],
        check_feeds: Callable[[], None] = lambda: None,
    ) -> None:
        """`check_feeds` calls a person for each feed that has not come to its end in time."""
        self._store = store
        self._check_feeds = check_feeds
        self._steps = (deadline, *(step for step in LATER if step > deadline))
        self._tell = tell
        self._now = now
        self._raised: dict[tuple[int, str], tuple[int, str]] = {}  # (event, sink) → steps told, event key

    async def check(self) -> int:
        """Raise what is new, clear what is done; always 0, for nothing waits behind it."""
        self._check_feeds()
        late = self._store.consents.open_opt_outs(self._now(), older_than=self._steps[0])
        open_now = {(one.event_id, one.sink) for one in late}
        for one in late:
            place = (one.event_id, one.sink)
            passed = sum(one.age >= step for step in self._steps)
            if passed > self._raised.get(place, (0, ""))[0]:
                self._raised[place] = (passed, one.event_key)
                self._tell(
                    Alarm(
                        kind="opt_out_late",
                        about=_about(one.event_key, one.sink),
                        message=f"an opt-out is not confirmed by {one.sink} after {self._steps[passed - 1]}",
                        cure=f"see `connector explain {one.event_key}`" + (f": {one.failed}" if one.failed else ""),
                    )
                )
        for place in self._raised.keys() - open_now:
            _, key = self._raised.pop(place)
            self._tell(Cleared(kind="opt_out_late", about=_about(key, place[1])))
        return 0


def _about(event_key: str, sink: str) -> str:
    return f"{event_key} at {sink}"
