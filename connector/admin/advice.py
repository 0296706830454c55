"""The cure of a dead letter, with its commands as they can be typed."""

from connector.delivery.cures import CURES
from connector.model.outcome import Reason

COMMANDS = ("explain", "dead retry", "dead discard", "parked release", "parked discard", "replay")


def cure(reason: Reason | str | None, which: str = "", own: str = "") -> str | None:
    """The advice; None if there is no reason. `own` is that for the sink's own error code; `which`: see complete_commands()."""
    return None if reason is None else complete_commands(own or CURES[Reason(reason)].dead_letter, which)


def complete_commands(text: str, which: str) -> str:
    """The advice with its commands as they can be typed: `which` says of what, such as an event's id or `--group 3fa20c`."""
    if not which:
        return text
    for command in COMMANDS:
        # Only a retry takes causes; the others name events.
        what = which if command == "dead retry" or not which.startswith("-") else "EVENT"
        text = text.replace(f"`connector {command}`", f"`connector {command} {what}`")
    return text
