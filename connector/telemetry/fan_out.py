"""Passes each log event to several listeners."""

import sys

from connector.telemetry.error_location import place
from connector.telemetry.log_events import Emit, LogEvent


def fan_out(*listeners: Emit) -> Emit:
    """An Emit that passes each event to every listener, in order. A listener that raises stops neither the others nor the caller."""

    def emit(log_event: LogEvent) -> None:
        for listener in listeners:
            try:
                listener(log_event)
            except Exception as error:  # noqa: BLE001 - a failing listener must never stop the work.
                print(f"could not log or count an event: {place(error)}", file=sys.stderr)  # noqa: T201 - the log itself may be at fault.

    return emit
