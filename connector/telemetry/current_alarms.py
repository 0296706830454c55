"""The alarms that are raised now, with their cures, for `connector status`. It is an Emit."""

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from connector.telemetry.log_events import Alarm, Cleared, LogEvent


class RaisedAlarm(Struct, frozen=True):
    """An alarm and when it was raised."""

    alarm: Alarm
    since: datetime


class CurrentAlarms:
    """Keeps each lasting alarm until it is cleared. The causes of others stay visible, such as dead letters."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._raised: dict[tuple[str, str], RaisedAlarm] = {}

    def __call__(self, log_event: LogEvent) -> None:
        """Keep an alarm, or remove one that is cleared."""
        if isinstance(log_event, Alarm) and log_event.lasts:
            key = log_event.kind, log_event.about
            since = self._raised[key].since if key in self._raised else self._now()
            self._raised[key] = RaisedAlarm(log_event, since)
        elif isinstance(log_event, Cleared):
            self._raised.pop((log_event.kind, log_event.about), None)

    def listing(self) -> list[RaisedAlarm]:
        """The alarms, the oldest first."""
        return sorted(self._raised.values(), key=lambda one: one.since)
