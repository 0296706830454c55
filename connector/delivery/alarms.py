"""Alarms with a lasting cause: one for each cause, even if several sinks and feeds meet it; cleared when none of them meets it."""

from connector.telemetry.log_events import Alarm, Cleared, Emit


class OpenAlarms:
    """The alarms that are raised now. A holder (a sink, a feed) has at most one."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, str]] = {}  # holder → kind, about

    def holds(self, holder: str) -> bool:
        """Whether this holder has an alarm."""
        return holder in self._held

    def start(self, alarm: Alarm, holder: str, emit: Emit) -> None:
        """Raise an alarm, unless it is raised already; clears an alarm of another cause that this holder had."""
        key = alarm.kind, alarm.about
        if self._held.get(holder) == key:
            return
        self.clear(holder, emit)
        if key not in self._held.values():
            emit(alarm)
        self._held[holder] = key

    def clear(self, holder: str, emit: Emit) -> None:
        """This holder no longer meets the cause."""
        key = self._held.pop(holder, None)
        if key is not None and key not in self._held.values():
            emit(Cleared(kind=key[0], about=key[1]))
