"""One fact to all who listen."""

import sys

from connector.telemetry.error_location import place
from connector.telemetry.log_events import Emit, Fact


def fan_out(*listeners: Emit) -> Emit:
    """A Tell that passes each fact to every listener, in the order given. One that raises hinders neither the others nor the work."""

    def emit(fact: Fact) -> None:
        for listener in listeners:
            try:
                listener(fact)
            except Exception as error:  # noqa: BLE001 - what is told must never hold up what is done.
                print(f"a fact could not be told: {place(error)}", file=sys.stderr)  # noqa: T201 - the log itself may be at fault.

    return emit
